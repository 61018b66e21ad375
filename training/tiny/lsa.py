"""
Token embeddings by latent semantic analysis across languages.

A row for each token, a column for each paragraph with all its translations: the tokens of
translations occur in the same columns, so their embeddings are near from the start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from scipy import sparse
from tokenizers import Tokenizer
from training.tiny.collection import split_of
from training.tiny.pages import Page

from m3kit.vectors import Floats

_OVERSAMPLED = 16
_POWERS = 2


def paragraph_groups(pages: Sequence[Page]) -> list[list[str]]:
    """Return the translations of each paragraph and heading of the training pages, once each."""
    groups: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for page in pages:
        if split_of(page.name) == "train":
            for section in page.sections:
                groups[page.source, page.name, section.id][page.lang] = section.heading
                for id_, text in section.paragraphs.items():
                    groups[page.source, page.name, id_][page.lang] = text
    unique = {tuple(sorted(set(group.values()))): None for group in groups.values()}
    return [list(texts) for texts in unique]


def term_matrix(groups: Iterable[Sequence[str]], tokenizer: Tokenizer) -> sparse.csr_matrix:
    """Return the counts of tokens, `(tokens, groups)`."""
    groups = list(groups)
    sizes = [len(group) for group in groups]
    encodings = tokenizer.encode_batch_fast(
        [text for group in groups for text in group], add_special_tokens=False
    )
    columns = np.repeat(np.arange(len(groups)), sizes)
    rows = [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]
    lengths = [len(row) for row in rows]
    ids = np.concatenate(rows)
    shape = (tokenizer.get_vocab_size(), len(groups))
    ones = np.ones(len(ids), dtype=np.float32)
    return sparse.csr_matrix((ones, (ids, np.repeat(columns, lengths))), shape=shape)


def inverse_frequencies(counts: sparse.csr_matrix) -> Floats:
    """Return how rare each token is: the logarithm of the share of groups that have it."""
    frequency = np.asarray((counts > 0).sum(axis=1)).ravel()
    rarity: Floats = np.log((1 + counts.shape[1]) / (1 + frequency)).astype(np.float32)
    return rarity


def embeddings(counts: sparse.csr_matrix, width: int, seed: int) -> Floats:
    """Return an embedding of unit length for each token, 0 if unseen: `(tokens, width)`."""
    weighted = sparse.diags(inverse_frequencies(counts)) @ counts.log1p()
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=0)).ravel())
    matrix = (weighted @ sparse.diags(1 / np.maximum(norms, 1e-9))).tocsr().astype(np.float32)
    left, singular = _left_singular(matrix, width, seed)
    return _unit(left * singular)


def _left_singular(matrix: sparse.csr_matrix, width: int, seed: int) -> tuple[Floats, Floats]:
    """Compute the first left singular vectors by a randomized range finder."""
    random = np.random.default_rng(seed)
    start = random.standard_normal((matrix.shape[1], width + _OVERSAMPLED), dtype=np.float32)
    basis, _ = np.linalg.qr(matrix @ start)
    for _ in range(_POWERS):
        basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    left, singular, _ = np.linalg.svd((matrix.T @ basis).T, full_matrices=False)
    return (basis @ left)[:, :width], singular[:width]


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit
