"""Speech Commands 0.01 (Warden, 2018): 64,721 recordings of thirty words, the Google commands of section 3.3."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import uuid
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from mixup_study.data.download import digest_file, download
from mixup_study.data.spectrograms import SAMPLE_RATE, SAMPLES, WINDOW
from mixup_study.data.speech import WORDS, Recordings, Speech
from mixup_study.errors import InputError

NAME = "speech_commands_v0.01"
URL = f"http://download.tensorflow.org/data/{NAME}.tar.gz"
SHA256 = "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"
FILES = 64_721
"""WAV files of the thirty words: 51,088 to train on, 6,798 of the validation part, 6,835 to test on."""
LISTS = ("validation_list.txt", "testing_list.txt")


@dataclass(frozen=True)
class Archive:
    """The archive's folder: one folder of WAV files for each word, and the lists of its validation and test files."""

    folder: Path
    parts: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
    """Files of the three parts, ``<word>/<file>.wav``, sorted."""

    @property
    def version(self) -> str:
        """Return a digest of which files are there, and of how they are split."""
        return hashlib.sha256("\n\n".join("\n".join(part) for part in self.parts).encode()).hexdigest()[:16]

    def read(self) -> Recordings:
        """Return the recordings; files that cannot be used are skipped.

        These are files that are no WAV files of one channel at 16 kHz in 16 bits, that end before their data do, or
        that hold less than one window of 20 ms.
        """
        names = [name for part in self.parts for name in part]
        waveforms_NT = np.zeros((len(names), SAMPLES), np.int16)
        lengths_N = np.zeros(len(names), np.int64)
        skipped = {}
        for place, name in enumerate(names):
            try:
                waveform_T = read_waveform(self.folder / name)
            except (OSError, ValueError) as error:
                skipped[name] = f"{name}: {' '.join(str(error).split())}"
                continue
            lengths_N[place] = length = min(len(waveform_T), SAMPLES)
            waveforms_NT[place, :length] = waveform_T[:length]
        used_N = lengths_N > 0
        labels_N = np.array([WORDS.index(name.split("/")[0]) for name in names], np.int64)
        train, validation, test = (sum(name not in skipped for name in part) for part in self.parts)
        if skipped:
            waveforms_NT, lengths_N, labels_N = waveforms_NT[used_N], lengths_N[used_N], labels_N[used_N]
        return Recordings(waveforms_NT, lengths_N, labels_N, (train, validation, test), tuple(skipped.values()))


def read_waveform(path: Path) -> np.ndarray:
    """Return the samples of a WAV file, int16 (T,).

    Raises ValueError for one that is damaged, of another format than the archive's, or shorter than a window.
    """
    from scipy.io import wavfile

    with warnings.catch_warnings():
        warnings.simplefilter("error", wavfile.WavFileWarning)  # data that end too early
        try:
            rate, waveform_T = wavfile.read(path)
        except OSError:
            raise
        except Exception as error:  # whatever it stumbles over in bytes that are no WAV file
            raise ValueError(f"it cannot be read as a WAV file ({error})") from None
    if (rate, waveform_T.dtype, waveform_T.ndim) != (SAMPLE_RATE, np.int16, 1):
        channels = 1 if waveform_T.ndim == 1 else waveform_T.shape[1]
        raise ValueError(f"{channels} channels of {waveform_T.dtype} at {rate} Hz; expected one of int16 at 16000 Hz")
    if len(waveform_T) < WINDOW:
        raise ValueError(f"{len(waveform_T)} samples; expected {WINDOW} at least")
    samples: np.ndarray = waveform_T
    return samples


def open_archive(folder: Path, files: int = FILES) -> Archive:
    """Return the archive in its own ``folder``.

    Raises InputError where a word, a list, a listed file, or any of its ``files`` is not there.
    """
    words = [word for word in WORDS if not (folder / word).is_dir()]
    if words:
        raise InputError(f"{folder}: there is no folder {words[0]}; expected one for each of the {len(WORDS)} words")
    names = sorted(f"{word}/{path.name}" for word in WORDS for path in (folder / word).glob("*.wav"))
    if len(names) != files:
        raise InputError(f"{folder}: {len(names):,} WAV files of the thirty words; expected {files:,}: unpack it again")
    present = set(names)
    validation, test = (_read_list(folder / name, present) for name in LISTS)
    train = present - set(validation) - set(test)
    return Archive(folder, (tuple(sorted(train)), validation, test))


def _read_list(path: Path, present: set[str]) -> tuple[str, ...]:
    try:
        names = tuple(sorted({line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()}))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: it cannot be read ({error}); expected a file of the archive: unpack it again"
        ) from None
    for name in names:
        if name not in present:
            raise InputError(f"{path}: {name} is not there; expected a file of the archive")
    return names


def find_archive(folder: Path) -> Archive:
    """Return the archive in the data folder, unpacked and downloaded there first where it is missing.

    One process of a machine does that while others wait. Raises InputError where there is neither the archive nor a
    network.
    """
    own = folder / NAME
    if not own.is_dir():
        packed = folder / f"{NAME}.tar.gz"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / f".{NAME}.lock"):
                if not own.is_dir():
                    if not packed.exists():
                        download(URL, packed, SHA256)
                    elif (found := digest_file(packed)) != SHA256:
                        raise ValueError(f"{packed.name} has the SHA-256 {found[:16]}…; expected {SHA256[:16]}…")
                    _unpack(packed, own)
        except (OSError, ValueError, tarfile.TarError) as error:
            raise InputError(
                f"speech_commands: not in {folder} and not to be downloaded ({error}); put {packed.name} there, or"
                f" unpack it as {NAME}/, or name another folder with --data"
            ) from error
    return open_archive(own)


def _unpack(packed: Path, target: Path) -> None:
    """Unpack an archive as the folder ``target``, which exists only once all of it is there."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        with tarfile.open(packed) as archive:
            archive.extractall(part, filter="data")
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


load_speech_commands = Speech("speech_commands", find_archive)
