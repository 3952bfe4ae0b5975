"""The folder of the Speech Commands archive, with generated WAV files in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import wavfile

from mixup_study.data.speech import WORDS

PARTS = ("train", "train", "train", "validation", "test")
"""Files of each word."""


def sing(word: int, take: int, samples: int = 16_000) -> np.ndarray:
    """Return a tone whose pitch tells the word, in noise, int16."""
    random = np.random.RandomState([word, take])
    tone = 0.5 * np.sin(2 * np.pi * (300 + 200 * word) * np.arange(samples) / 16_000)
    return np.rint((tone + 0.05 * random.standard_normal(samples)).clip(-1, 1) * 32_767).astype(np.int16)


def write_archive(folder: Path) -> int:
    """Write the archive's folder, a few files of each word; return how many."""
    lists: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for label, word in enumerate(WORDS):
        (folder / word).mkdir(parents=True)
        for take, part in enumerate(PARTS):
            name = f"{word}/{take}_nohash_0.wav"
            wavfile.write(folder / name, 16_000, sing(label, take))
            lists[part].append(name)
    (folder / "_background_noise_").mkdir()
    wavfile.write(folder / "_background_noise_" / "pink_noise.wav", 16_000, sing(0, 0, 60_000))
    (folder / "validation_list.txt").write_text("\n".join(lists["validation"]) + "\n")
    (folder / "testing_list.txt").write_text("\n".join(lists["test"]) + "\n")
    return len(WORDS) * len(PARTS)
