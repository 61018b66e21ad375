"""Servers of the vendors' own: out of an image, or running already."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from functools import cache

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image is one more to have


@cache
def docker_image_status(image: str) -> tuple[bool, str]:
    """Tell within a second whether an image can be started, and why not otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # a client that fails forgets its socket
        try:
            with closing(docker.from_env(timeout=1)) as client:
                client.images.get(image)
        except ImageNotFound:
            return False, f"the image is not here: docker pull {image}"
        except DockerException as error:
            return False, f"no Docker engine answers: {f'{error}'.splitlines()[0]:.120}"
        finally:
            gc.collect()
    return True, "here"


def why_not(variable: str, image: str) -> str | None:
    """Say why there is no server to test: neither an address in the variable nor the image."""
    is_here, why = docker_image_status(image)
    if is_here or os.environ.get(variable):
        return None
    return f"{why}; or set {variable} to the address of a running server"


@contextmanager
def served(
    variable: str, image: str, start: Callable[[str], AbstractContextManager[str]]
) -> Iterator[str]:
    """
    Give a server's address: that in an environment variable, or that of a container.

    Args:
        variable: The name of the variable.
        image: What is started without it.
        start: Starts the image, gives its address, and stops it.
    """
    if address := os.environ.get(variable):
        yield address
        return
    if why := why_not(variable, image):
        pytest.skip(why)
    with start(image) as address:
        yield address
