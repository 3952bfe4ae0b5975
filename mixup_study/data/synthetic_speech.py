"""Synthetic speech: the thirty words of Speech Commands as eSpeak NG speaks them, which needs no download."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from mixup_study.data import espeak
from mixup_study.data.spectrograms import SAMPLE_RATE, SAMPLES
from mixup_study.data.speech import FULL_SCALE, WORDS, Recordings, Speech
from mixup_study.errors import InputError

SPEAKERS = (
    (
        *("f1", "f2", "f3", "m1", "m2", "m3", "m4", "Alex", "Andrea", "Andy", "Denis", "Diogo", "Gene", "Gene2"),
        *("Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "adam", "anika", "antonio", "aunty"),
        *("benjamin", "boris", "caleb", "ed", "edward", "edward2", "grandma", "grandpa", "gustave", "iven", "iven2"),
        *("iven3", "iven4", "klatt", "klatt2", "klatt3", "klatt4", "linda", "max", "michel", "pablo", "rob", "robert"),
    ),
    ("f4", "m5", "m6", "Alicia", "Mike", "mike2", "david", "john", "pedro", "steph"),
    (
        *("f5", "m7", "m8", "Annie", "Nguyen", "belinda", "ian", "miguel", "norbert", "paul", "quincy"),
        *("sandro", "shelby", "travis", "victor"),
    ),
)
"""Variants of eSpeak's voices for training, validation and test: nobody speaks in two of these parts."""
ACCENTS = ("en-us", "en-us-nyc", "en", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029")
TAKES = 2
"""Recordings of each word by each speaker; accent, pitch and rate are drawn for each."""
PITCHES = (20, 80)
"""From 0 to 99, in eSpeak's own measure."""
RATES = (110, 210)
"""Words a minute."""
SIGNAL_TO_NOISE = (10.0, 30.0)
"""Decibels, of the word alone over white noise."""
PEAKS = (0.3, 0.9)
"""Of a recording, of full scale."""
QUIET = 0.01
"""Of the peak, what counts as silence before and after a word."""
VERSION = "1"
"""Raised when the recordings change."""


@dataclass(frozen=True)
class _Take:
    """A recording to be: who says what, and the random numbers that all else is drawn from."""

    speaker: str
    label: int
    random: np.random.RandomState
    """Whose numbers no version of NumPy changes."""

    def utterance(self) -> dict[str, Any]:
        """Return what eSpeak is to speak."""
        draw = self.random.randint
        voice = f"{ACCENTS[draw(len(ACCENTS))]}+{self.speaker}"
        return {"text": WORDS[self.label], "voice": voice, "pitch": int(draw(*PITCHES)), "rate": int(draw(*RATES))}

    def record(self, spoken_T: np.ndarray) -> np.ndarray:
        """Return the word at a random place of a second, in noise, int16 (16000,)."""
        from scipy.signal import resample_poly

        loud = np.flatnonzero(np.abs(spoken_T) > QUIET * np.abs(spoken_T).max())
        word_T = resample_poly(spoken_T[loud[0] : loud[-1] + 1].astype(np.float64), SAMPLE_RATE, espeak.SAMPLE_RATE)
        word_T = word_T[:SAMPLES]
        start = self.random.randint(SAMPLES - len(word_T) + 1)
        ratio = 10 ** (self.random.uniform(*SIGNAL_TO_NOISE) / 20)
        waveform_T = np.sqrt(np.mean(word_T**2)) / ratio * self.random.standard_normal(SAMPLES)
        waveform_T[start : start + len(word_T)] += word_T
        waveform_T *= self.random.uniform(*PEAKS) / np.abs(waveform_T).max()
        samples_T: np.ndarray = np.rint(waveform_T * (FULL_SCALE - 1)).astype(np.int16)
        return samples_T


def _list_takes() -> list[_Take]:
    return [
        _Take(speaker, label, np.random.RandomState([part, number, label, take]))
        for part, speakers in enumerate(SPEAKERS)
        for number, speaker in enumerate(speakers)
        for label in range(len(WORDS))
        for take in range(TAKES)
    ]


@dataclass(frozen=True)
class SpeechSynthesis:
    """eSpeak NG as a source of recordings, the same every time."""

    version: str = VERSION

    def read(self) -> Recordings:
        """Return every word by every speaker. Raises InputError where eSpeak NG is not installed."""
        if find_spec("espeakng_loader") is None:
            raise InputError(
                "synthetic_speech: eSpeak NG is not installed; expected the extra 'speech', as in"
                " pip install -e '.[speech]', or pip install espeakng-loader"
            )
        takes = _list_takes()
        spoken = _speak([take.utterance() for take in takes])
        waveforms_NT = np.stack([take.record(own_T) for take, own_T in zip(takes, spoken, strict=True)])
        train, validation, test = (len(speakers) * len(WORDS) * TAKES for speakers in SPEAKERS)
        labels_N = np.array([take.label for take in takes], np.int64)
        lengths_N = np.full(len(takes), SAMPLES, np.int64)
        return Recordings(waveforms_NT, lengths_N, labels_N, (train, validation, test))


def _speak(utterances: list[dict[str, Any]]) -> Iterator[np.ndarray]:
    """Yield the samples of each utterance, int16 at eSpeak's rate, spoken in a process of its own."""
    program = [sys.executable, "-P", espeak.__file__]  # without its folder among those that modules come from
    ended = subprocess.run(program, input=json.dumps(utterances).encode(), capture_output=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"eSpeak NG ended with status {ended.returncode}: {ended.stderr.decode(errors='replace')}")
    place = 0
    while place < len(ended.stdout):
        count = int.from_bytes(ended.stdout[place : place + 4], "little")
        yield np.frombuffer(ended.stdout, np.int16, count, place + 4)
        place += 4 + 2 * count


load_synthetic_speech = Speech("synthetic_speech", lambda folder: SpeechSynthesis(), pool=2)
