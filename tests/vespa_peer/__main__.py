"""Validate application packages, or serve one: python -m tests.vespa_peer validate|serve DIR…"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from threading import Event

from tests.vespa_peer.peer import Peer, validate


def main(command: str, *packages: str) -> int:
    if command == "validate":
        reports = validate(*map(Path, packages))
        for report in reports:
            lines = [f"{report.verdict} {report.package}", *report.messages]
            sys.stdout.write("\n    ".join(lines) + "\n")
        return sum(report.verdict != "OK" for report in reports)
    if command == "serve":
        with Peer(Path(*packages)) as peer, suppress(KeyboardInterrupt):
            sys.stdout.write(f"{peer.url}\n")
            sys.stdout.flush()
            Event().wait()
        return 0
    raise SystemExit(__doc__)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
