"""
The command line: `m3kit encode | index | search | explain | info | export | evaluate | compare`.

Results go to stdout; progress, warnings (`warning: …`) and errors (`error: …`, one line that says
what to do) to stderr. Set M3KIT_DEBUG=1 for the traceback behind an error.

Exit codes, also in `m3kit.cli.exit_codes.Code`:

    0    done; a search that finds nothing is done too
    1    failed: what the system or an engine had to say
    2    wrong usage
    3    bad input: a file, a line, a document, an unknown id
    4    a problem with the index: none there, locked, made by another model
    5    a problem with the model: none there, not a checkpoint
    130  stopped by Ctrl-C
    141  whoever read the output has gone (`m3kit encode … | head`)
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from typing import Any


def main() -> None:
    """Run the command that `sys.argv` asks for, and exit."""
    if not os.environ.get("M3KIT_DEBUG"):
        warnings.simplefilter("ignore")  # what libraries tell their developers
        warnings.filterwarnings("default", category=UserWarning, module="m3kit")
        warnings.showwarning = _show
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that cannot show 表 shows "?"
    try:
        from m3kit.cli.app import app
    except ModuleNotFoundError as error:
        if os.environ.get("M3KIT_DEBUG"):
            raise
        sys.exit(
            f"error: the command line needs {error.name}, which is not installed: "
            "pip install 'm3kit[cli]'"
        )
    app()


def _show(message: Warning | str, *_: Any, **__: Any) -> None:
    logging.getLogger("m3kit").warning("%s", message)
