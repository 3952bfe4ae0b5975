"""Data sets of recorded words: their recordings, and the file that keeps what is computed of them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from mixup_study.data.labelled import LabelledSet, Part
from mixup_study.data.spectrograms import BINS, FRAMES, compute_spectrograms
from mixup_study.files import load_or_compute

WORDS = (
    *("bed", "bird", "cat", "dog", "down", "eight", "five", "four", "go", "happy"),
    *("house", "left", "marvin", "nine", "no", "off", "on", "one", "right", "seven"),
    *("sheila", "six", "stop", "three", "tree", "two", "up", "wow", "yes", "zero"),
)
"""The classes, in their order."""
FULL_SCALE = 2**15
"""Of a sample as 16 bits, what is 1 as a float."""
CHUNK = 20
"""Recordings that are transformed at a time: few enough for the cache of a core."""
FORMAT = 1
"""Of the files; raised when what stands in them changes."""

Form = Literal["spectrogram", "waveform"]


@dataclass(frozen=True)
class Recordings:
    """Spoken words: N recordings, those to train on first, then those of the validation part, then those to test on."""

    waveforms_NT: np.ndarray
    """int16, (N, 16000): one second at 16 kHz, followed by zeros where it is shorter."""
    lengths_N: np.ndarray
    """int64: samples before those zeros."""
    labels_N: np.ndarray
    """int64: places of the words in WORDS."""
    sizes: tuple[int, int, int]
    """Recordings of the three parts."""
    skipped: tuple[str, ...] = ()
    """A line for each file that could not be used."""

    @cached_property
    def digest(self) -> str:
        """Return 16 hexadecimal digits that name their content."""
        content = hashlib.sha256(str(self.sizes).encode())
        for array in (self.waveforms_NT, self.lengths_N, self.labels_N):
            content.update(np.ascontiguousarray(array).data)
        return content.hexdigest()[:16]


class Source(Protocol):
    """Where recordings come from."""

    @property
    def version(self) -> str:
        """Return what other recordings would differ in."""

    def read(self) -> Recordings:
        """Return the recordings. Raises InputError for what cannot be used."""


@dataclass(frozen=True)
class SpectrogramSet(LabelledSet):
    """Normalised spectrograms as float16, shape (N, 1, frequencies, frames)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (1, frequencies, frames)."""
        return tuple(self.train_inputs_N.shape[1:])

    def normalised(self, inputs_N: Tensor) -> Tensor:
        """Return spectrograms as float32."""
        return inputs_N.float()


@dataclass(frozen=True)
class WaveformSet(LabelledSet):
    """Waveforms as int16, shape (N, 16000), of which networks see spectrograms, pooled ``pool`` by ``pool``."""

    pool: int = field(kw_only=True)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (1, frequencies, frames), the shape of a spectrogram."""
        return 1, BINS // self.pool, FRAMES // self.pool

    def normalised(self, inputs_N: Tensor) -> Tensor:
        """Return waveforms as float32 in [-1, 1], (N, 16000)."""
        return inputs_N.float() / FULL_SCALE

    def represent(self, inputs_B: Tensor) -> Tensor:
        """Return the spectrograms of waveforms, (B, 1, frequencies, frames)."""
        return compute_spectrograms(inputs_B, self.pool)


@dataclass(frozen=True)
class Speech:
    """A data set of recorded words of a second each."""

    name: str
    find: Callable[[Path], Source]
    """Returns its source, given the data folder. Raises InputError where it is not to be had."""
    pool: int = 1
    """Frequencies, and frames, that spectrograms have the mean of."""

    def __call__(self, folder: Path, mix: Form) -> LabelledSet:
        """Return the data set in the form that is mixed.

        Spectrograms, or waveforms, are computed once and kept in a file of ``folder`` from which every process of the
        machine maps them into its memory. Files that were skipped are printed, and listed in another file beside it.
        Raises InputError where the recordings are not to be had.
        """
        source = self.find(folder)
        path = folder / f"{self.name}.{mix}s.pt"
        content = load_or_compute(
            path,
            lambda: _load(path, source.version),
            lambda: self._compute(source, mix, folder),
            lambda file, computed: torch.save(computed, file),
        )
        parts = itertools.pairwise([0, *itertools.accumulate(content["sizes"])])
        train, validation, test = (
            Part(content["inputs"][first:last], content["labels"][first:last]) for first, last in parts
        )
        shared: dict[str, Any] = {"classes": len(WORDS), "validation": validation, "digest": content["digest"]}
        if mix == "waveform":
            return WaveformSet(*train, *test, pool=self.pool, **shared)
        return SpectrogramSet(*train, *test, **shared)

    def _compute(self, source: Source, mix: Form, folder: Path) -> dict[str, Any]:
        recordings = source.read()
        self._list_skipped(recordings.skipped, folder)
        waveforms_NT = torch.from_numpy(recordings.waveforms_NT)
        return {
            "format": FORMAT,
            "version": source.version,
            "digest": recordings.digest,
            "sizes": list(recordings.sizes),
            "labels": torch.from_numpy(recordings.labels_N),
            "inputs": waveforms_NT if mix == "waveform" else self._transform(waveforms_NT, recordings.lengths_N),
        }

    def _transform(self, waveforms_NT: Tensor, lengths_N: np.ndarray) -> Tensor:
        """Return the spectrograms of int16 waveforms as float16, (N, 1, frequencies, frames)."""
        shape = (len(waveforms_NT), 1, BINS // self.pool, FRAMES // self.pool)
        spectrograms_NCFT = torch.empty(shape, dtype=torch.float16)
        for first in range(0, len(waveforms_NT), CHUNK):
            chunk = slice(first, first + CHUNK)
            waveforms_BT = waveforms_NT[chunk].float() / FULL_SCALE
            lengths_B = torch.from_numpy(lengths_N[chunk])
            spectrograms_NCFT[chunk] = compute_spectrograms(waveforms_BT, self.pool, lengths_B)
        return spectrograms_NCFT

    def _list_skipped(self, skipped: tuple[str, ...], folder: Path) -> None:
        for line in skipped:
            print(f"{self.name}: skipped {line}")
        if skipped:
            try:
                (folder / f"{self.name}.skipped.txt").write_text("".join(f"{line}\n" for line in skipped))
            except OSError:  # a folder that cannot be written
                return


def _load(path: Path, version: str) -> dict[str, Any] | None:
    """Return what a file keeps, mapped into memory; None where there is none of this version, or it is damaged."""
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception:  # whatever torch.load stumbles over in bytes that it did not write
        return None
    if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, version):
        return None
    return content
