"""Chromium as it is installed on this machine: Playwright's own builds are not downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")

MISSING = "no Chromium is installed: apt-get install chromium, or set M3KIT_CHROMIUM to its path"


def chromium_path() -> str | None:
    """Return the path of Chromium, or None if there is none."""
    named = os.environ.get("M3KIT_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _NAMES)), None)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Run it without a window."""
    with sync_playwright() as playwright:
        # a root user, as in a container, has no sandbox
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
