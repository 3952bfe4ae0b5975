"""A recording computes what its function does, on whatever its arguments hold by then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn import functional as F

from mixup_study.training.packs.replay import Replay, record


def replayed(function: Callable[..., Sequence[Tensor]], *examples: list[Tensor]) -> list[list[Tensor]]:
    """What a recording made with the first arguments gives for each."""
    arguments = [tensor.clone() for tensor in examples[0]]
    replay = Replay(record(function, arguments), arguments)
    found = []
    for example in examples:
        for argument, tensor in zip(arguments, example, strict=True):
            argument.copy_(tensor)
        replay.run()
        found.append([result.clone() for result in replay.results])
    return found


def check(function: Callable[..., Sequence[Tensor]], *shapes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    examples = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
    for found, example in zip(replayed(function, *examples), examples, strict=True):
        for result, expected in zip(found, function(*example), strict=True):
            torch.testing.assert_close(result, expected)


@pytest.mark.parametrize(
    "function",
    [
        lambda x, y: [x + y, x @ y.T],
        lambda x, y: [x.mul(2).add_(y), x],
        lambda x, y: [torch.ones_like(x).mul_(y)],
        lambda x, y: [torch.where(x > 0, x, y), x.argsort(1).gather(1, y.argsort(1))],
        lambda x, y: [x.view(-1)[2:6], x.double().sum(0)],
        lambda x, y: [torch.zeros_like(x).add_(1) * y, torch.full_like(x, 3) - y],
    ],
    ids=["sums and products", "in place", "a constant in place", "indices", "views and types", "constants"],
)
def test_it_computes_what_the_function_does(function: Callable[..., Sequence[Tensor]]) -> None:
    check(function, (4, 5), (4, 5))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(6, 3), (6,)),
    "two hidden layers": (
        lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)),
        (6,),
    ),
    "normalised": (lambda: nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3)), (6,)),
    "convolutions": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)),
        (1, 8, 8),
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_of_many_networks_at_once_are_those_of_each_alone(name: str) -> None:
    build, shape = NETWORKS[name]
    torch.manual_seed(0)
    networks = [build() for _ in range(3)]
    stacked, _ = stack_module_state(networks)
    base = build().to("meta")

    def loss(named: dict[str, Tensor], inputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(functional_call(base, named, (inputs,)), targets)

    def gradients(inputs: Tensor, targets: Tensor, *parameters: Tensor) -> list[Tensor]:
        named = dict(zip(stacked, parameters, strict=True))
        return list(vmap(grad(loss))(named, inputs, targets).values())

    def example() -> list[Tensor]:
        return [torch.randn(3, 4, *shape), torch.rand(3, 4, 3), *(tensor.detach() for tensor in stacked.values())]

    examples = [example(), example()]
    for found, (inputs, targets, *_) in zip(replayed(gradients, *examples), examples, strict=True):
        for number, network in enumerate(networks):
            alone = torch.autograd.grad(F.cross_entropy(network(inputs[number]), targets[number]), network.parameters())
            for together, expected in zip(found, alone, strict=True):
                torch.testing.assert_close(together[number], expected, rtol=1e-5, atol=1e-6)


def test_a_run_asks_for_no_new_memory_for_its_results() -> None:
    arguments = [torch.randn(3, 4), torch.randn(3, 4)]
    replay = Replay(record(lambda x, y: [x * y, (x * y).sum(0)], arguments), arguments)
    places = [result.data_ptr() for result in replay.results]
    replay.run()
    assert [result.data_ptr() for result in replay.results] == places
