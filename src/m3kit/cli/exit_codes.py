"""How a command ends: its exit codes, and every error as one line."""

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

from m3kit.cli.terminal import plain
from m3kit.index import DocumentError, M3Error

_UsageError = typer.BadParameter.__mro__[1]  # Typer exports only what derives from it


class Code(IntEnum):
    """What a shell sees."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INPUT = 3
    INDEX = 4
    MODEL = 5
    STOPPED = 130
    UNREAD = 141


class InputError(Exception):
    """Bad input; the text names the file and the line, and says what to do."""


class ModelError(Exception):
    """A model that cannot be had; the text says what to do."""


@contextmanager
def ending() -> Iterator[None]:
    """Show warnings as lines, and turn whatever goes wrong into one line and an exit code."""
    try:
        with _warnings_shown():
            yield
            sys.stdout.flush()
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        _forget_stdout()
        raise typer.Exit(Code.UNREAD) from None
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  # every error ends here
        if os.environ.get("M3KIT_DEBUG"):
            traceback.print_exception(error)
        _say(f"error: {explained(error)}")
        raise typer.Exit(code_of(error)) from None


def code_of(error: BaseException) -> Code:
    """Return the exit code of an error."""
    match error:
        case InputError() | DocumentError():
            return Code.INPUT
        case ModelError():
            return Code.MODEL
        case M3Error():
            return Code.INDEX
        case KeyboardInterrupt():
            return Code.STOPPED
        case _:
            return Code.USAGE if isinstance(error, _UsageError) else Code.FAILED


def explained(error: BaseException) -> str:
    """Say an error and its notes in one line."""
    said = [_message(error), *(f"({note})" for note in getattr(error, "__notes__", ()))]
    return plain(" ".join(said))


def _message(error: Any) -> str:
    match error:
        case InputError() | ModelError() | M3Error():
            return str(error)
        case KeyboardInterrupt():
            return "stopped"
        case _ if isinstance(error, _UsageError):
            return _usage(error)
        case OSError(strerror=str(why), filename=file):
            return why if file is None else f"{file}: {why}"
        case _:
            return f"{type(error).__name__}: {error}"


def _usage(error: Any) -> str:
    command = error.ctx.command_path if error.ctx else "m3kit"
    return f"{error.format_message().rstrip('.')} (see `{command} --help`)"


def _say(line: str) -> None:
    with suppress(OSError):  # nobody is left to be told
        sys.stderr.write(f"{line}\n")


def _forget_stdout() -> None:
    """Let the interpreter flush into nothing when it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Lines(logging.Handler):
    """Writes `warning: …` to what stderr is at that moment, which a progress bar may have taken."""

    def emit(self, record: logging.LogRecord) -> None:
        _say(f"{record.levelname.lower()}: {plain(record.getMessage())}")


@contextmanager
def _warnings_shown() -> Iterator[None]:
    logger, handler = logging.getLogger("m3kit"), _Lines(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
