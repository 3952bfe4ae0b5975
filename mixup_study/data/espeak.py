"""Have eSpeak NG speak: a program, so that every run of it begins in the same state.

It reads utterances as JSON from standard input, a list of ``{"text", "voice", "pitch", "rate"}``, and writes each to
standard output in that order: the number of its samples as a 32-bit integer, then the samples as 16-bit integers at
SAMPLE_RATE. Some voices have random components, so the random numbers of eSpeak and of the C library begin anew with
each utterance; an utterance also depends on those before it, so that only the whole list in its order is the same.
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Iterator
from typing import Any

SAMPLE_RATE = 22_050

SYNCHRONOUS, UTF8, CHARACTERS, RATE, PITCH = 2, 1, 1, 1, 3
DO_NOT_EXIT = 0x8000
"""Names of speak_lib.h, in words."""
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def speak(utterances: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield the samples of each utterance. Raises RuntimeError for a voice that eSpeak does not have."""
    import espeakng_loader

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), DO_NOT_EXIT)
    if rate != SAMPLE_RATE:
        raise RuntimeError(f"eSpeak NG speaks at {rate} Hz; expected {SAMPLE_RATE}")
    samples: list[bytes] = []

    def receive(waveform: int | None, count: int, events: int | None) -> int:
        if waveform and count > 0:
            samples.append(ctypes.string_at(waveform, 2 * count))
        return 0

    callback = CALLBACK(receive)
    library.espeak_SetSynthCallback(callback)
    for utterance in utterances:
        samples.clear()
        library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        ctypes.CDLL(None).srand(1)
        if library.espeak_SetVoiceByName(utterance["voice"].encode()) != 0:
            raise RuntimeError(f"eSpeak NG has no voice {utterance['voice']}")
        library.espeak_SetParameter(RATE, utterance["rate"], 0)
        library.espeak_SetParameter(PITCH, utterance["pitch"], 0)
        text = utterance["text"].encode()
        library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, CHARACTERS, 0, UTF8, None, None)
        library.espeak_Synchronize()
        yield b"".join(samples)


def main() -> None:
    """Speak what standard input asks for."""
    for samples in speak(json.load(sys.stdin)):
        sys.stdout.buffer.write((len(samples) // 2).to_bytes(4, "little") + samples)


if __name__ == "__main__":
    main()
