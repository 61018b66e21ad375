"""`m3kit evaluate` and `m3kit compare`: how well each way of searching finds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from m3kit.cli import evaluate_options as e
from m3kit.cli import options as o
from m3kit.cli.exit_codes import InputError
from m3kit.cli.opening import (
    DEFAULT_MODEL,
    load_encoder,
    load_reranker,
    open_existing,
    open_for_writing,
)
from m3kit.cli.printing import print_json
from m3kit.cli.progress import progress_bar
from m3kit.index import OpenedIndex

if TYPE_CHECKING:
    from m3kit.cli.opening import AnyEncoder
    from m3kit.evaluation import Dataset, Mode, Policy, Report


def evaluate(
    data: e.Data,
    *,
    model: o.Model = DEFAULT_MODEL,
    device: o.Device = None,
    modes: e.Modes = None,
    weights: o.Weights = None,
    measures: e.Measures = None,
    index: e.Index = None,
    filled: e.Filled = False,
    exact: e.Exact = None,
    bm25: e.Bm25 = False,
    stopwords: e.StopWords = "en",
    reranker: e.RerankerName = None,
    k: o.Hits = 100,
    candidates: e.Candidates = 100,
    split: e.SplitName = None,
    lang: e.Lang = None,
    drop_query_id: e.DropQueryId = False,
    policy: e.PolicyEntries = None,
    to: e.To = None,
    plot: e.Plot = None,
    batch: o.Batch = 128,
    as_json: o.AsJson = False,
) -> None:
    """Measure how well each way of searching finds, and what it costs."""
    with _evaluating():
        from m3kit import evaluation

        chosen_policy = _policy(policy or [])
        chosen_modes = _modes(modes)
        chosen_weights = None if weights is None else o.read_weights(weights)
        judged = index is not None and evaluation.is_judged(data)
        collection = None if judged else _dataset(data, split, lang, drop_query_id=drop_query_id)
        encoder = load_encoder(model, device)
        progress = progress_bar("evaluating", [])
        opened = _index(encoder, index, chosen_policy, filled=filled or judged)
        with progress.display, opened as through:
            report = evaluation.evaluate(
                encoder,
                collection or evaluation.read_judged(data, _opened(through)),
                modes=chosen_modes,
                weights=chosen_weights,
                measures=_listed(measures),
                index=through,
                exact=not judged if exact is None else exact,
                fill=not (filled or judged),
                k=k,
                candidates=candidates,
                reranker=None if reranker is None else load_reranker(reranker, device),
                baselines=evaluation.bm25_baselines(encoder, stopwords=stopwords) if bm25 else None,
                folder=to,
                policy=chosen_policy,
                batch_size=batch,
                on_batch=progress.on_batch,
            )
        if plot is not None:
            evaluation.plot(report, str(plot))
    _print(report, as_json=as_json)


def compare(
    first: e.Run,
    second: e.Run,
    *,
    qrels: e.QrelsFile,
    measures: e.Chosen = "nDCG@10",
) -> None:
    """Test whether one run is better than another, query by query."""
    with _evaluating():
        from m3kit import evaluation

        results = evaluation.compare(
            evaluation.read_run(first),
            evaluation.read_run(second),
            evaluation.read_qrels(qrels),
            _listed(measures) or ["nDCG@10"],
        )
        typer.echo(evaluation.comparison_table(results))


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(report.to_json())
    else:
        typer.echo(f"{report.summary()}\n\n{report.table()}")


@contextmanager
def _evaluating() -> Iterator[None]:
    """Say what the extra brings, and make bad input of what a collection has wrong."""
    try:
        from m3kit.evaluation import EvaluationError
    except ModuleNotFoundError as error:
        raise InputError(
            f"an evaluation needs {error.name}, which is not installed: pip install 'm3kit[eval]'"
        ) from error
    try:
        yield
    except EvaluationError as error:
        raise InputError(str(error)) from error


def _dataset(data: str, split: str | None, lang: str | None, *, drop_query_id: bool) -> Dataset:
    from m3kit.evaluation import load_dataset, read_folder

    name, colon, _ = data.partition(":")
    by_name = (bool(colon) and "/" not in name) or data == "narrativeqa"
    if by_name and not Path(data).exists():
        return load_dataset(data, split=split)
    return read_folder(data, split=split, lang=lang, keep_query_id=not drop_query_id)


def _modes(written: str | None) -> list[Mode] | None:
    from m3kit.evaluation import MODES

    names = _listed(written)
    if unknown := [name for name in names or () if name not in MODES]:
        raise typer.BadParameter(
            f"{', '.join(unknown)}: write some of {', '.join(MODES)}", param_hint="--modes"
        )
    return None if names is None else [MODES[name] for name in names]


def _policy(written: list[str]) -> Policy:
    from m3kit.evaluation import Policy

    known = Policy.choices()
    chosen: dict[str, Any] = dict(entry.partition("=")[::2] for entry in written)
    for key, value in chosen.items():
        if value not in known.get(key, ()):
            choices = "; ".join(f"{name}={'|'.join(values)}" for name, values in known.items())
            raise typer.BadParameter(f"{key}={value}: write {choices}", param_hint="--policy")
    return Policy(**chosen)


@contextmanager
def _index(
    encoder: AnyEncoder, address: str | None, policy: Policy, *, filled: bool
) -> Iterator[OpenedIndex | None]:
    if address is None:
        yield None
    elif filled or policy.other_model == "warn":
        with open_existing(address) as index:
            yield index
    else:
        with open_for_writing(encoder, address, None) as index:
            yield index


def _opened(index: OpenedIndex | None) -> OpenedIndex:
    if index is None:
        raise InputError("judgements are of the documents of an index; give it with --index")
    return index


def _listed(written: str | None) -> list[str] | None:
    return (
        None if written is None else [part.strip() for part in written.split(",") if part.strip()]
    )
