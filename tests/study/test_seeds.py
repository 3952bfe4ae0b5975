from __future__ import annotations

import itertools

from mixup_study.study.seeds import stream_seed


def test_every_seed_purpose_epoch_and_rank_has_its_own_stream() -> None:
    streams = list(itertools.product(range(3), ["lambda", "order", "dropout"], range(12), range(2)))
    assert len({stream_seed(*stream) for stream in streams}) == len(streams)


def test_a_stream_stays_what_it_was() -> None:
    assert stream_seed(0, "lambda", epoch=1) == 6731316370787152945


def test_a_seed_fits_a_signed_integer_of_64_bits() -> None:
    assert all(0 <= stream_seed(seed, "order", 1) < 2**63 for seed in [0, 1, 2**63 - 1])
