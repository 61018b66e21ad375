"""
The command line: `m3kit encode | index | delete | list | verify | search | explain | info | …`.

Results go to stdout; progress, warnings (`warning: …`) and errors (`error: …`, one line with the
remedy) go to stderr. Set M3KIT_DEBUG=1 to see the traceback of an error.

Exit codes, also in `m3kit.cli.exit_codes.Code`:

    0    success, also of a search without hits
    1    an error of the system or of an engine
    2    wrong usage
    3    bad input: a file, a line, a document, an unknown id
    4    a problem with the index: missing, locked, made by another model
    5    a problem with the model: missing, not a checkpoint
    130  stopped by Ctrl-C
    143  stopped by SIGTERM
    141  the reader of the output has closed it (`m3kit encode … | head`)
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any


def main() -> None:
    """Run the command of `sys.argv`, and exit."""
    if not os.environ.get("M3KIT_DEBUG"):
        warnings.simplefilter("ignore")  # libraries' warnings are for developers
        warnings.filterwarnings("default", category=UserWarning, module="m3kit")
        warnings.showwarning = _show
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot show 表 shows "?"
    try:
        from m3kit.cli.app import app
        from m3kit.cli.exit_codes import Code
        from m3kit.cli.stopping import leave
    except ModuleNotFoundError as error:
        if os.environ.get("M3KIT_DEBUG"):
            raise
        sys.exit(
            f"error: the command line needs {error.name}, which is not installed: "
            "pip install 'm3kit[cli]'"
        )
    try:
        app()
    except SystemExit as error:
        leave(error.code if isinstance(error.code, int) else Code.FAILED)
        raise


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    logging.getLogger("m3kit").warning("%s", message)
