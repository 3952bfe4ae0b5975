"""What a GPU gives: whether its numbers hold, and how fast it trains.

Usage: python -m benchmarks.gpu [--json FILE] [--device cuda | cpu] [--tiny]

Prints one table and takes some minutes on one GPU. First come checks: the same trial on the CPU, twice, resumed, beside
another on the same GPU, in packs, and through NCCL. Then come speeds, each beside a plain PyTorch loop over the same
images. They are generated: what networks learn of them means nothing. --tiny takes networks and sets so small that a
CPU runs everything in seconds, to try the benchmark itself; its figures say nothing of a GPU. The exit status is 1
where a check failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_checks import CHECKS
from benchmarks.gpu_speeds import measure_speeds
from mixup_study.catalogue import load_plugins
from mixup_study.training.process import settle


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Return what the figures are of."""
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU ({platform.machine()})"
    return {"device": card, "torch": str(torch.__version__), "cuda": torch.version.cuda, "cores": os.cpu_count()}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="the smallest networks and sets")
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("PyTorch sees no GPU; expected one, or --device cpu --tiny")
    device = torch.device(options.device, *([0] if options.device == "cuda" else []))
    begun = time.perf_counter()
    settle(device)
    load_plugins(["benchmarks.gpu_data"])
    machine = describe_machine(device)
    print(", ".join(f"{name} {value}" for name, value in machine.items() if value is not None), flush=True)

    checks = []
    print("\ncheck")
    for check in CHECKS:
        checks.append(check(device, options.tiny))
        print(f"  {'✓' if checks[-1].passed else '✗'} {checks[-1].name}: {checks[-1].finding}", flush=True)

    speeds = []
    print(f"\n{'speed':<46}{'a second':>14}{'share of peak':>16}")
    for speed in measure_speeds(device, options.tiny):
        speeds.append(speed)
        share = "" if speed.share is None else f"{100 * speed.share:.1f} %"
        print(f"  {speed.name:<44}{speed.rate:>9,.4g} {speed.unit:<6}{share:>14}", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s")
    if options.json:
        results = {**machine, "tiny": options.tiny, "checks": checks, "speeds": speeds}
        options.json.write_text(json.dumps(results, default=asdict, indent=1) + "\n")
    return 0 if all(check.passed for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
