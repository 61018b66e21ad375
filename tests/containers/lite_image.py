"""
Build a local image in which `milvus-lite server` stands in for Milvus.

    python tests/containers/lite_image.py [--base python:3.11-slim | --debootstrap bookworm]

It is started as a Milvus container is (`milvus run standalone`, the port 19530, `/healthz` on
9091), so that the same tests reach it by the same way; it is not the vendor's server, and its name
says so. The packages are installed here and copied, so that no step within Docker needs a network.
Where the base image cannot be pulled, `--debootstrap` makes one from Debian's archive, as root.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

NAME = f"m3kit/milvus-lite-stand-in:{version('milvus-lite')}"
_LOCK = Path(__file__).parents[2] / "requirements" / "milvus.txt"
_OWN_BASE = "m3kit/debian-python"

_MILVUS = '''#!/usr/bin/env python3
"""What is called `milvus` here: Milvus Lite's server, and the signs of life of Milvus."""
import subprocess, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"OK")

threading.Thread(target=HTTPServer(("", 9091), Health).serve_forever, daemon=True).start()
print("Welcome to use Milvus! (Milvus Lite stands in)", flush=True)
command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", "/var/lib/milvus"]
sys.exit(subprocess.call([*command, "--host", "0.0.0.0", "--port", "19530"]))
'''

_DOCKERFILE = """FROM {base}
COPY site /opt/site
COPY --chmod=755 milvus /usr/local/bin/milvus
ENV PYTHONPATH=/opt/site PYTHONUNBUFFERED=1
EXPOSE 19530 9091
STOPSIGNAL SIGINT
CMD ["milvus", "run", "standalone"]
"""


def build(base: str) -> str:
    """Build the image on a base that has the Python of this process; return its name."""
    locked = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(_LOCK)]
    with TemporaryDirectory() as folder:
        site = Path(folder, "site")
        _run(sys.executable, "-m", "pip", "install", "-q", "--target", str(site), *locked)
        Path(folder, "milvus").write_text(_MILVUS, "utf-8")
        Path(folder, "Dockerfile").write_text(_DOCKERFILE.format(base=base), "utf-8")
        _run("docker", "build", "-q", "-t", NAME, folder)
    return NAME


def debian(release: str) -> str:
    """Make a base image from Debian's archive; return its name."""
    name = f"{_OWN_BASE}:{release}"
    with TemporaryDirectory() as folder:
        root, tar = str(Path(folder, "root")), str(Path(folder, "root.tar"))
        include = "--include=python3,ca-certificates"
        _run("debootstrap", "--variant=minbase", include, release, root)
        _run("tar", "-C", root, "-cf", tar, ".")
        _run("docker", "import", tar, name)
    return name


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> None:
    """Build what the command line says, and print its name."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    python = f"python:{sys.version_info.major}.{sys.version_info.minor}-slim"
    parser.add_argument("--base", default=python, help="an image with this Python")
    parser.add_argument("--debootstrap", metavar="RELEASE", help="make a base of Debian instead")
    arguments = parser.parse_args()
    sys.stdout.write(
        f"{build(debian(arguments.debootstrap) if arguments.debootstrap else arguments.base)}\n"
    )


if __name__ == "__main__":
    main()
