from __future__ import annotations

import argparse
from datetime import datetime, timedelta

import pytest

from mixup_study.time_limit import duration, time_of_day


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400), ("10s", 10)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "h", "-2h", "2 h", "0s", "2h soon", "1e3h", "400d", "9" * 400 + "h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a duration such as 90m"):
        duration(text)


def test_a_time_of_day_is_the_next_there_is() -> None:
    for hours in (-1, 1):
        moment = datetime.now() + timedelta(hours=hours)
        to_come = time_of_day(moment.strftime("%H:%M")) % 86400
        assert abs(to_come - hours * 3600 % 86400) <= 62


def test_a_date_says_which() -> None:
    moment = datetime.now() + timedelta(days=3)
    assert time_of_day(moment.isoformat()) == pytest.approx(3 * 86400, abs=5)


@pytest.mark.parametrize("text", ["", "25:00", "18", "soon", "2020-01-31T18:00", "9999-12-31T23:59"])
def test_what_is_no_time_to_come_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a time to come"):
        time_of_day(text)
