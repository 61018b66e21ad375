"""The folder of an evaluation, from which an interrupted one goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np

from m3kit._files import replace_text
from m3kit.evaluation.dataset import EvaluationError, Run
from m3kit.evaluation.report import Report
from m3kit.evaluation.trec import read_run, run_lines, write_qrels


class WorkFolder:
    """
    What an evaluation writes, each file as soon as it is known.

        settings.json       what is evaluated; another evaluation in the same folder is refused
        stream.npz          how far the corpus is read, and what was found up to there
        runs/<name>.trec    a run for each mode
        qrels.trec          what the runs are measured by
        report.json         the measures

    Args:
        path: The folder, made if need be.
        settings: What makes two evaluations the same, as JSON.

    Raises:
        EvaluationError: If the folder belongs to an evaluation with other settings.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        (path / "runs").mkdir(parents=True, exist_ok=True)
        file = path / "settings.json"
        if not file.is_file():
            replace_text(file, json.dumps(settings, indent=2, ensure_ascii=False))
            return
        stored = json.loads(file.read_text("utf-8"))
        differing = [key for key in settings if settings[key] != stored.get(key)]
        if differing:
            changes = "; ".join(
                f"{key}: {stored.get(key)!r}, not {settings[key]!r}" for key in differing
            )
            raise EvaluationError(
                f"{path} holds another evaluation ({changes}); give another folder, or remove this"
            )

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path | None, settings: Mapping[str, Any]) -> Iterator[Self]:
        """Open the folder, or a temporary one if there is no path."""
        if path is not None:
            yield cls(Path(path).expanduser(), settings)
            return
        with TemporaryDirectory(prefix="m3kit-") as folder:
            yield cls(Path(folder), settings)

    @property
    def stream(self) -> Path:
        """The state of the stream."""
        return self.path / "stream.npz"

    def load_stream(self) -> Mapping[str, Any] | None:
        """Read the state of the stream, if there is one."""
        if not self.stream.is_file():
            return None
        with np.load(self.stream, allow_pickle=False) as stored:
            return dict(stored)

    @contextmanager
    def replacing_stream(self) -> Iterator[Path]:
        """Give a path to write the state to, which replaces the old one when all is written."""
        unfinished = self.path / "stream.part.npz"
        yield unfinished
        os.replace(unfinished, self.stream)  # noqa: PTH105  # replaces on Windows, too

    def write(self, report: Report) -> None:
        """Write what was found, what it was measured by, and the measures."""
        for name, run in report.runs.items():
            self.run_file(name).write(run)
        write_qrels(self.path / "qrels.trec", report.qrels)
        written = json.dumps(report.to_json(), indent=2, ensure_ascii=False)
        replace_text(self.path / "report.json", written)

    def run_file(self, name: str) -> RunFile:
        """Return the file of a run."""
        return RunFile(self.path / "runs" / f"{name.replace('/', '_')}.trec", name)


class RunFile:
    """A run that grows query by query; one that was interrupted keeps its whole queries."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._tag = name
        self.run: dict[str, list[tuple[str, float]]] = {}
        if path.is_file():
            text = path.read_text("utf-8")
            if not text.endswith("\n"):
                replace_text(path, text[: text.rfind("\n") + 1])
            self.run = read_run(path)
            self._drop_last()

    def add(self, query: str, ranking: list[tuple[str, float]]) -> None:
        """Write the next query."""
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write("".join(run_lines(query, ranking, self._tag)))
        self.run[query] = ranking

    def write(self, run: Run) -> None:
        """Write a whole run, in place of what is there."""
        self.run = {query: list(ranking) for query, ranking in run.items()}
        lines = (
            line for query, ranking in run.items() for line in run_lines(query, ranking, self._tag)
        )
        replace_text(self._path, "".join(lines))

    def _drop_last(self) -> None:
        """Forget the last query, which may have been written in part."""
        if self.run:
            del self.run[next(reversed(self.run))]
            self.write(self.run)
