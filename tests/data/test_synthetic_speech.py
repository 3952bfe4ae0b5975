"""Synthetic speech is the same everywhere, and nobody is heard in two of its parts."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mixup_study.data.speech import WORDS, Recordings
from mixup_study.data.synthetic_speech import ACCENTS, SPEAKERS, load_synthetic_speech
from mixup_study.errors import InputError

DIGEST = "599378a9060a259a"
ELSEWHERE = """
import pickle
from pathlib import Path
from mixup_study.data.synthetic_speech import SpeechSynthesis
Path("recordings").write_bytes(pickle.dumps(SpeechSynthesis().read()))
"""


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    """The recordings as another process makes them, in another place and under another locale."""
    folder = tmp_path_factory.mktemp("elsewhere")
    surroundings = os.environ | {"LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path.cwd())}
    subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=folder, env=surroundings, check=True)
    recordings: Recordings = pickle.loads((folder / "recordings").read_bytes())
    return recordings


@pytest.mark.slow
def test_the_audio_is_the_pinned_one(recordings: Recordings) -> None:
    assert recordings.digest == DIGEST


def test_every_word_is_as_frequent_in_each_part(recordings: Recordings) -> None:
    assert recordings.waveforms_NT.shape == (sum(recordings.sizes), 16_000)
    assert recordings.waveforms_NT.dtype == np.int16
    for labels_N in np.split(recordings.labels_N, np.cumsum(recordings.sizes)[:-1]):
        assert len(set(np.bincount(labels_N, minlength=len(WORDS)))) == 1


def test_nobody_speaks_in_two_parts() -> None:
    for first, second in itertools.combinations(SPEAKERS, 2):
        assert not set(first) & set(second)
    assert all(len(set(speakers)) == len(speakers) for speakers in SPEAKERS)


@pytest.mark.slow
def test_no_two_recordings_are_alike_and_each_has_a_word_in_noise(recordings: Recordings) -> None:
    assert len({waveform_T.tobytes() for waveform_T in recordings.waveforms_NT}) == len(recordings.waveforms_NT)
    loudness_NM = (recordings.waveforms_NT.reshape(-1, 50, 320).astype(float) ** 2).mean(2) ** 0.5
    ratios_N = loudness_NM.max(1) / loudness_NM.min(1)
    assert np.median(ratios_N) > 5
    peaks_N = np.abs(recordings.waveforms_NT.astype(int)).max(1) / 32_767
    assert peaks_N.min() > 0.29
    assert peaks_N.max() < 0.91


def test_espeak_has_every_accent_and_speaker() -> None:
    import espeakng_loader

    voices = Path(espeakng_loader.get_data_path())
    assert {name for speakers in SPEAKERS for name in speakers} <= {
        path.name for path in (voices / "voices/!v").iterdir()
    }
    assert set(ACCENTS) <= {path.name.lower() for path in (voices / "lang/gmw").iterdir()}


def test_without_espeak_one_line_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError) as caught:
        load_synthetic_speech(tmp_path, mix="spectrogram")
    assert str(caught.value) == (
        "synthetic_speech: eSpeak NG is not installed; expected the extra 'speech', as in pip install -e '.[speech]',"
        " or pip install espeakng-loader"
    )
