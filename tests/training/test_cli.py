"""The commands set what the options of the library are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.training.conftest import rows
from typer.testing import CliRunner

from m3kit import training
from m3kit.cli.app import app
from m3kit.training import Finetuned

Write = Callable[..., Path]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Record calls of the library, in which nothing is trained."""
    seen: list[dict[str, Any]] = []

    def record(data: Any, folder: Path, **options: Any) -> Finetuned:
        seen.append({"data": data, "folder": folder, **options})
        return Finetuned(folder, [{"loss": 1.0, "loss_dense": 2.0, "step": 3.0}])

    monkeypatch.setattr(training, "finetune", record)
    monkeypatch.setattr(training, "finetune_reranker", record)
    return seen


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == code, done.output
    return done.output


def test_the_defaults_are_the_library_s(calls: list[dict[str, Any]]) -> None:
    output = run("finetune", "a.jsonl", "--to", "out", "--model", "tiny")
    assert calls[0]["options"] == training.FinetuneOptions()
    assert "wrote out after 3 steps" in output
    assert "dense: 2.0000" in output
    run("finetune-reranker", "a.jsonl", "--to", "out")
    assert calls[1]["options"] == training.RerankerOptions()
    assert calls[1]["model"] == "BAAI/bge-reranker-v2-m3"


def test_each_option_arrives(calls: list[dict[str, Any]]) -> None:
    command = "finetune a.jsonl b --to out --heads sparse,colbert --lora 8 --lora-modules query"
    command += " --temperature 0.05 --sparse-weight 1 --ensemble-sparse 0.5 --no-self-distill"
    command += " --teacher listwise --cross-device-negatives --mix-tasks --batch-tokens 1000"
    command += " --chunk-tokens 500 --group-size 4 --cls-every 256 --steps 7 --resume"
    run(*command.split(), "--set", "bf16=true", "--set", "report_to=wandb")
    assert calls[0]["data"] == [Path("a.jsonl"), Path("b")]
    assert calls[0]["resume"]
    assert calls[0]["options"] == training.FinetuneOptions(
        heads=["sparse", "colbert"],
        lora=training.LoraOptions(rank=8, modules=("query",)),
        cls_every=256,
        loss=training.LossOptions(
            temperature=0.05,
            sparse_weight=1,
            ensemble_sparse=0.5,
            self_distill=False,
            teacher="listwise",
            cross_device_negatives=True,
        ),
        batches=training.BatchOptions(batch_tokens=1000, same_task=False),
        texts=training.TextOptions(group_size=4),
        chunk_tokens=500,
        max_steps=7,
        settings={"bf16": True, "report_to": "wandb"},
    )


def test_bad_input_is_a_line_and_a_code(write: Write, tmp_path: Path) -> None:
    bad = write([{"query": "q", "pos": []}])
    output = run("finetune", str(bad), "--to", str(tmp_path / "out"), "--model", "tiny", code=3)
    assert f"{bad}:1 has no positive passage" in output
    assert not (tmp_path / "out").exists()
    output = run("finetune", "a", "--to", "b", "--set", "bf16", code=2)
    assert "write KEY=VALUE" in output
    output = run("finetune", "a", "--to", "b", "--temperature", "0", code=2)
    assert "temperature is above 0" in output


def test_a_model_is_trained_from_the_command_line(write: Write, tmp_path: Path) -> None:
    data, folder = write(rows(6)), tmp_path / "out"
    command = ["finetune", str(data), "--to", str(folder), "--model", "tiny", "--batch-size", "3"]
    run(*command, "--steps", "1", "--set", "disable_tqdm=true")
    assert json.loads((folder / "finetune.json").read_text())["options"]["max_steps"] == 1
