"""Dates and times as ISO 8601 writes them, compared as instants."""

from __future__ import annotations

import re
from datetime import date

_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(?:([Zz])|([+-])(\d\d):?(\d\d))?)?",
    re.ASCII,
)

_EPOCH = date(1970, 1, 1).toordinal()


def instant(text: str) -> int | None:
    """
    Return the instant that a text names, in microseconds since 1970 in UTC.

    A date, `2024-03-01`, is its midnight; a date and a time, `2024-03-01T09:30`, may have seconds,
    a fraction of them, and an offset, `Z` or `+01:00`. Without an offset it is UTC. Digits beyond
    microseconds are cut off. Of any other text the result is None.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, off_hour, off_minute = match.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH
    except ValueError:
        return None
    hours, minutes, seconds = int(hour or 0), int(minute or 0), int(second or 0)
    offset = int(off_hour or 0) * 60 + int(off_minute or 0)
    if hours > 23 or minutes > 59 or seconds > 59 or int(off_minute or 0) > 59 or offset >= 24 * 60:
        return None
    minutes += 60 * hours - (-offset if sign == "-" else offset)
    microseconds = int((fraction or "").ljust(6, "0")[:6])
    return ((days * 24 * 60 + minutes) * 60 + seconds) * 1_000_000 + microseconds
