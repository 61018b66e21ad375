"""The model card, with the figures that were measured."""

from __future__ import annotations

from collections.abc import Mapping

from training.tiny.options import Options

Figures = Mapping[str, Mapping[str, float]]
"""nDCG@10 by test, then by way of searching."""

_COLUMNS = {
    "bm25": "BM25",
    "dense": "dense",
    "sparse": "sparse",
    "colbert": "ColBERT",
    "all": "weighted",
}

_CARD = """\
# tiny: a small M3 model for demos and tests

`TorchEncoder.from_pretrained("tiny")` loads it from the package, without a download, and so does
`OnnxEncoder`. It has BGE-M3's architecture and its published layout, so what works with it works
with `BAAI/bge-m3`, only better. `python -m training.tiny` makes it anew.

| | |
|---|---|
| backbone | XLM-RoBERTa, {layers} layers, {width} wide, {heads} heads, feed-forward {inner} |
| heads | `sparse_linear.pt` (lexical weights), `colbert_linear.pt` ({width}-wide vectors) |
| length | {positions:,} tokens, special ones included; it was trained on {passage_length} |
| tokenizer | Unigram, {vocabulary:,} pieces; NFKC, lower case, punctuation apart |
| languages | English, German, French, Spanish, Italian, Portuguese, Russian, Japanese, Chinese \
(simplified), Korean |
| files | float16 weights; {compressed:.1f} MB in a wheel, tokenizer included |

## What it is for

The first minute with m3kit, examples that need no network, and tests that should see what a real
model does: dense vectors that cross languages, lexical weights that find rare words, ColBERT
vectors ahead of both. It read the help pages of an office suite and a system administrator's
handbook, and nothing else: use `BAAI/bge-m3` for your data.

## Training data

Texts that are translated paragraph by paragraph, from Debian 12's packages:

| source | version | licence |
|---|---|---|
| LibreOffice help (`libreoffice-help-*`, ten languages) | 7.4.7 | MPL-2.0 |
| The Debian Administrator's Handbook (`debian-handbook`) | 11 | CC-BY-SA-3.0 or GPL-2+ |

Tokenizer and weights were trained on these alone: headings and questions made of them, index
keywords, words and spans with their sections, and paragraphs with their translations, by M3's
unified loss with self-distillation (seed {seed}). Lexical weights follow BM25's: a few units
compute them from how often a token occurs in a text, how rare it is, and how long the text is.

## Quality

nDCG@10. The first rows are sections of the LibreOffice help that were held out; the others are
documentation that the model was not made for, with headings, or single words of them, as queries.
Weighted is M3's weighted sum, 1 / 0.3 / 1.

{table}
"""


def card(options: Options, figures: Figures, compressed: int) -> str:
    """Return the text of the model card; `compressed` is in bytes."""
    fields = {name: getattr(options, name) for name in Options.__dataclass_fields__}
    return _CARD.format(**fields, compressed=compressed / 1e6, table=table(figures))


def table(figures: Figures) -> str:
    """Return figures as a table of Markdown."""
    lines = [f"| | {' | '.join(_COLUMNS.values())} |", f"|---{'|---:' * len(_COLUMNS)}|"]
    for name, row in figures.items():
        cells = (f"{row[column]:.3f}".lstrip("0") if column in row else "" for column in _COLUMNS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
