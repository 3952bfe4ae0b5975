"""Speech Commands: read from the archive's folder, kept as spectrograms, with what cannot be used left out."""

from __future__ import annotations

import multiprocessing
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from mixup_study.data import speech_commands
from mixup_study.data.download import digest_file
from mixup_study.data.labelled import LabelledSet
from mixup_study.data.spectrograms import compute_spectrograms
from mixup_study.data.speech import WORDS, Form, Speech
from mixup_study.data.speech_commands import NAME, find_archive, open_archive
from mixup_study.errors import InputError
from tests.data.speech import sing, write_archive


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the archive's folder in it."""
    folder = tmp_path_factory.mktemp("whole")
    write_archive(folder / NAME)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    shutil.copytree(whole / NAME, tmp_path / NAME)
    return tmp_path


def load(folder: Path, mix: Form = "spectrogram", files: int = 150) -> LabelledSet:
    return Speech("speech_commands", lambda folder: open_archive(folder / NAME, files))(folder, mix=mix)


def test_the_lists_of_the_archive_split_it(folder: Path) -> None:
    data = load(folder)
    assert data.shape == (1, 161, 101)
    assert data.classes == 30
    assert data.validation is not None
    assert [len(part) for part in (data.train_labels_N, *data.validation, data.test_labels_N)] == [90, 30, 30, 30]
    for labels_N in (data.validation.labels_N, data.test_labels_N):
        assert labels_N.tolist() == list(range(30))
    assert data.train_inputs_N.dtype == torch.float16
    heard = torch.from_numpy(sing(7, 4)).float()[None] / 32_768
    expected = compute_spectrograms(heard)[0]
    torch.testing.assert_close(data.normalised(data.test_inputs_N[7]), expected, atol=4e-3, rtol=1e-3)


def test_spectrograms_are_computed_once_and_mapped_into_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(folder)

    def read(path: Path) -> np.ndarray:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(speech_commands, "read_waveform", read)
    again = load(folder)
    assert torch.equal(again.train_inputs_N, first.train_inputs_N)
    assert again.digest == first.digest
    assert sorted(path.name for path in folder.glob("speech_commands.*")) == ["speech_commands.spectrograms.pt"]


def test_another_folder_or_a_damaged_file_is_read_anew(folder: Path) -> None:
    first = load(folder)
    kept = folder / "speech_commands.spectrograms.pt"
    content = kept.read_bytes()
    kept.unlink()  # what is mapped into memory must not be written over
    kept.write_bytes(content[:100_000])
    assert torch.equal(load(folder).test_inputs_N, first.test_inputs_N)
    (folder / NAME / "bed" / "0_nohash_0.wav").unlink()
    assert len(load(folder, files=149).train_labels_N) == 89


def test_a_folder_that_cannot_be_written_costs_only_the_keeping(folder: Path) -> None:
    (folder / "speech_commands.spectrograms.pt").mkdir()  # in the way of the file
    assert len(load(folder).train_labels_N) == 90


def _digest(folder: str) -> str | None:
    return load(Path(folder)).digest


@pytest.mark.slow
def test_processes_that_ask_at_once_share_one_file(folder: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        digests = pool.map(_digest, [str(folder)] * 4)
    assert len(set(digests)) == 1
    assert len(list(folder.glob("*.pt"))) == 1


def test_files_that_cannot_be_used_are_skipped_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = folder / NAME
    wav = (words / "bed" / "0_nohash_0.wav").read_bytes()
    (words / "bed" / "0_nohash_0.wav").write_bytes(wav[:5000])
    (words / "bird" / "0_nohash_0.wav").write_bytes(b"no sound")
    (words / "cat" / "0_nohash_0.wav").write_bytes(b"")
    wavfile.write(words / "dog" / "3_nohash_0.wav", 16_000, sing(3, 3)[:319])
    wavfile.write(words / "down" / "4_nohash_0.wav", 8_000, sing(4, 4))
    wavfile.write(words / "eight" / "0_nohash_0.wav", 16_000, np.stack([sing(5, 0)] * 2, axis=1))
    wavfile.write(words / "five" / "0_nohash_0.wav", 16_000, sing(6, 0).astype(np.float32))
    wavfile.write(words / "four" / "0_nohash_0.wav", 16_000, sing(7, 0)[:320])  # short, but not too short
    wavfile.write(words / "go" / "0_nohash_0.wav", 16_000, sing(8, 0, 20_000))  # cut
    data = load(folder)
    assert data.validation is not None
    assert [len(data.train_labels_N), len(data.validation.labels_N), len(data.test_labels_N)] == [85, 29, 29]
    lines = (folder / "speech_commands.skipped.txt").read_text().splitlines()
    assert capsys.readouterr().out.splitlines() == [f"speech_commands: skipped {line}" for line in lines]
    reasons = dict(line.split(": ", 1) for line in lines)
    assert set(reasons) == {
        *(f"{word}/0_nohash_0.wav" for word in ("bed", "bird", "cat", "eight", "five")),
        "dog/3_nohash_0.wav",
        "down/4_nohash_0.wav",
    }
    assert reasons["dog/3_nohash_0.wav"] == "319 samples; expected 320 at least"
    assert reasons["down/4_nohash_0.wav"].startswith("1 channels of int16 at 8000 Hz")
    counts = torch.bincount(data.train_labels_N, minlength=30)
    assert [WORDS[label] for label in range(30) if counts[label] == 2] == ["bed", "bird", "cat", "eight", "five"]


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        ("zero", "there is no folder zero; expected one for each of the 30 words"),
        ("yes/0_nohash_0.wav", "149 WAV files of the thirty words; expected 150: unpack it again"),
        ("testing_list.txt", "testing_list.txt: it cannot be read"),
    ],
)
def test_an_archive_that_is_there_in_part_is_refused(missing: str, line: str, folder: Path) -> None:
    path = folder / NAME / missing
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    with pytest.raises(InputError) as caught:
        load(folder)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_listed_file_that_is_not_there_is_named(folder: Path) -> None:
    with (folder / NAME / "validation_list.txt").open("a") as file:
        file.write("yes/missing.wav\n")
    with pytest.raises(InputError, match=r"validation_list.txt: yes/missing.wav is not there"):
        load(folder)


def pack(whole: Path, target: Path) -> Path:
    packed = target / f"{NAME}.tar.gz"
    with tarfile.open(packed, "w:gz", compresslevel=1) as archive:
        for path in sorted((whole / NAME).iterdir()):
            archive.add(path, f"./{path.name}")
    return packed


def test_the_packed_archive_is_unpacked_whole(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = pack(whole, tmp_path)
    monkeypatch.setattr(speech_commands, "SHA256", digest_file(packed))
    monkeypatch.setattr(speech_commands.open_archive, "__defaults__", (150,))
    assert find_archive(tmp_path) == find_archive(tmp_path)
    assert len(find_archive(tmp_path).parts[0]) == 90
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [NAME]


def test_a_packed_archive_of_another_digest_is_left_alone(whole: Path, tmp_path: Path) -> None:
    packed = pack(whole, tmp_path)
    with pytest.raises(InputError, match=r"has the SHA-256 [0-9a-f]{16}…; expected 743935421bb51ccc…"):
        find_archive(tmp_path)
    assert packed.exists()
    assert not (tmp_path / NAME).exists()


def test_without_a_network_the_error_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_commands, "URL", "http://127.0.0.1:9/speech_commands_v0.01.tar.gz")
    monkeypatch.setattr("mixup_study.data.download.PAUSE_SECONDS", 0)
    with pytest.raises(InputError) as caught:
        find_archive(tmp_path / "new")
    message = str(caught.value)
    assert message.startswith(f"speech_commands: not in {tmp_path / 'new'} and not to be downloaded (")
    assert message.endswith(
        "put speech_commands_v0.01.tar.gz there, or unpack it as speech_commands_v0.01/, or name another folder with"
        " --data"
    )


def test_waveforms_become_spectrograms_after_mixing(folder: Path) -> None:
    waveforms, spectrograms = load(folder, "waveform"), load(folder)
    assert waveforms.shape == spectrograms.shape
    assert waveforms.train_inputs_N.dtype == torch.int16
    assert torch.equal(waveforms.train_labels_N, spectrograms.train_labels_N)
    inputs_B = waveforms.augmented(True).epoch(0, 0)[torch.tensor([5, 2])]
    assert inputs_B.shape == (2, 16_000)
    assert inputs_B.abs().max() <= 1
    seen_B = spectrograms.augmented(True).epoch(0, 0)[torch.tensor([5, 2])]
    torch.testing.assert_close(waveforms.represent(inputs_B), seen_B, atol=4e-3, rtol=1e-3)
    assert spectrograms.represent(seen_B) is seen_B
    mixed = waveforms.represent(0.5 * inputs_B[:1] + 0.5 * inputs_B[1:])
    assert (mixed - 0.5 * (seen_B[:1] + seen_B[1:])).abs().max() > 0.5
