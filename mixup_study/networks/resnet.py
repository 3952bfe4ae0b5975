"""Residual networks for ImageNet (He et al., 2016; Xie et al., 2017), as section 3.1 uses them: torchvision's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from mixup_study.catalogue.networks import ResNetFields, ResNeXtFields
from mixup_study.networks.staged import StagedNetwork


def stage_resnet(network: ResNet) -> StagedNetwork:
    """Return torchvision's network as stages: its four groups of blocks, then pooling and the linear layer."""
    stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    head = nn.Sequential(network.avgpool, nn.Flatten(), network.fc)
    return StagedNetwork(stem, [network.layer1, network.layer2, network.layer3, network.layer4, head])


def _build(
    trial: ResNetFields | ResNeXtFields, shape: tuple[int, ...], classes: int, blocks: Sequence[int], groups: int = 1
) -> StagedNetwork:
    network = ResNet(
        Bottleneck,
        list(blocks),
        num_classes=classes,
        zero_init_residual=True,
        groups=groups,
        width_per_group=trial.width_per_group,
    )
    if shape[0] != 3:
        network.conv1 = nn.Conv2d(shape[0], 64, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    return stage_resnet(network)


def build_resnet50(trial: ResNetFields, shape: tuple[int, ...], classes: int) -> StagedNetwork:
    """Return ResNet-50: 25,557,032 parameters for 1,000 classes at 64 channels."""
    return _build(trial, shape, classes, (3, 4, 6, 3))


def build_resnet101(trial: ResNetFields, shape: tuple[int, ...], classes: int) -> StagedNetwork:
    """Return ResNet-101: 44,549,160 parameters for 1,000 classes at 64 channels."""
    return _build(trial, shape, classes, (3, 4, 23, 3))


def build_resnext101_32x4d(trial: ResNeXtFields, shape: tuple[int, ...], classes: int) -> StagedNetwork:
    """Return ResNeXt-101 of 32 groups: 44,177,704 parameters for 1,000 classes at 4 channels a group."""
    return _build(trial, shape, classes, (3, 4, 23, 3), 32)


def build_resnext101_64x4d(trial: ResNeXtFields, shape: tuple[int, ...], classes: int) -> StagedNetwork:
    """Return ResNeXt-101 of 64 groups: 83,455,272 parameters for 1,000 classes at 4 channels a group."""
    return _build(trial, shape, classes, (3, 4, 23, 3), 64)
