"""What an agent is told of an index before it asks: its size, languages and fields."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from m3kit.fields import FieldSummary, sample_fields
from m3kit.filters import Field
from m3kit.index import HybridIndex
from m3kit.server.mcp.budget import compact_json, fit_list

SAMPLE = 1000
"""How many documents are read to learn what fields there are."""

_TOKENS = 500
"""For the list of fields in a tool's description."""

_VALUES = 8
"""Values of a field that are listed there."""

_CHARACTERS = 40
"""Of such a value; longer ones are not listed."""

_LANGUAGE_FIELDS = ("lang", "language", "languages", "lang_code", "locale")
_TEXTS = 200
"""Texts whose script is looked at, where no field says the language."""


@dataclass(frozen=True, slots=True)
class Description:
    """
    What a sample tells of an index.

    Args:
        count: How many documents it has.
        sampled: How many of them were read.
        languages: Those that a field of that name holds, or else scripts, most frequent first.
        fields: See `m3kit.fields.sample_fields`.
    """

    count: int
    sampled: int
    languages: tuple[str, ...]
    fields: tuple[FieldSummary, ...]

    @classmethod
    def of(cls, index: HybridIndex) -> Description:
        """Read a sample of an index."""
        fields = sample_fields(index, documents=SAMPLE)
        count = index.count()
        languages = tuple(_languages(fields)) or tuple(_scripts(index))
        return cls(count, min(count, SAMPLE), languages, fields)

    def to_text(self) -> str:
        """Describe it in a few lines of bounded length."""
        lines = [f"The index holds {self.count} documents."]
        if self.languages:
            lines.append(f"Languages or scripts: {', '.join(self.languages)}.")
        lines_of_fields = [_line(summary) for summary in self.fields]
        fitting = fit_list(lines_of_fields, _TOKENS)
        if fitting:
            lines.append("Fields of the metadata, for where and group_by:")
            lines.extend(fitting)
        if more := len(lines_of_fields) - len(fitting):
            lines.append(f"and {more} more; list_fields has them")
        return "\n".join(lines)


def field_of(summary: FieldSummary) -> Field:
    """Return a field as filters name it: a name, or a path as a tuple."""
    return summary.path[0] if len(summary.path) == 1 else summary.path


def _line(summary: FieldSummary) -> str:
    line = f"- {compact_json(field_of(summary))} ({summary.kind})"
    if summary.lowest is not None:
        return f"{line}: {compact_json(summary.lowest)} to {compact_json(summary.highest)}"
    values = [value for value, _ in summary.values or () if len(str(value)) <= _CHARACTERS]
    if not values:
        return line
    shown = ", ".join(map(compact_json, values[:_VALUES]))
    return f"{line}: {shown}{', …' if len(values) > _VALUES else ''}"


def _languages(fields: Sequence[FieldSummary]) -> Iterator[str]:
    for summary in fields:
        if summary.path[-1].lower() in _LANGUAGE_FIELDS and summary.values:
            values = [value for value, _ in summary.values]
            yield from (str(value) for value in values if len(str(value)) <= _CHARACTERS)
            return


def _scripts(index: HybridIndex) -> Iterator[str]:
    """Name the scripts of the texts, as Unicode does: Latin, Cyrillic, CJK."""
    counts: Counter[str] = Counter()
    for record in islice(index.scan(), _TEXTS):
        letters = (char for char in record.document.text[:_TEXTS] if char.isalpha())
        counts.update({unicodedata.name(char, "unknown").split()[0] for char in letters})
    for script, count in counts.most_common(_VALUES):
        if count > 1 or len(counts) == 1:
            yield script.capitalize() if script != "CJK" else script
