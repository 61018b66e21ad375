"""Exit codes, and errors as one line each."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any

import typer

from m3kit.cli.terminal import to_line
from m3kit.index import DocumentError, M3Error
from m3kit.ingest.documents import SourceError
from m3kit.ingest.signals import Stopped

_UsageError = typer.BadParameter.__mro__[1]  # Typer exports only its subclasses


class Code(IntEnum):
    """The exit codes."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUT = 3
    INDEX = 4
    MODEL = 5
    STOPPED = 130
    UNREAD = 141
    TERMINATED = 143


class InputError(Exception):
    """Bad input; the message names the file and the line, and the remedy."""


class ModelError(Exception):
    """A model that cannot be loaded; the message names the remedy."""


@contextmanager
def report_errors() -> Iterator[None]:
    """Print warnings as lines, and turn any error into one line and an exit code."""
    try:
        with _print_warnings():
            yield
            sys.stdout.flush()
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        _discard_stdout()
        raise typer.Exit(Code.UNREAD) from None
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # every error ends here
        if os.environ.get("M3KIT_DEBUG"):
            traceback.print_exception(error)
        _print_error(f"error: {error_line(error)}")
        raise typer.Exit(code_of(error)) from None


def code_of(error: BaseException) -> Code:
    """Return the exit code of an error."""
    match error:
        case InputError() | DocumentError() | SourceError():
            return Code.INPUT
        case ModelError():
            return Code.MODEL
        case M3Error():
            return Code.INDEX
        case Stopped():
            return Code(128 + error.signal_number)
        case KeyboardInterrupt():
            return Code.STOPPED
        case _:
            return Code.USAGE if isinstance(error, _UsageError) else Code.FAILED


def error_line(error: BaseException) -> str:
    """Return an error and its notes as one line."""
    notes = getattr(error, "__notes__", ())
    return to_line(" ".join([_message(error), *(f"({note})" for note in notes)]))


def _message(error: Any) -> str:
    match error:
        case InputError() | ModelError() | M3Error():
            return str(error)
        case KeyboardInterrupt():
            return "stopped"
        case _ if isinstance(error, _UsageError):
            return _usage(error)
        case OSError(strerror=str(reason), filename=file):
            return reason if file is None else f"{file}: {reason}"
        case _:
            return f"{type(error).__name__}: {error}"


def _usage(error: Any) -> str:
    command = error.ctx.command_path if error.ctx else "m3kit"
    return f"{error.format_message().rstrip('.')} (see `{command} --help`)"


def _print_error(line: str) -> None:
    with suppress(OSError):  # stderr may be closed
        sys.stderr.write(f"{line}\n")


def _discard_stdout() -> None:
    """Redirect stdout to nowhere, since the interpreter flushes it at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _WarningPrinter(logging.Handler):
    """Writes `warning: …` to the current stderr, which a progress bar may have replaced."""

    def emit(self, record: logging.LogRecord) -> None:
        _print_error(f"{record.levelname.lower()}: {to_line(record.getMessage())}")


@contextmanager
def _print_warnings() -> Iterator[None]:
    logger, handler = logging.getLogger("m3kit"), _WarningPrinter(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
