"""What the catalogue says that networks compute, counted."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mixup_study.catalogue import CATALOGUE
from mixup_study.study.trial import Trial

DATA_SETS = {32 * 32: ("cifar10", (3, 32, 32), 10), 224 * 224: ("imagenet", (3, 224, 224), 1000)}
DATA_SETS[161 * 101] = ("speech_commands", (1, 161, 101), 30)
COUNTED = [name for name, network in CATALOGUE.networks.items() if network.arithmetic is not None]


@pytest.mark.parametrize("name", COUNTED)
def test_a_network_computes_what_it_declares(name: str) -> None:
    network = CATALOGUE.networks[name]
    assert network.arithmetic is not None
    dataset, shape, classes = DATA_SETS[network.arithmetic.pixels]
    trial = Trial(dataset=dataset, model=name, epochs=1, batch_size=1, lr=0.1)
    with torch.device("meta"), torch.inference_mode():
        built = network.load()(trial, shape, classes).eval()
        with FlopCounterMode(display=False) as counter:
            built(torch.empty(1, *shape))
    assert counter.get_total_flops() / 1e9 == pytest.approx(network.arithmetic.gflop, rel=0.005, abs=0.005)
    assert CATALOGUE.data_sets[dataset].pixels == network.arithmetic.pixels


def test_the_networks_of_the_paper_declare_it() -> None:
    assert set(CATALOGUE.networks) - set(COUNTED) <= {"mlp"}
