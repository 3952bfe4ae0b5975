"""How fast recordings of words become spectrograms, and how fast a process has them that another converted.

Usage: python benchmarks/speech.py [--files N]

Writes N WAV files of a second in the folder of the Speech Commands archive, and converts them on one thread. Target: at
least 1,000 files a second, from listing them to the file of spectrograms. Then it is read again, as every later process
does, and float16 is held against float32: the size of the file for the whole archive, and the greatest difference.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from scipy.io import wavfile

from mixup_study.data.spectrograms import compute_spectrograms
from mixup_study.data.speech import FULL_SCALE, WORDS, Speech
from mixup_study.data.speech_commands import FILES, NAME, open_archive


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=6000)
    count = parser.parse_args().files
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder / NAME, count)
        load = Speech("speech_commands", lambda folder: open_archive(folder / NAME, count))
        begun = time.perf_counter()
        data = load(folder, mix="spectrogram")
        seconds = time.perf_counter() - begun
        print(f"converted: {count} files in {seconds:.1f} s, {count / seconds:,.0f} files/s")
        begun = time.perf_counter()
        load(folder, mix="spectrogram")
        print(f"mapped again: {1000 * (time.perf_counter() - begun):.0f} ms")
        begun = time.perf_counter()
        for rows in torch.randperm(len(data.train_labels_N)).split(100):
            data.normalised(data.train_inputs_N[rows])
        seconds = time.perf_counter() - begun
        print(f"gathered as float32: {len(data.train_labels_N) / seconds:,.0f} spectrograms/s in minibatches of 100")
        exact_B = compute_spectrograms(read_waveforms(folder / NAME, 100))
        size = exact_B[0].numel() * FILES / 1e9
        difference = (exact_B.half().float() - exact_B).abs().max()
        print(f"the archive as float16 {2 * size:.1f} GB, as float32 {4 * size:.1f} GB; at most {difference:.4f} apart")


def write_files(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for word in WORDS:
        (folder / word).mkdir(parents=True)
    for number in range(count):
        waveform_T = random.normal(0, 2000, 16_000).astype(np.int16)
        wavfile.write(folder / WORDS[number % len(WORDS)] / f"{number}.wav", 16_000, waveform_T)
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).touch()


def read_waveforms(folder: Path, count: int) -> torch.Tensor:
    files = sorted(folder.glob("*/*.wav"))[:count]
    return torch.from_numpy(np.stack([wavfile.read(file)[1] for file in files])).float() / FULL_SCALE


if __name__ == "__main__":
    main()
