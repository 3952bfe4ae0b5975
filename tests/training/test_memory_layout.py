"""Narrow networks train on CPUs without AVX-512, where oneDNN would write past its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mixup_study.training import memory_layout
from mixup_study.training.memory_layout import MemoryLayout

TRAIN = """\
import torch
from tests.training.alone import train_alone
from mixup_study.study.trial import Trial
torch.set_num_threads(1)
for dataset, memory_format in (("digits", "contiguous"), ("patches", "channels_last")):
    trial = Trial(dataset=dataset, model="preact_resnet18", width=4, epochs=3, batch_size=32, lr=0.05, train_size=320,
                  memory_format=memory_format)
    assert train_alone(trial).measurements["test_error_last"] < 0.95
"""


@pytest.mark.slow
def test_a_narrow_network_trains_with_the_code_for_avx2() -> None:
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    root = Path(__file__).parents[2]
    ended = subprocess.run([sys.executable, "-c", TRAIN], cwd=root, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def narrow(channels: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, channels, 3), nn.Conv2d(channels, 16, 1, stride=2, bias=False))


@pytest.mark.parametrize(("avx2", "channels", "strict"), [(True, 4, True), (True, 8, False), (False, 4, False)])
def test_only_what_is_unsafe_is_laid_out_otherwise_than_wished(
    avx2: bool, channels: int, strict: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_layout, "_uses_avx2", lambda: avx2)
    layout = MemoryLayout(narrow(channels), "channels_last", torch.device("cpu"))
    weight = next(layout.model.parameters())
    images = torch.randn(2, 6, 6, 3).permute(0, 3, 1, 2)
    laid_out = layout.lay_out(images)
    assert torch.equal(laid_out, images)
    assert laid_out.is_contiguous() is strict
    assert weight.is_contiguous(memory_format=torch.channels_last) or strict
    grey = layout.lay_out(torch.randn(2, 6, 6, 1).permute(0, 3, 1, 2))
    assert (grey.stride() == (36, 36, 6, 1)) is strict


def test_the_variable_that_limits_onednn_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert not memory_layout._uses_avx2()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2_VNNI")
    assert memory_layout._uses_avx2()
