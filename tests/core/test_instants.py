from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from m3kit.instants import instant

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = (
    st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439))
    | st.none()
)


@given(st.datetimes(timezones=ZONES))
@example(datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))))
@example(datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-12))))
def test_an_iso_text_is_the_instant_of_its_datetime(moment: datetime) -> None:
    naive = moment.replace(tzinfo=None)
    since = (naive - EPOCH.replace(tzinfo=None)) - (moment.utcoffset() or timedelta())
    assert instant(moment.isoformat()) == since // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2024-03-01", "2024-03-01T00:00:00Z"),
        ("2024-03-01T09:30", "2024-03-01T09:30:00+00:00"),
        ("2024-03-01 09:30", "2024-03-01T09:30Z"),
        ("2024-03-01t09:30z", "2024-03-01T09:30Z"),
        ("2024-03-01T09:30+0100", "2024-03-01T08:30Z"),
        ("2024-03-01T00:30+01:00", "2024-02-29T23:30Z"),
        ("2024-03-01T09:30:00.5", "2024-03-01T09:30:00.500000"),
        ("2024-03-01T09:30:00.123456789", "2024-03-01T09:30:00.123456"),
    ],
)
def test_spellings_of_one_instant(text: str, same: str) -> None:
    assert instant(text) is not None
    assert instant(text) == instant(same)


@pytest.mark.parametrize(
    "text",
    [
        "", "2024", "2024-03", "20240301", "2024-3-1", "2024-02-30", "0000-01-01", "2024-13-01",
        "2024-03-01T24:00", "2024-03-01T09:60", "2024-03-01T09:30:60", "2024-03-01T09",
        "2024-03-01Z", "2024-03-01T09:30+25:00", "2024-03-01T09:30+01:60", " 2024-03-01",
        "2024-03-01\n", "\u0662024-03-01", "yesterday", "2024-W09-5", "2024-03-01T09:30:00.",
    ],
)  # fmt: skip
def test_other_texts_are_no_instants(text: str) -> None:
    assert instant(text) is None
