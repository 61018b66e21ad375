"""PyTorch in forked processes, which have none of the threads that computed before."""

from __future__ import annotations

import os
from functools import cache

import torch


@cache
def compute_on_one_thread_after_fork() -> None:
    """
    Have forked processes compute on one thread; without this, the first product waits for ever.

    To be called where PyTorch is about to start threads on a CPU.
    """
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


def check_process(pid: int, device: torch.device) -> None:
    """
    Check that a model may compute in this process.

    Args:
        pid: The process that loaded it.
        device: Where it computes.

    Raises:
        RuntimeError: If it is another process and the device is not a CPU.
    """
    if device.type != "cpu" and os.getpid() != pid:
        raise RuntimeError(
            f"a model on {device} cannot be used in a forked process; start it by "
            'multiprocessing.get_context("spawn"), or load the model in it'
        )
