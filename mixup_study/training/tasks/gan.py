"""Generative adversarial networks on points in the plane (section 3.7)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mixup_study.data.densities import Density
from mixup_study.networks.mlp import MLP
from mixup_study.study.seeds import stream_seed
from mixup_study.study.trial import Trial
from mixup_study.training.optimizers import build_optimizer, learning_rate, load_optimizer, set_learning_rate
from mixup_study.training.task import Environment, Measurements, Pause, Row, go_on
from mixup_study.vicinity.base import Draws, mix

STEPS = 100
"""Generator steps of an epoch."""
EVALUATED = 2500
"""Samples that modes are counted among, after each epoch."""
KEPT = 1000
"""Points of the data, and samples of the generator at each kept iteration, that a trial keeps."""


def build_networks(trial: Trial, folder: Path) -> nn.ModuleDict:
    """Return the ``generator`` and the ``discriminator`` of a trial on the CPU; its density needs no folder."""
    return nn.ModuleDict(
        {"generator": MLP(2, 2, trial.width, trial.depth), "discriminator": MLP(2, 1, trial.width, trial.depth)}
    )


class GAN:
    """A generator of points from 2-D Gaussian noise, and a discriminator of one logit, trained in turns.

    Both are fully connected. The discriminator minimises the paper's loss; the generator minimises
    BCE(d(g(z)), 1), with mixup as without (our choice: the paper gives the two-player objective alone, whose own
    generator loss hardly moves a generator that the discriminator sees through).
    """

    def __init__(self, trial: Trial, environment: Environment) -> None:
        """Draw the initial weights."""
        dataset = trial.components.dataset
        assert dataset is not None
        self._trial = trial
        self._device = device = environment.device
        self._density: Density = dataset.load()
        torch.manual_seed(stream_seed(trial.seed, "initial weights"))
        self.generator = MLP(2, 2, trial.width, trial.depth).to(device)
        self.discriminator = MLP(2, 1, trial.width, trial.depth).to(device)
        self._optimizers = {
            name: build_optimizer(network.parameters(), trial) for name, network in self._networks().items()
        }
        self._kept: dict[int, Tensor] = {}

    def _networks(self) -> dict[str, MLP]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def examples(self) -> int:
        """Return the points of the data that the discriminator sees in an epoch."""
        return STEPS * int(self._trial.discriminator_steps) * int(self._trial.batch_size)

    def state(self) -> dict[str, Any]:
        """Return everything that later epochs depend on."""
        networks = {name: network.state_dict() for name, network in self._networks().items()}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()}
        return {"networks": networks, "optimizers": optimizers, "samples": dict(self._kept)}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` returned."""
        for name, network in self._networks().items():
            network.load_state_dict(state["networks"][name])
            load_optimizer(self._optimizers[name], state["optimizers"][name])
        self._kept = {iteration: samples.to(self._device) for iteration, samples in state["samples"].items()}

    def model_state(self) -> Mapping[str, Tensor]:
        """Return the weights of both networks, named ``generator.…`` and ``discriminator.…``."""
        return {
            f"{prefix}.{name}": tensor
            for prefix, network in self._networks().items()
            for name, tensor in network.state_dict().items()
        }

    def run_epoch(self, epoch: int, pause: Pause = go_on) -> Row:
        """Take STEPS steps of the generator, without a pause; return the mean losses, and how well its samples fit."""
        trial = self._trial
        for optimizer in self._optimizers.values():
            set_learning_rate(optimizer, learning_rate(trial, epoch))
        size, turns = trial.batch_size, trial.discriminator_steps
        draws = Draws.for_epoch(trial.seed, epoch, self._device, trial.warmup_epochs)
        real = self._density.sample(STEPS * turns * size, self._stream("data", epoch)).split(size)
        noise = torch.randn(STEPS, turns + 1, size, 2, generator=draws.noise, device=self._device)
        losses_2 = torch.zeros(2, dtype=torch.float64, device=self._device)
        for step in range(STEPS):
            with torch.no_grad():
                fake = self.generator(noise[step, :turns].flatten(0, 1)).split(size)
            for turn in range(turns):
                losses_2[0] += self._train_discriminator(real[step * turns + turn], fake[turn], draws) / turns
            losses_2[1] += self._train_generator(noise[step, turns])
            iteration = epoch * STEPS + step + 1
            if is_kept(iteration, trial.epochs * STEPS):
                self._kept[iteration] = self.sample(KEPT, "kept samples")
        discriminator_loss, generator_loss = (losses_2 / STEPS).tolist()
        near_NM = self._density.near(self.sample(EVALUATED, "evaluated samples"))
        return {
            "discriminator_loss": discriminator_loss,
            "generator_loss": generator_loss,
            "modes_covered": float(near_NM.any(0).sum()),
            "near_modes": near_NM.any(1).double().mean().item(),
        }

    def _train_discriminator(self, real_B2: Tensor, fake_B2: Tensor, draws: Draws) -> Tensor:
        mixing = self._trial.alpha and draws.mixing  # ERM else
        lam = draws.lam(self._trial.alpha) if mixing else None
        loss = self.discriminator_loss(real_B2, fake_B2, lam)
        self._optimizers["discriminator"].zero_grad()
        loss.backward()
        self._optimizers["discriminator"].step()
        return loss.detach()

    def discriminator_loss(self, real_B2: Tensor, fake_B2: Tensor, lam: float | None) -> Tensor:
        """Return BCE(d(lambda x + (1 - lambda) g(z)), lambda), and for None BCE(d(x), 1) + BCE(d(g(z)), 0)."""
        if lam is None:
            logits_2B = self.discriminator(torch.cat([real_B2, fake_B2])).view(2, -1)
            return F.softplus(-logits_2B[0]).mean() + F.softplus(logits_2B[1]).mean()
        logits_B = self.discriminator(mix(real_B2, fake_B2, lam)).flatten()
        return F.binary_cross_entropy_with_logits(logits_B, torch.full_like(logits_B, lam))

    def _train_generator(self, noise_B2: Tensor) -> Tensor:
        self.discriminator.requires_grad_(False)  # no gradient of its weights is wanted
        loss = F.softplus(-self.discriminator(self.generator(noise_B2))).mean()
        self._optimizers["generator"].zero_grad()
        loss.backward()
        self._optimizers["generator"].step()
        self.discriminator.requires_grad_(True)
        return loss.detach()

    def sample(self, count: int, purpose: str) -> Tensor:
        """Return ``count`` samples of the generator, (count, 2), from the same noise whenever it is asked."""
        noise_N2 = torch.randn(count, 2, generator=self._stream(purpose, 0), device=self._device)
        with torch.no_grad():
            samples_N2: Tensor = self.generator(noise_N2)
        return samples_N2

    def _stream(self, purpose: str, epoch: int) -> torch.Generator:
        return torch.Generator(self._device).manual_seed(stream_seed(self._trial.seed, purpose, epoch))

    def measure(self, rows: Sequence[Row]) -> Measurements:
        """Return modes and samples near them after the last epoch, and over the second half of all epochs."""
        last, settled = rows[-1], rows[len(rows) // 2 :]
        measurements = {
            "modes_covered_last": last["modes_covered"],
            "modes_covered_lowest": min(row["modes_covered"] for row in settled),
            "near_modes_last": last["near_modes"],
            "near_modes_mean": statistics.fmean(row["near_modes"] for row in settled),
        }
        data_N2 = self._density.sample(KEPT, self._stream("kept data", 0))
        points_N2 = torch.cat([data_N2, *self._kept.values()]).cpu().numpy()
        iterations = [None] * KEPT + [iteration for iteration in self._kept for _ in range(KEPT)]
        points = {
            "kind": np.array(["data"] * KEPT + ["sample"] * (len(points_N2) - KEPT)),
            "iteration": np.array(iterations, dtype=object),
            "x": points_N2[:, 0],
            "y": points_N2[:, 1],
        }
        return Measurements(measurements, points)


def is_kept(iteration: int, last: int) -> bool:
    """Return whether samples are kept after this step of the generator: at 10, 100, 1000, … and the last (Figure 5)."""
    return iteration == last or (iteration >= 10 and iteration == 10 ** (len(str(iteration)) - 1))
