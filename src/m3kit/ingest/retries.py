"""Calls to an index, repeated where what failed may pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ParamSpec, TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from m3kit.index import HybridIndex, TellsTransient
from m3kit.ingest.signals import shielded

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(slots=True)
class Retries:
    """
    Calls an index again after errors that may pass, with random, exponentially longer waits.

    To write again what was written in part completes it: documents are replaced by id.

    Args:
        attempts: How often a call is made at most.
        first_wait: The first wait is at most this long, each further one at most twice as long;
            seconds.
        longest_wait: No wait is longer; seconds.
        count: How many calls were repeated.
    """

    attempts: int = 8
    first_wait: float = 0.5
    longest_wait: float = 20.0
    count: int = field(default=0, init=False)

    def call(
        self, index: HybridIndex, do: Callable[_P, _T], *args: _P.args, **options: _P.kwargs
    ) -> _T:
        """
        Call `do`, a method of `index` or something that calls it.

        Raises:
            Exception: What the last attempt raised, or the first error that stays.
        """
        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=self.first_wait, max=self.longest_wait),
            retry=retry_if_exception(lambda error: is_transient(index, error)),
            before_sleep=self._count,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt, shielded():
                    return do(*args, **options)
        except Exception as error:
            if is_transient(index, error):
                error.add_note(f"gave up after {self.attempts} attempts")
            raise
        raise AssertionError  # unreachable: the last attempt returns or raises

    def _count(self, _: RetryCallState) -> None:
        self.count += 1


def is_transient(index: HybridIndex, error: BaseException) -> bool:
    """Tell whether the same call may succeed later, as the index knows its engine's errors."""
    if not isinstance(error, Exception):
        return False
    if isinstance(index, TellsTransient):
        return index.is_transient(error)
    return isinstance(error, ConnectionError | TimeoutError)
