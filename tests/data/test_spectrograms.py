"""Spectrograms are those of section 3.3, by another library and by the definition."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mixup_study.data.spectrograms import compute_spectrograms


def waveforms(count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    times = torch.arange(16_000) / 16_000
    tones = torch.sin(2 * torch.pi * 440 * (torch.arange(count)[:, None] + 1) * times)
    return 0.5 * tones + 0.1 * torch.randn(count, 16_000, generator=generator)


def by_librosa(waveform: np.ndarray) -> np.ndarray:
    transformed = librosa.stft(
        waveform, n_fft=320, hop_length=160, win_length=320, window="hamming", center=True, pad_mode="constant"
    )
    spectrogram = np.log1p(np.abs(transformed))
    return (spectrogram - spectrogram.mean()) / spectrogram.std()


def test_they_are_librosas() -> None:
    computed = compute_spectrograms(waveforms())
    assert computed.shape == (4, 1, 161, 101)
    for own, waveform in zip(computed[:, 0], waveforms(), strict=True):
        np.testing.assert_allclose(own.numpy(), by_librosa(waveform.numpy()), atol=1e-4, rtol=0)


def test_a_shorter_recording_is_padded_after_its_last_frame() -> None:
    (waveform,) = waveforms(1)
    short = waveform[:9_050]
    transformed = librosa.stft(
        short.numpy(), n_fft=320, hop_length=160, window="hamming", center=True, pad_mode="constant"
    )
    spectrogram = np.pad(np.log1p(np.abs(transformed)), ((0, 0), (0, 101 - transformed.shape[1])))
    expected = (spectrogram - spectrogram.mean()) / spectrogram.std()
    padded = F.pad(short, (0, 16_000 - len(short)))[None]
    computed = compute_spectrograms(padded, lengths_B=torch.tensor([len(short)]))[0, 0]
    np.testing.assert_allclose(computed.numpy(), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("pool", [1, 2])
def test_each_has_zero_mean_and_unit_deviation(pool: int) -> None:
    computed = compute_spectrograms(waveforms(), pool)
    assert computed.shape == (4, 1, 161 // pool, 101 // pool)
    deviation, mean = torch.std_mean(computed, dim=(1, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(deviation, torch.ones(4), atol=1e-5, rtol=0)


def test_pooling_takes_means_of_squares_of_the_logarithms() -> None:
    window = torch.hamming_window(320, periodic=True)
    transformed = torch.stft(waveforms(1), 320, 160, window=window, pad_mode="constant", return_complex=True)
    pooled = transformed.abs().log1p()[0, :160, :100].reshape(80, 2, 50, 2).mean((1, 3))
    expected = (pooled - pooled.mean()) / pooled.std(correction=0)
    torch.testing.assert_close(compute_spectrograms(waveforms(1), 2)[0, 0], expected, atol=1e-4, rtol=1e-4)


def test_silence_gives_zeros() -> None:
    assert not compute_spectrograms(torch.zeros(1, 16_000)).any()
