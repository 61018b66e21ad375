"""`m3kit doctor`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from m3kit.cli import options as o
from m3kit.cli.exit_codes import Code
from m3kit.cli.opening import load_encoder, model_of, open_existing

if TYPE_CHECKING:
    from m3kit.doctor import Finding  # NumPy's import takes time


def doctor(
    examined: Annotated[
        str,
        typer.Argument(
            metavar="URL|MODEL|INDEX",
            show_default=False,
            help="A server, a checkpoint, or an index: a folder, milvus://…, qdrant://…, vespa://…",
        ),
    ],
    *,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            show_default=False,
            help="The same model, as it should be; by default the model of the index, and of "
            "others the scores on BAAI/bge-m3's model card.",
        ),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="Documents of an index to encode again.")] = 64,
    device: o.Device = None,
) -> None:
    """Hold a server, a checkpoint or an index against a reference, and name what is wrong."""
    if _is_index(examined):
        findings, right = _examine_index(examined, reference, sample, device)
    else:
        findings, right = _examine_encoder(examined, reference, device)
    for finding in findings:
        typer.echo(f"{finding.name}: {finding.message}")
    if findings:
        raise typer.Exit(Code.FAILED)
    typer.echo(f"nothing is wrong: {right}")


def _is_index(name: str) -> bool:
    scheme = name.partition("://")[0] if "://" in name else None
    if scheme is None:
        return (Path(name).expanduser() / "m3kit.json").exists()
    return scheme not in {"http", "https"}


def _examine_index(
    address: str, reference: str | None, sample: int, device: str | None
) -> tuple[list[Finding], str]:
    from m3kit.doctor import examine_index

    with open_existing(address) as index:
        right = load_encoder(reference or model_of(index), device)
        findings = examine_index(index, right, sample=sample)
        count = index.count()
        return findings, f"{min(sample, count)} of {count} documents are {right.model}'s"


def _examine_encoder(
    model: str, reference: str | None, device: str | None
) -> tuple[list[Finding], str]:
    from m3kit.doctor import examine, examine_published

    encoder = load_encoder(model)
    reps = ", ".join(sorted(encoder.reps))
    if reference is None:
        return examine_published(encoder), f"{reps} give the scores on BAAI/bge-m3's model card"
    right = load_encoder(reference, device)
    return examine(encoder, right), f"{reps} are those of {right.model}"
