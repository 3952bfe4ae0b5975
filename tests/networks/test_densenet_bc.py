from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixup_study.networks.densenet_bc import DenseLayer, DenseNetBC
from mixup_study.networks.recompute import set_recompute
from mixup_study.study.trial import Trial
from mixup_study.training.task import TrialResult
from tests.training.alone import train_alone


def network(depth: int = 16, growth_rate: int = 4, dropout: float = 0.0) -> DenseNetBC:
    torch.manual_seed(0)
    return DenseNetBC((1, 8, 8), 10, depth, growth_rate, dropout)


@pytest.mark.parametrize(("classes", "parameters"), [(10, 25_624_430), (100, 25_821_620)])
def test_the_papers_network_has_its_number_of_parameters(classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model = DenseNetBC((3, 32, 32), classes, depth=190, growth_rate=40, dropout=0.0)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


@pytest.mark.parametrize(("channels", "size", "classes"), [(1, 8, 10), (3, 32, 100)])
def test_transitions_halve_the_image_and_the_channels(channels: int, size: int, classes: int) -> None:
    model = DenseNetBC((channels, size, size), classes, depth=16, growth_rate=3, dropout=0.0)
    seen: list[tuple[int, ...]] = []
    for stage in model.stages:
        stage.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    assert model(torch.randn(2, channels, size, size)).shape == (2, classes)
    assert seen == [  # two dense layers of three channels are added in each block; 12 / 2 = 6
        (2, 6, size, size),
        (2, 6, size // 2, size // 2),
        (2, 6, size // 4, size // 4),
        (2, 12, size // 4, size // 4),
    ]


def test_a_block_hands_every_output_on_to_every_later_layer() -> None:
    block = network(depth=22).stages[2].eval()
    channels = 11  # (2 * 4 + 3 * 4) / 2 = 10, (10 + 3 * 4) / 2 = 11
    x = torch.randn(2, channels, 4, 4)
    output = block(x)
    assert torch.equal(output[:, :channels], x)
    layers = [layer for layer in block.modules() if isinstance(layer, DenseLayer)]
    for number, layer in enumerate(layers):
        known = channels + 4 * number
        torch.testing.assert_close(output[:, known : known + 4], layer(output[:, :known]))


def test_dropout_follows_every_convolution_but_the_first() -> None:
    model = network(dropout=0.6)
    convolutions = sum(isinstance(module, nn.Conv2d) for module in model.modules())
    assert sum(isinstance(module, nn.Dropout) for module in model.modules()) == convolutions - 1
    layer = DenseLayer(8, 16, dropout=0.6)
    zeros = (layer(torch.randn(20, 8, 8, 8)) == 0).double().mean().item()
    assert zeros == pytest.approx(0.6, abs=0.02)


def test_initial_weights_are_normal_by_fan_out() -> None:
    torch.manual_seed(0)
    model = DenseNetBC((3, 32, 32), 100, depth=10, growth_rate=24, dropout=0.0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            drawn = module.weight.detach() * (module.weight[:, 0].numel() / 2) ** 0.5
            assert drawn.std().item() == pytest.approx(1, rel=0.1)
            assert drawn.mean().item() == pytest.approx(0, abs=0.1)
            assert drawn.abs().max() > 2.3  # a uniform distribution of this deviation ends at 1.7
        if isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
        if isinstance(module, nn.Linear | nn.BatchNorm2d):
            assert (module.bias == 0).all()


# Activations computed again in the backward pass.


def trained(recompute: bool, **fields: Any) -> tuple[TrialResult, dict[str, Tensor]]:
    trial = Trial(
        **{
            **{"dataset": "digits", "model": "densenet_bc", "depth": 16, "growth_rate": 2, "dropout": 0.3},
            **{"train_size": 100, "epochs": 2, "batch_size": 32, "lr": 0.1, **fields},
        }
    )
    models: list[dict[str, Tensor]] = []

    result = train_alone(trial, recompute=recompute, save_model=lambda trial, state: models.append(dict(state)))
    return result, models[0]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"method": "mixup", "alpha": 1.0, "dropout": 0.0},
        {"precision": "bfloat16", "memory_format": "channels_last"},
        {"method": "latent_mixup", "alpha": 1.0, "layer": 3},
    ],
    ids=str,
)
def test_a_trial_that_recomputes_measures_the_same_to_the_bit(fields: dict[str, Any]) -> None:
    plain, plain_model = trained(recompute=False, **fields)
    again, again_model = trained(recompute=True, **fields)
    assert again.measurements == plain.measurements
    losses = [[row["train_loss"] for row in result.epochs] for result in (plain, again)]
    assert losses[0] == losses[1]
    assert plain_model.keys() == again_model.keys()
    for name, tensor in plain_model.items():  # running statistics of BatchNorm and their counts included
        assert torch.equal(tensor, again_model[name]), name


def saved_bytes(model: nn.Module, images_NCHW: Tensor) -> int:
    """Return the bytes of the storages that the forward pass keeps for the backward pass, parameters aside."""
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    storages: dict[int, int] = {}
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            storages[storage.data_ptr()] = storage.nbytes()
            kept.append(tensor)  # so that no later one gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(images_NCHW)
    return sum(storages.values())


def test_recomputing_keeps_less_for_the_backward_pass() -> None:
    model = network(depth=40, growth_rate=4)
    images = torch.randn(4, 1, 16, 16)
    plain = saved_bytes(model, images)
    set_recompute(model, True)
    assert saved_bytes(model, images) < plain / 4


def test_the_running_statistics_are_updated_once_a_step() -> None:
    model = network()
    set_recompute(model, True)
    model(torch.randn(4, 1, 8, 8)).sum().backward()
    counts = {name: int(buffer) for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")}
    assert set(counts.values()) == {1}
