"""Draw two spoken words of the synthetic speech, and both ways to mix them, for docs/studies/speech.md.

Usage: python docs/spectrograms.py FILE.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from matplotlib.figure import Figure

from mixup_study.data.spectrograms import compute_spectrograms
from mixup_study.data.speech import FULL_SCALE, WORDS
from mixup_study.data.synthetic_speech import SpeechSynthesis
from mixup_study.views.figures.print_style import DPI, apply_style

SPOKEN = ("seven", "left")
LAM = 0.5


def main(path: Path) -> None:
    """Draw the figure as ``path``."""
    recordings = SpeechSynthesis().read()
    places = [recordings.labels_N.tolist().index(WORDS.index(word)) for word in SPOKEN]
    waveforms_2T = torch.from_numpy(recordings.waveforms_NT[places]).float() / FULL_SCALE
    weights_2 = torch.tensor([LAM, 1 - LAM])
    spectrograms_2FT = compute_spectrograms(waveforms_2T)[:, 0]
    panels = {
        f"“{SPOKEN[0]}”": spectrograms_2FT[0],
        f"“{SPOKEN[1]}”": spectrograms_2FT[1],
        f"spectrograms mixed, λ = {LAM}": (weights_2[:, None, None] * spectrograms_2FT).sum(0),
        f"waveforms mixed, λ = {LAM}": compute_spectrograms((weights_2[:, None] * waveforms_2T).sum(0)[None])[0, 0],
    }
    with apply_style():
        figure = Figure(figsize=(9.6, 2.7), layout="constrained")
        axes = figure.subplots(1, len(panels), sharey=True)
        for axis, (title, spectrogram_FT) in zip(axes, panels.items(), strict=True):
            image = axis.imshow(
                spectrogram_FT, origin="lower", aspect="auto", extent=(0, 1, 0, 8), cmap="viridis", vmin=-2, vmax=4
            )
            axis.set_title(title)
            axis.set_xlabel("time (s)")
        axes[0].set_ylabel("frequency (kHz)")
        figure.colorbar(image, ax=axes, label="log(1 + magnitude), normalised", extend="both")
        figure.savefig(path, dpi=DPI)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
