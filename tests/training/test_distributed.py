"""Two processes on the CPU compute what one computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training.conftest import load_tiny, rows
from tests.training.test_gradients import distance, gradients, make_batch
from torch.multiprocessing import spawn  # type: ignore[attr-defined]  # it is exported

from m3kit.training.batches import Batch
from m3kit.training.losses import LossOptions

pytestmark = pytest.mark.slow  # each process imports transformers

OPTIONS = LossOptions(teacher="kl", temperature=0.05)


def part(batch: Batch, queries: Sequence[int]) -> Batch:
    """Return some queries of a batch with their passages."""
    passages = batch.members[queries].flatten()
    teacher = batch.teacher
    assert teacher is not None
    return Batch(
        [batch.queries[n] for n in queries],
        [batch.passages[n] for n in passages],
        np.arange(len(passages)).reshape(len(queries), -1),
        teacher[queries],
        batch.keys[passages],
        batch.positives[queries],
        in_batch=True,
    )


def train(rank: int, folder: str, chunk_tokens: int | None) -> None:
    """Compute a device's gradients, and their mean over devices."""
    dist: Any = torch.distributed  # PyTorch exports without saying so

    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    batch = part(make_batch(), [0, 1, 2, 3] if rank == 0 else [4, 5])  # not the same number
    options = LossOptions(teacher="kl", temperature=0.05, cross_device_negatives=True)
    loss, computed = gradients(load_tiny(), batch, options, chunk_tokens)
    for gradient in computed.values():
        dist.all_reduce(gradient)
        gradient.div_(2)
    losses = torch.tensor([loss])
    dist.all_reduce(losses)
    if rank == 0:
        torch.save((losses.item() / 2, computed), f"{folder}/result.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize("chunk_tokens", [None, 150], ids=["whole", "cached"])
def test_negatives_of_other_devices_give_the_gradients_of_one_device(
    tmp_path: Path, chunk_tokens: int | None
) -> None:
    spawn(train, (str(tmp_path), chunk_tokens), nprocs=2)  # type: ignore[no-untyped-call]  # PyTorch has no types here
    loss, computed = torch.load(tmp_path / "result.pt", weights_only=True)
    expected_loss, expected = gradients(load_tiny(), make_batch(), OPTIONS, None)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    assert computed.keys() == expected.keys()
    assert distance(computed, expected) <= 1e-5


SCRIPT = """
import sys
from m3kit.training import *
options = FinetuneOptions(
    batches=BatchOptions(batch_size=int(sys.argv[3])), learning_rate=1e-4, max_steps=3,
    texts=TextOptions(group_size=4), chunk_tokens=int(sys.argv[4]) or None,
    loss=LossOptions(cross_device_negatives=True), heads=None,
    settings={"disable_tqdm": True, "use_cpu": True, "logging_steps": 1, "save_strategy": "no",
              "max_grad_norm": 0.0, "optim": "sgd"},
)
finetune([sys.argv[1]], sys.argv[2], model="tiny", options=options)
"""


@pytest.mark.parametrize("chunk_tokens", [0, 150], ids=["whole", "cached"])
def test_torchrun_trains_on_two_processes_as_on_one(
    write: Callable[..., Path], tmp_path: Path, chunk_tokens: int
) -> None:
    data = write(rows(24))
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}

    def run(folder: str, processes: int, batch_size: int) -> dict[str, torch.Tensor]:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc_per_node={processes}", str(script), str(data), str(tmp_path / folder)]
        done = subprocess.run(
            [*command, str(batch_size), str(chunk_tokens)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads((tmp_path / folder / "finetune.json").read_text())
        assert record["processes"] == processes
        return load_file(tmp_path / folder / "model.safetensors")

    apart, together = run("two", 2, 4), run("one", 1, 8)
    assert max(float((apart[n] - together[n]).abs().max()) for n in together) <= 1e-6
