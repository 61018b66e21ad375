"""The numerical difference between two encoders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from m3kit.encoder import Encoder
from m3kit.vectors import M3Output, Rep

TEXTS = (
    "",
    "table",
    "How do I keep the first row in view while I scroll through a long table?",
    "Wie lässt sich ein Bild so in den Text einfügen, dass es beim Umbruch mitwandert?",
    "Pour imprimer plusieurs pages sur une feuille, choisissez la mise en page de l'imprimante.",
    "Как изменить цвет фона ячейки?",
    "文書をパスワードで保護するには、保存するときに設定します。",
    "在文档中插入表格并调整列宽。",
    "لحفظ الملف بصيغة أخرى اختر النوع من القائمة.",
    "SELECT id, title FROM pages WHERE lang = 'en' ORDER BY 2;  -- 1,204 rows in 0.03 s",
    " ".join(f"Step {number}: open the menu, choose a style and apply it." for number in range(30)),
)
"""The texts that encoders are compared on."""

MEASURES: dict[Rep, str] = {
    "dense": "1 - cos dense",
    "sparse": "lexical weight",
    "colbert": "1 - cos colbert",
}
"""How the error of each representation is measured."""


def errors(encoder: Encoder, reference: Encoder) -> dict[Rep, float]:
    """Return the largest error on `TEXTS` for each representation of the reference."""
    actual, exact = encoder.encode_documents(TEXTS), reference.encode_documents(TEXTS)
    return {rep: largest_error(actual, exact, rep) for rep in reference.reps}


def largest_error(actual: Sequence[M3Output], exact: Sequence[M3Output], rep: Rep) -> float:
    """Return the largest error of a representation, measured as `MEASURES` says."""
    return max(_error(*outputs, rep) for outputs in zip(actual, exact, strict=True))


def _error(actual: M3Output, exact: M3Output, rep: Rep) -> float:
    if rep == "sparse":
        weights, exact_weights = _weights(actual), _weights(exact)
        ids = weights | exact_weights
        return max((abs(weights.get(id_, 0) - exact_weights.get(id_, 0)) for id_ in ids), default=0)
    return float(1 - (_unit(getattr(actual, rep)) * _unit(getattr(exact, rep))).sum(-1).min())


def _weights(output: M3Output) -> dict[int, float]:
    return {} if output.sparse is None else output.sparse.to_dict()


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    unit: NDArray[np.float64] = wide / np.linalg.norm(wide, axis=-1, keepdims=True)
    return unit
