"""What every network has in common: it lists its stages, and something may act at each layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mixup_study.catalogue import CATALOGUE
from mixup_study.networks import StagedNetwork
from mixup_study.networks.mlp import MLP
from mixup_study.study.trial import Trial
from tests.networks.small import input_of, smallest

EVERY = CATALOGUE.names("model")


def network(name: str, **fields: float) -> StagedNetwork:
    torch.manual_seed(0)
    size = {"width": 4, "depth": 2} if name == "mlp" else smallest(name)
    dataset, shape = input_of(name)
    trial = Trial(dataset=dataset, model=name, **size, **fields, epochs=1, batch_size=1, lr=1.0)
    return CATALOGUE.networks[name].load()(trial, shape, 10).eval()


def images_of(name: str) -> Tensor:
    return torch.randn(3, *input_of(name)[1])


@pytest.mark.parametrize("name", EVERY)
def test_it_has_as_many_layers_as_studies_may_name(name: str) -> None:
    assert len(network(name).stages) == CATALOGUE.networks[name].count_layers({"depth": 2})


@pytest.mark.parametrize("name", EVERY)
def test_logits_are_one_row_per_image(name: str) -> None:
    assert network(name)(images_of(name)).shape == (3, 10)


@pytest.mark.parametrize("name", EVERY)
def test_a_change_acts_on_the_input_of_the_stage_it_names_alone(name: str) -> None:
    images = images_of(name)
    model = network(name)
    for layer in range(1, CATALOGUE.networks[name].count_layers({"depth": 2}) + 1):
        seen: list[Tensor] = []
        handle = model.stages[layer - 1].register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        model(images)
        logits = model(images, layer, lambda latent: latent.flip(0))
        handle.remove()
        plain, changed = seen
        torch.testing.assert_close(changed, plain.flip(0))
        torch.testing.assert_close(logits, model(images).flip(0))


@pytest.mark.parametrize("name", [name for name in EVERY if "dropout" in CATALOGUE.networks[name].fields.model_fields])
def test_dropout_acts_in_training_alone(name: str) -> None:
    images = images_of(name)
    model = network(name, dropout=0.5)
    assert torch.equal(model(images), model(images))
    assert any(isinstance(module, nn.Dropout) for module in model.modules())
    assert not any(isinstance(module, nn.Dropout) for module in network(name).modules())


def test_the_mlp_has_two_hidden_layers() -> None:
    parameters = sum(parameter.numel() for parameter in MLP(64, 10, width=128, depth=2).parameters())
    assert parameters == (64 + 1) * 128 + 129 * 128 + 129 * 10
