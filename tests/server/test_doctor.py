"""Servers that are wrong on purpose are named; none that is right is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
from tests.server.conftest import Letters, Serve, serving
from tests.torch.random_checkpoint import write_long_tiny
from typer.testing import CliRunner

from m3kit.cli.app import app
from m3kit.doctor import examine
from m3kit.remote import RemoteEncoder
from m3kit.server import create_app
from m3kit.torch import TorchEncoder
from m3kit.vectors import M3Output, Sparse

Change: TypeAlias = Callable[[M3Output], M3Output]


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    """One that reads as much as shows where texts are cut."""
    return TorchEncoder.from_pretrained("tiny", document_max_length=1024)


@pytest.fixture(scope="module")
def url(encoder: TorchEncoder) -> Iterator[str]:
    with serving(create_app(encoder)) as address:
        yield address


class Wrong:
    """An encoder whose outputs are changed."""

    def __init__(self, encoder: TorchEncoder, change: Change) -> None:
        self._encoder, self._change = encoder, change
        self.model, self.dim, self.reps = encoder.model, encoder.dim, encoder.reps

    def encode_documents(self, texts: Sequence[str], reps: Any = None) -> list[M3Output]:
        outputs = self._encoder.encode_documents(texts)
        return [self._change(output).only(*(reps or self.reps)) for output in outputs]

    encode_queries = encode_documents


def _weights(output: M3Output, change: Callable[[dict[int, float]], dict[int, float]]) -> M3Output:
    assert output.sparse is not None
    return replace(output, sparse=Sparse.from_dict(change(output.sparse.to_dict())))


def _rows(output: M3Output, change: Callable[[Any], Any]) -> M3Output:
    return replace(output, colbert=np.ascontiguousarray(change(output.colbert), np.float32))


def _vector(output: M3Output, change: Callable[[Any], Any]) -> M3Output:
    return replace(output, dense=np.asarray(change(output.dense), np.float32))


def _row(like: Any, value: float) -> Any:
    return np.full((1, like.shape[1]), value)


WRONG: dict[str, Change] = {
    "sparse-log1p": lambda o: _weights(o, lambda w: {i: float(np.log1p(x)) for i, x in w.items()}),
    "sparse-special-tokens": lambda o: _weights(o, lambda w: {0: 0.2, 2: 0.3, **w}),
    "sparse-dropped": lambda o: _weights(o, lambda w: {i: x for i, x in w.items() if i % 2}),
    "sparse-scaled": lambda o: _weights(o, lambda w: {i: 3 * x for i, x in w.items()}),
    "sparse-ids": lambda o: _weights(o, lambda w: {i + 9000: x for i, x in w.items()}),
    "sparse-other": lambda o: _weights(
        o, lambda w: {i: 0.1 + (i % 7) / 3 for i in w}
    ),
    "colbert-not-normalised": lambda o: _rows(o, lambda rows: 32 * rows),
    "colbert-cls": lambda o: _rows(o, lambda rows: np.vstack([_row(rows, 0.1), rows])),
    "colbert-eos": lambda o: _rows(o, lambda rows: rows[:-1] if len(rows) > 1 else rows),
    "colbert-padded": lambda o: _rows(o, lambda rows: np.vstack([rows, _row(rows, 0.2)])),
    "colbert-pooled": lambda o: _rows(o, lambda rows: rows[::2]),
    "colbert-other": lambda o: _rows(o, lambda rows: rows[:, ::-1]),
    "dense-not-normalised": lambda o: _vector(o, lambda v: 7 * v),
    "dense-inexact": lambda o: _vector(o, lambda v: np.round(v * 64) / 64),
    "dense-other": lambda o: _vector(o, lambda v: v[::-1]),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_server_that_is_wrong_is_named(serve: Serve, encoder: TorchEncoder, name: str) -> None:
    with closing(RemoteEncoder(serve(Wrong(encoder, WRONG[name])))) as remote:
        assert [finding.name for finding in examine(remote, encoder)] == [name]


class Summed(Wrong):
    """Adds the weights of a repeated token up, as if each place had the highest."""

    def encode_documents(self, texts: Sequence[str], reps: Any = None) -> list[M3Output]:
        outputs = []
        for text, output in zip(texts, self._encoder.encode_documents(texts), strict=True):
            counts = Counter(id_ for id_, _ in self._encoder.document_tokens(text))
            summed = _weights(output, lambda w, c=counts: {i: x * c[i] for i, x in w.items()})  # type: ignore[misc]
            outputs.append(summed.only(*(reps or self.reps)))
        return outputs


def test_summed_weights_are_named(serve: Serve, encoder: TorchEncoder) -> None:
    with closing(RemoteEncoder(serve(Summed(encoder, lambda o: o)))) as remote:
        assert [finding.name for finding in examine(remote, encoder)] == ["sparse-summed"]


def test_another_width_is_named(serve: Serve, letters: Letters, encoder: TorchEncoder) -> None:
    with closing(RemoteEncoder(serve(letters))) as remote:
        assert [finding.name for finding in examine(remote, encoder)] == ["width"]


@pytest.mark.parametrize(("right", "code"), [(True, 0), (False, 1)])  # fmt: skip
def test_the_command_says_it(serve: Serve, *, right: bool, code: int) -> None:
    tiny = TorchEncoder.from_pretrained("tiny")
    address = serve(tiny if right else Wrong(tiny, WRONG["sparse-log1p"]))
    result = CliRunner().invoke(app, ["doctor", address, "--reference", "tiny"])
    assert result.exit_code == code, result.output
    assert ("sparse-log1p: " in result.output) != right


def test_mean_pooling_is_named(serve: Serve, encoder: TorchEncoder) -> None:
    mean = TorchEncoder.from_pretrained("tiny", pooling="mean")
    with closing(RemoteEncoder(serve(mean))) as remote:
        (finding,) = examine(remote, encoder)
        assert finding.name == "dense-other"
        assert "mean instead of CLS" in finding.message


def test_a_cut_at_512_is_named(serve: Serve, tmp_path: Path) -> None:
    folder = write_long_tiny(tmp_path / "long", 2050)
    reference = TorchEncoder.from_pretrained(folder)
    short = TorchEncoder.from_pretrained(folder, document_max_length=512)
    with closing(RemoteEncoder(serve(short))) as remote:
        (finding,) = examine(remote, reference)
        assert (finding.name, "at 512 tokens" in finding.message) == ("cut", True)


@pytest.mark.parametrize("api", ["m3kit", "tei", "vllm", "openai"])
def test_a_server_that_is_right_is_not_named(url: str, encoder: TorchEncoder, api: Any) -> None:
    with closing(RemoteEncoder(url, api=api)) as remote:
        assert examine(remote, encoder) == []


def test_half_precision_is_right(serve: Serve, encoder: TorchEncoder) -> None:
    def rounded(output: M3Output) -> M3Output:
        return _rows(
            _vector(output, lambda v: v.astype(np.float16)), lambda r: r.astype(np.float16)
        )

    with closing(RemoteEncoder(serve(Wrong(encoder, rounded)))) as remote:
        assert examine(remote, encoder) == []
