"""The file of documents that could not be indexed, with the reasons."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TextIO

from m3kit.adapters.closing import ClosesOnExit
from m3kit.ingest.documents import Reject

_EXAMPLES = 3


class RejectsFile(ClosesOnExit):
    """
    Writes rejects as JSON Lines: `{"source": …, "line": … or null, "reason": …}`.

    The file is made at the first reject; one of a former run is removed at the start, so that what
    is there is of the last run.

    Args:
        path: The file; None only counts.
    """

    def __init__(self, path: str | PathLike[str] | None) -> None:
        self.path = None if path is None else Path(path)
        self.count = 0
        self.examples: list[Reject] = []
        self._file: TextIO | None = None
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def add(self, reject: Reject) -> None:
        """Write a reject."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(reject)
        if self.path is None:
            return
        if self._file is None:
            self._file = self.path.open("w", encoding="utf-8")
        fields = {"source": reject.source, "line": reject.line, "reason": reject.reason}
        self._file.write(f"{json.dumps(fields, ensure_ascii=False)}\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._file is not None:
            self._file.close()
            self._file = None
