"""Packs: many small classifications trained as one batched model (section 3.6).

A network of a few thousand weights and minibatches of 16 spends its time between operations, not in them. Trials that
differ only in fields that vary in packs have networks and minibatches of one shape, so ``torch.func`` trains them as
one network with an axis more. Each keeps its own data, random numbers and weights, in memory laid out so that it
measures the same, bit for bit, whatever else is in the pack, and if nothing is (on a CPU; on a GPU that has not been
tried).
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.fx import Graph
from torch.nn import functional as F

from mixup_study.data.labelled import Part
from mixup_study.study.packs import pack_key
from mixup_study.study.trial import Trial
from mixup_study.training.optimizers import build_optimizer, learning_rate, set_learning_rate
from mixup_study.training.packs.replay import Replay, record
from mixup_study.training.packs.slices import allocate, round_up
from mixup_study.training.task import Environment, Measurements, Pause, Row, go_on
from mixup_study.training.tasks.classification import Classification
from mixup_study.training.tasks.measures import TOP5_CLASSES, rank_labels
from mixup_study.vicinity.base import Minibatch, PairDraws, VirtualBatch, pair_draws

_GRAPHS: dict[Hashable, Graph] = {}
"""Recordings by all that they depend on; later packs of this process train by them too."""
BLOCK = 16
"""Trials that are one batched model on a CPU: the weights of more, with their moments, leave its cache."""


class Pack:
    """The state of many trials between two epochs, a block of them after the other."""

    def __init__(self, trials: Sequence[Trial], environment: Environment) -> None:
        """Load the data and draw the weights as each trial alone would; all must have one ``pack_key``."""
        members = [Classification(trial, environment) for trial in trials]
        self._count = len(members)
        members *= 2 if self._count == 1 else 1  # a product of one matrix may be rounded otherwise than one of several
        count = -(-len(members) // BLOCK) if environment.device.type == "cpu" else 1
        sizes = [len(members) * (number + 1) // count for number in range(count)]
        self._blocks = [_Block(members[start:end]) for start, end in itertools.pairwise([0, *sizes])]

    @property
    def examples(self) -> int:
        """Return the number of training examples of each trial, which an epoch sees once each."""
        return self._blocks[0].examples

    def states(self) -> Sequence[dict[str, Any]]:
        """Return of each trial everything that its later epochs depend on."""
        return [state for block in self._blocks for state in block.states()][: self._count]

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over what ``states`` returned, of trials that are equally far."""
        left = itertools.cycle(states)  # of one trial, both take over the same
        for block in self._blocks:
            block.load(list(itertools.islice(left, block.size)))

    def model_states(self) -> Sequence[Mapping[str, Tensor]]:
        """Return each trial's network by itself, named as that of a trial alone."""
        return [member.model.state_dict() for member in self._members_trained()]

    def run_epoch(self, epoch: int, pause: Pause = go_on) -> Sequence[Row]:
        """Train for an epoch, without a pause; return each trial's training loss and errors."""
        return [row for block in self._blocks for row in block.run_epoch(epoch)][: self._count]

    def measure(self, rows: Sequence[Sequence[Row]]) -> Sequence[Measurements]:
        """Return what each trial measures at its end, as it would alone."""
        return [member.measure(own) for member, own in zip(self._members_trained(), rows, strict=True)]

    def _members_trained(self) -> list[Classification]:
        return [member for block in self._blocks for member in block.members_trained()][: self._count]


class _Block:
    """Trials that are one batched model: P networks, whose minibatches of B examples are steps of one optimizer."""

    def __init__(self, members: Sequence[Classification]) -> None:
        self._members = members
        self._trials = [member.trial for member in members]
        self._device = members[0].device
        self._network = copy.deepcopy(members[0].model).to("meta")
        stacked, _ = stack_module_state([member.model for member in members])
        self._parameters: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}
        self._memories: dict[str, Tensor] = {}
        """All memory of each weight, which the optimizer works on."""
        for name, tensor in stacked.items():
            self._parameters[name], self._memories[name] = allocate(tensor)
            self._parameters[name].copy_(tensor.detach())
            self._gradients[name], self._memories[name].grad = allocate(tensor)
        self._decays_P = torch.tensor([trial.weight_decay for trial in self._trials], device=self._device)
        undecayed = self._trials[0].model_copy(update={"weight_decay": 0.0})  # which is added to the gradients
        self._optimizer = build_optimizer(self._memories.values(), undecayed)
        self._inputs_PNF = torch.stack([member.data.normalised(member.data.train_inputs_N) for member in members])
        self._targets_PNK = torch.stack([member.targets(member.every_row) for member in members])
        sets = [member.data for member in members]
        self._measured = {
            name: Part(
                _fill_rows(torch.stack([data.normalised(data.measured_parts[name].inputs_N) for data in sets])),
                torch.stack([data.measured_parts[name].labels_N for data in sets]),
            )
            for name in sets[0].measured_parts
        }
        self._recorded: dict[int, tuple[_Minibatches, Replay]] = {}
        self.examples = members[0].examples

    @property
    def size(self) -> int:
        return len(self._members)

    def states(self) -> list[dict[str, Any]]:
        """Return of each trial its weights, and what the optimizer holds of them, by the weights' names."""
        moments = {name: self._list_moments(name) for name in self._parameters}
        return [
            {
                "parameters": {name: tensor[number].clone() for name, tensor in self._parameters.items()},
                "moments": {
                    name: {key: value[number].clone() if value.dim() else value.clone() for key, value in own.items()}
                    for name, own in moments.items()
                },
            }
            for number in range(self.size)
        ]

    def load(self, states: Sequence[dict[str, Any]]) -> None:
        """Take over what ``states`` returned; raise an exception for what is not of these trials."""
        for name, parameter in self._parameters.items():
            parameter.copy_(torch.stack([state["parameters"][name] for state in states]))
            memory, state = self._memories[name], {}
            for key in states[0]["moments"][name]:
                values = [state["moments"][name][key] for state in states]
                if not values[0].dim():
                    state[key] = values[0].clone()  # how many steps were taken, by all of them
                    continue
                moment, state[key] = allocate(parameter)
                moment.copy_(torch.stack(values))
            self._optimizer.state[memory] = state

    def _list_moments(self, name: str) -> dict[str, Tensor]:
        """Return what the optimizer holds of a weight: (P, …) each, or how many steps it took."""
        parameter = self._parameters[name]
        return {
            key: value.as_strided(parameter.shape, parameter.stride()) if value.dim() else value
            for key, value in self._optimizer.state[self._memories[name]].items()
            if isinstance(value, Tensor)
        }

    @torch.no_grad()
    def run_epoch(self, epoch: int) -> list[Row]:
        set_learning_rate(self._optimizer, learning_rate(self._trials[0], epoch))
        losses_P = torch.zeros(len(self._members), dtype=torch.float64, device=self._device)
        for rows_PB, lams_P, permutations_PB in self._draws(epoch):
            losses_P += self._step(rows_PB, lams_P, permutations_PB)
        losses = (losses_P / self._inputs_PNF.shape[1]).tolist()
        columns = {"train_loss": losses}
        for name, (inputs_PMF, labels_PM) in self._measured.items():
            logits_PMK = self._logits(inputs_PMF)[:, : labels_PM.shape[1]]
            wrong_PM = logits_PMK.argmax(2) != labels_PM
            columns[f"{name}_error"] = wrong_PM.double().mean(1).tolist()
            if name == "test" and logits_PMK.shape[2] >= TOP5_CLASSES:
                missed_PM = rank_labels(logits_PMK, labels_PM) >= 5
                columns["test_top5_error"] = missed_PM.double().mean(1).tolist()
        return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]

    def _draws(self, epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the rows of each trial's minibatch (P, B), lambdas (P,) and permutations of minibatches (P, B)."""
        orders_PN = torch.stack([member.order(epoch) for member in self._members])
        rows = orders_PN.split(self._trials[0].batch_size, dim=1)
        sizes = [part.shape[1] for part in rows]
        lams, permutations = zip(
            *(pair_draws(trial, epoch, sizes, self._device) for trial in self._trials), strict=True
        )
        lams_SP = torch.from_numpy(np.stack(lams, axis=1)).to(self._device)
        for rows_PB, lams_P, drawn in zip(rows, lams_SP, zip(*permutations, strict=True), strict=True):
            yield rows_PB, lams_P, torch.stack(drawn)

    def _step(self, rows_PB: Tensor, lams_P: Tensor, permutations_PB: Tensor) -> Tensor:
        """Take a step of every trial; return the sums of their losses, (P,)."""
        size = rows_PB.shape[1]
        parameters = list(self._parameters.values())
        if size not in self._recorded:
            minibatches = _Minibatches(self._inputs_PNF, self._targets_PNK, size)
            arguments = [*minibatches.tensors, *parameters]
            key = (pack_key(self._trials[0]), size, *(tensor.shape for tensor in minibatches.tensors), self._device)
            if key not in _GRAPHS:
                _GRAPHS[key] = record(partial(self._compute_gradients, size), arguments)
            self._recorded[size] = minibatches, Replay(_GRAPHS[key], arguments)
        minibatches, replay = self._recorded[size]
        minibatches.fill(rows_PB, lams_P, permutations_PB)
        replay.run()
        losses_P, *gradients = replay.results
        for parameter, gradient, total in zip(parameters, gradients, self._gradients.values(), strict=True):
            decays = self._decays_P.view(-1, *[1] * (parameter.dim() - 1))
            torch.addcmul(gradient, parameter, decays, out=total)
        self._optimizer.step()
        return losses_P

    def _compute_gradients(
        self,
        size: int,
        inputs_PBF: Tensor,
        targets_PBK: Tensor,
        lams_P: Tensor,
        permutations_PB: Tensor,
        *parameters: Tensor,
    ) -> list[Tensor]:
        """Return the sums of the losses of ``size`` rows, (P,), and the gradients of their means, (P, …) each."""
        sample: Callable[[Minibatch, Any], VirtualBatch] = self._members[0].method.sample

        def loss(
            named: dict[str, Tensor], inputs_BF: Tensor, targets_BK: Tensor, lam: Tensor, permutation_B: Tensor
        ) -> tuple[Tensor, Tensor]:
            minibatch = Minibatch(inputs_BF, targets_BK, permutation_B, _no_other_rows)
            batch = sample(minibatch, PairDraws(lam, permutation_B))
            logits_BK = functional_call(self._network, named, (batch.inputs_B,))
            total = F.cross_entropy(logits_BK[:size], batch.targets_BK[:size], reduction="sum")
            return total / size, total

        named = dict(zip(self._parameters, parameters, strict=True))
        each = vmap(grad_and_value(loss, has_aux=True))
        gradients, (_, losses_P) = each(named, inputs_PBF, targets_PBK, lams_P, permutations_PB)
        return [losses_P, *gradients.values()]

    def _logits(self, inputs_PMF: Tensor) -> Tensor:
        """Return what each trial's network says of its own examples, (P, M, K)."""

        def logits(named: dict[str, Tensor], inputs_MF: Tensor) -> Tensor:
            logits_MK: Tensor = functional_call(self._network, named, (inputs_MF,))
            return logits_MK

        logits_PMK: Tensor = vmap(logits)(self._parameters, inputs_PMF)
        return logits_PMK

    def members_trained(self) -> Sequence[Classification]:
        """Return the trials by themselves, each with its network as trained so far."""
        for number, member in enumerate(self._members):
            member.model.load_state_dict({name: tensor[number] for name, tensor in self._parameters.items()})
        return self._members


def _fill_rows(inputs_PMF: Tensor) -> Tensor:
    """Return each trial's examples with as many rows of zeros behind them as align what a network makes of them."""
    missing = round_up(inputs_PMF.shape[1]) - inputs_PMF.shape[1]
    return F.pad(inputs_PMF, (0, 0, 0, missing))


class _Minibatches:
    """A minibatch of each trial and its draws, in tensors that stay where they are.

    Behind the examples come as many others as align what a network makes of them; they are no part of a loss.
    """

    def __init__(self, inputs_PNF: Tensor, targets_PNK: Tensor, size: int) -> None:
        trials, rows = inputs_PNF.shape[:2]
        self._size = size
        self._inputs, self._targets = inputs_PNF.flatten(0, 1), targets_PNK.flatten(0, 1)
        self._first_P1 = torch.arange(0, trials * rows, rows, device=inputs_PNF.device)[:, None]
        self._rows_PB = self._first_P1.repeat(1, round_up(size))
        inputs_PBF = self._inputs[self._rows_PB]
        targets_PBK = self._targets[self._rows_PB]
        self._flat_inputs, self._flat_targets = inputs_PBF.flatten(0, 1), targets_PBK.flatten(0, 1)
        self._lams_P = torch.ones(trials, dtype=torch.float64, device=inputs_PNF.device)
        self._permutations_PB = torch.arange(round_up(size), device=inputs_PNF.device).repeat(trials, 1)
        self.tensors = [inputs_PBF, targets_PBK, self._lams_P, self._permutations_PB]

    def fill(self, rows_PB: Tensor, lams_P: Tensor, permutations_PB: Tensor) -> None:
        """Look up the examples of each trial, and take over its draws."""
        torch.add(rows_PB, self._first_P1, out=self._rows_PB[:, : self._size])
        index = self._rows_PB.flatten()
        torch.index_select(self._inputs, 0, index, out=self._flat_inputs)
        torch.index_select(self._targets, 0, index, out=self._flat_targets)
        self._lams_P.copy_(lams_P)
        self._permutations_PB[:, : self._size].copy_(permutations_PB)


def _no_other_rows(index_N: Tensor) -> tuple[Tensor, Tensor]:
    raise AssertionError("the methods of a pack mix a minibatch with itself alone")
