"""Whether a trial's numbers depend on the trial alone, on the device that trains it."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from mixup_study.study.trial import Trial
from mixup_study.training.checkpoint import Checkpointing, Stopped
from mixup_study.training.loop import train
from mixup_study.training.parallel import Worker
from mixup_study.training.process import settle
from mixup_study.training.task import Environment, TrialResult
from mixup_study.training.tasks.classification import Classification
from mixup_study.vicinity.neighbours import nearest

CPU = torch.device("cpu")
FOLDER = Path("unused")
CLOSE = 1e-4
"""Relative difference of a loss, float32, between a CPU's and a GPU's order of summation."""


@dataclass(frozen=True)
class Check:
    """What was checked, whether it held, and what was seen."""

    name: str
    passed: bool
    finding: str


@dataclass
class Memory:
    """A place for one checkpoint."""

    content: bytes | None = None

    def read(self) -> bytes | None:
        """Return the checkpoint, if any."""
        return self.content

    def write(self, content: bytes) -> None:
        """Replace the checkpoint."""
        self.content = content


def digits_trial(tiny: bool, **fields: Any) -> Trial:
    """Return a trial of mixup and random crops on real images that come with the package."""
    values = {"dataset": "digits", "model": "preact_resnet18", "width": 2 if tiny else 32, "batch_size": 64, "lr": 0.05}
    size = {"train_size": 128 if tiny else 1024, "epochs": 2 if tiny else 4}
    return Trial(**{**values, **size, "method": "mixup", "alpha": 1.0, "augment": True, **fields})


def tabular_trials(tiny: bool) -> list[Trial]:
    """Return trials of one shape, which train as a pack."""
    values = {"dataset": "iris", "model": "mlp", "width": 16, "batch_size": 16, "lr": 1e-3, "optimizer": "adam"}
    return [
        Trial(**values, epochs=2 if tiny else 10, seed=seed, method="mixup", alpha=1.0)
        for seed in range(4 if tiny else 40)
    ]


def train_here(
    trials: Sequence[Trial], device: torch.device, checkpointing: Checkpointing | None = None
) -> tuple[list[list[float]], list[str]]:
    """Train together; return the training losses of each trial's epochs, and a digest of each trained model."""
    models: dict[str, str] = {}

    def digest(trial: Trial, state: Mapping[str, Tensor]) -> None:
        content = hashlib.sha256()
        for name, tensor in state.items():
            content.update(name.encode() + tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
        models[trial.trial_id] = content.hexdigest()

    results = train(trials, FOLDER, device, lambda trial, row, examples: None, checkpointing, save_model=digest)
    losses = [[row["train_loss"] for row in result.epochs] for result in results if isinstance(result, TrialResult)]
    return losses, [models[trial.trial_id] for trial in trials]


def _train_in_process(trial: dict[str, Any], device: str, results: Any) -> None:
    settle(torch.device(device))
    results.put(train_here([Trial(**trial)], torch.device(device)))


def check_cpu(device: torch.device, tiny: bool) -> Check:
    """Compare the loss of the first epoch with the CPU's."""
    trial = digits_trial(tiny, epochs=1)
    (((here,),), _), (((there,),), _) = train_here([trial], device), train_here([trial], CPU)
    difference = abs(here - there) / there
    return Check(
        "first epoch's loss as on the CPU", difference <= CLOSE, f"relative difference {difference:.1e}, limit {CLOSE}"
    )


def check_twice(device: torch.device, tiny: bool) -> Check:
    """Train twice, in float32 and in bfloat16."""
    same = [
        train_here([trial], device) == train_here([trial], device)
        for trial in (digits_trial(tiny), digits_trial(tiny, precision="bfloat16", memory_format="channels_last"))
    ]
    return _compare("the same trial twice", all(same))


def check_resumed(device: torch.device, tiny: bool) -> Check:
    """Stop after the first epoch and in the middle of the next, and go on."""
    trial = digits_trial(tiny)
    steps = -(-trial.train_size // trial.batch_size)
    file, asked = Memory(), 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked in (steps, steps + 2)

    for _ in range(2):
        try:
            train_here([trial], device, Checkpointing(lambda trial: file, 0.0, stop, print))
        except Stopped:
            continue
    resumed = train_here([trial], device, Checkpointing(lambda trial: file, 1e9, lambda: False, print))
    return _compare("stopped twice and resumed", resumed == train_here([trial], device))


def check_side_by_side(device: torch.device, tiny: bool) -> Check:
    """Train beside another process on the same device."""
    trials = [digits_trial(tiny, seed=seed) for seed in (0, 1)]
    spawn = multiprocessing.get_context("spawn")
    results = [spawn.SimpleQueue() for _ in trials]
    processes = [
        spawn.Process(target=_train_in_process, args=(trial.model_dump(), str(device), queue))
        for trial, queue in zip(trials, results, strict=True)
    ]
    for process in processes:
        process.start()
    beside = [queue.get() for queue in results]
    for process in processes:
        process.join()
    alone = [train_here([trial], device) for trial in trials]
    return _compare("two processes side by side", beside == alone)


def check_packs(device: torch.device, tiny: bool) -> Check:
    """Train in two packs of other company, and alone."""
    trials = tabular_trials(tiny)
    half = len(trials) // 2
    together, _ = train_here(trials, device)
    parts = train_here(trials[:half], device)[0] + train_here(trials[half:], device)[0]
    alone = [train_here([trial], device)[0][0] for trial in trials[:3]]
    off = max(
        abs(packed - single) / single
        for ours, own in zip(together, alone, strict=False)
        for packed, single in zip(ours, own, strict=True)
    )
    finding = f"{'bit-equal' if together == parts else 'NOT bit-equal'} in packs of {len(trials)} and {half}"
    return Check("packs", together == parts and off <= CLOSE, f"{finding}; {off:.1e} from alone, limit {CLOSE}")


def check_process_group(device: torch.device, tiny: bool) -> Check:
    """Average gradients in a process group of one worker."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    run = Classification(digits_trial(tiny), Environment(FOLDER, Worker(), device))
    rows = torch.arange(32, device=device)
    inputs, targets = run.inputs.epoch(0, 0)[rows], run.targets(rows)

    def gradients(model: torch.nn.Module) -> list[Tensor]:
        run.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(run.logits(model, inputs), targets).backward()
        return [parameter.grad.clone() for parameter in run.model.parameters() if parameter.grad is not None]

    alone = gradients(run.model)
    with tempfile.TemporaryDirectory() as folder:
        distributed.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=0, world_size=1)
        try:
            wrapped = DistributedDataParallel(run.model, device_ids=[device.index] if device.type == "cuda" else None)
            with warnings.catch_warnings():  # a bucket's strides of 1x1 filters, which mean nothing
                warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
                grouped = gradients(wrapped)
        finally:
            distributed.destroy_process_group()
    return _compare(
        f"a process group of one ({backend})", all(map(torch.equal, alone, grouped)) and len(alone) == len(grouped)
    )


def check_nearest(device: torch.device, tiny: bool) -> Check:
    """Find nearest neighbours."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (200 if tiny else 4000, 32, 32, 3), dtype=torch.uint8, generator=generator)
    scale = (1 / 60.0, 1 / 61.0, 1 / 62.0)
    same = torch.equal(nearest(images.to(device), scale, 10).cpu(), nearest(images, scale, 10))
    return Check("nearest neighbours as on the CPU", same, "the same rows" if same else "OTHER ROWS")


def _compare(name: str, same: bool) -> Check:
    return Check(name, same, "bit-equal" if same else "NOT bit-equal")


CHECKS: Sequence[Callable[[torch.device, bool], Check]] = (
    check_cpu,
    check_twice,
    check_resumed,
    check_side_by_side,
    check_packs,
    check_process_group,
    check_nearest,
)
