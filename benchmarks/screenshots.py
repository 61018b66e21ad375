"""
Takes the pictures of the playground in `docs/images`.

    python -m benchmarks.screenshots [--to FOLDER]

It needs Chromium, and the fonts that are in the pictures: apt-get install chromium fonts-inter.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from benchmarks.chromium import MISSING, chromium, chromium_path
from benchmarks.sample_corpus import passages
from PIL import Image
from playwright.sync_api import Browser, Page

from m3kit import Retriever, open_index
from m3kit.torch import TorchEncoder

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
QUERY = "New Address List: Customize"
RIGHT, WRONG = "swriter-01-mm_newaddlis-7.en", "swriter-01-mailmerge03-2.en"
MOST_BYTES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is in a picture, and what is done before it is taken."""

    width: int
    height: int
    scheme: Literal["light", "dark"] = "light"
    prepare: Callable[[Page], None] = lambda _: None


def _hover(page: Page) -> None:
    page.hover(f'.card[data-id="{RIGHT}"]')


def _explain(page: Page) -> None:
    page.click(f'.card[data-id="{WRONG}"] .title')
    page.wait_for_selector(".m3-heat")
    page.mouse.move(0, 0)


PICTURES: Mapping[str, Picture] = {
    "playground-light": Picture(width=1280, height=800, prepare=_hover),
    "playground-dark": Picture(width=1280, height=800, scheme="dark", prepare=_hover),
    "playground-narrow": Picture(width=390, height=844),
    "heat-map": Picture(width=1280, height=800, prepare=_explain),
}


def main() -> None:
    """Index the English part of the sample corpus, and take every picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--to", type=Path, default=IMAGES)
    folder = parser.parse_args().to
    path = chromium_path()
    if path is None:
        sys.exit(MISSING)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch, playground(Path(scratch)) as url, chromium(path) as run:
        for name, picture in PICTURES.items():
            file = folder / f"{name}.png"
            file.write_bytes(compressed(taken(run, url, picture)))
            size = file.stat().st_size
            if size > MOST_BYTES:
                sys.exit(f"{file} has {size} bytes, more than {MOST_BYTES}")
            print(f"{file.name}: {size / 1000:.0f} kB")


@contextmanager
def playground(scratch: Path) -> Iterator[str]:
    """Run `m3kit playground` over the English part of the sample corpus."""
    encoder = TorchEncoder.from_pretrained("tiny")
    with open_index(scratch / "manual-index", encoder=encoder) as index:
        Retriever(encoder, index).add(passages("en"))
    command = [sys.executable, "-m", "m3kit.cli", "playground", "--in", "manual-index"]
    with subprocess.Popen(
        [*command, "--port", "0"], cwd=scratch, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None  # noqa: S101  # it is a pipe
        yield next(word for word in process.stdout.readline().split() if "://" in word)
        process.terminate()


def taken(browser: Browser, url: str, picture: Picture) -> bytes:
    """Search, and take a picture of the page."""
    page = browser.new_page(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=picture.scheme,
        reduced_motion="reduce",
    )
    page.goto(url)
    page.fill("#query", QUERY)
    page.press("#query", "Enter")
    page.wait_for_selector(".card")
    page.evaluate("document.activeElement.blur()")
    picture.prepare(page)
    page.wait_for_timeout(300)
    png = page.screenshot()
    page.close()
    return png


def compressed(png: bytes) -> bytes:
    """Reduce a picture to 256 colours, those of small signs among them."""
    written = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB")
    image.quantize(256, kmeans=3, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    main()
