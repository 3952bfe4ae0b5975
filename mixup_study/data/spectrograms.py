"""Spectrograms of spoken words (section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

SAMPLE_RATE = 16_000
"""Samples a second."""
SAMPLES = 16_000
"""Of a recording, one second: a longer one is cut at its end, a shorter one followed by zeros."""
WINDOW, HOP = 320, 160
"""Samples of a window, 20 ms, and from one to the next, 10 ms."""
BINS, FRAMES = WINDOW // 2 + 1, SAMPLES // HOP + 1
"""Frequencies from 0 to 8 kHz, and points in time from 0 to 1 s."""


def compute_spectrograms(waveforms_BT: Tensor, pool: int = 1, lengths_B: Tensor | None = None) -> Tensor:
    """Return log-magnitude spectrograms, (B, 1, 161 // pool, 101 // pool), each of zero mean and unit deviation.

    ``waveforms_BT`` are float in [-1, 1], (B, 16000). Windows are periodic Hamming ones, centred, with zeros beyond
    both ends; of the magnitude x, log(1 + x) is taken, and then the mean over squares of ``pool`` by ``pool``. With
    ``lengths_B``, the samples before the padding, frames whose centre lies behind the last sample are zero, as if the
    spectrogram itself had been padded. Silence alone gives zeros.
    """
    window = torch.hamming_window(WINDOW, periodic=True, dtype=waveforms_BT.dtype, device=waveforms_BT.device)
    transformed = torch.stft(
        waveforms_BT, WINDOW, HOP, window=window, center=True, pad_mode="constant", return_complex=True
    )
    magnitudes_BFT = transformed.abs().log1p()
    if lengths_B is not None:
        frames_T = torch.arange(FRAMES, device=lengths_B.device)
        magnitudes_BFT = magnitudes_BFT * (frames_T <= lengths_B[:, None] // HOP)[:, None]
    spectrograms_BCFT = magnitudes_BFT[:, None]
    if pool > 1:
        spectrograms_BCFT = F.avg_pool2d(spectrograms_BCFT, pool)
    centred_BCFT = spectrograms_BCFT - spectrograms_BCFT.mean((1, 2, 3), keepdim=True)
    variance = centred_BCFT.square().mean((1, 2, 3), keepdim=True)  # several times as fast as torch.std_mean
    return centred_BCFT / variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()
