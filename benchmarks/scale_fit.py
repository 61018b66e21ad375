"""
What the vectors of `benchmarks.scale_data` are fitted to, and how near they come.

    python -m benchmarks.scale_fit [--packages DIR]

The shipped model reads sections of LibreOffice's help and Debian's handbook in English, German and
French, from Debian's packages, as `python -m training.tiny` fetches them. `mean` is the squared
length of their vectors' mean, `exponent` and `decay` are those of the spectrum, and `nearest` is
the median cosine of 500 sections and the n-th nearest of 10,000 others, by n.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from benchmarks.machine import describe, to_line
from benchmarks.scale_data import Generator, dense_of
from training.tiny.build import Build
from training.tiny.options import Options

from m3kit.torch import TorchEncoder
from m3kit.vectors import Floats

_LANGUAGES = ("en", "de", "fr")
_SECTIONS, _QUERIES = 10_000, 500
_CHARACTERS = range(80, 600)
_RANKS = (1, 3, 10, 30, 100)
_FITTED = 100
"""The largest variances, by which the spectrum is fitted."""


def sections(build: Build) -> list[str]:
    """Draw sections that are neither a few words nor more than the first of a long text."""
    texts = {
        entry.sections[lang].text[: _CHARACTERS.stop]: None
        for entry in build.training
        for lang in _LANGUAGES
        if lang in entry.sections and len(entry.sections[lang].text) > _CHARACTERS.start
    }
    return random.Random(0).sample(list(texts), _SECTIONS + _QUERIES)  # noqa: S311  # not a secret


def spectrum(vectors: Floats) -> dict[str, float]:
    """Fit variances to a power and an exponential, by least squares of their logarithms."""
    mean = vectors.mean(axis=0)
    variances = np.linalg.eigvalsh(np.cov((vectors - mean).T))[::-1][:_FITTED]
    ranks = np.arange(1, _FITTED + 1)
    features = np.stack([np.ones(_FITTED), np.log(ranks), ranks], axis=1)
    (_, exponent, decay), *_ = np.linalg.lstsq(features, np.log(variances), rcond=None)
    return {
        "mean": round(float(mean @ mean), 3),
        "exponent": round(float(exponent), 2),
        "decay": round(float(-1 / decay), 1),
    }


def nearest(documents: Floats, queries: Floats) -> dict[int, float]:
    """Return the median cosine of a query and its n-th nearest document, by n."""
    scores = np.sort(queries @ documents.T, axis=1)[:, ::-1]
    return {rank: round(float(np.median(scores[:, rank - 1])), 3) for rank in _RANKS}


def main() -> None:
    """Measure, and print both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--packages", type=Path, help="a folder of .deb files")
    parser.add_argument("--work", type=Path, default=Path("build/tiny"))
    options = parser.parse_args()
    texts = sections(Build(options.work, Options(), options.packages))
    vectors = dense_of(TorchEncoder.from_pretrained("tiny").encode_documents(texts, ["dense"]))
    queries, documents = vectors[:_QUERIES], vectors[_QUERIES:]
    print(to_line(describe()))
    print("model:    ", spectrum(vectors), "nearest", nearest(documents, queries))
    generator = Generator("tiny", _SECTIONS)
    documents = dense_of(generator.documents(0, _SECTIONS))
    queries = dense_of(generator.queries(_QUERIES))
    print("generated:", spectrum(documents), "nearest", nearest(documents, queries))


if __name__ == "__main__":
    main()
