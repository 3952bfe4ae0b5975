"""What a process settles before it trains, so that a trial's numbers depend on the trial alone."""

from __future__ import annotations

import os

import torch

CPU_THREADS = 1
"""Threads of a trial on a CPU. Fixed, because the order of a sum depends on it; trials run side by side instead."""


def settle(device: torch.device) -> None:
    """Make this process compute reproducibly: one CPU thread, deterministic kernels, no TF32."""
    torch.set_num_threads(CPU_THREADS)
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms imports the compiler too, for seconds
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # would write memory twice
