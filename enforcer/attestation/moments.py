"""Points in time as RFC 3339 writes them, for formats that want text where the ledger has integers.

The arithmetic stands here because the modules around it are pure, and the standard library's own way to write a date
comes with a clock.
"""

from __future__ import annotations

_DAY = 86_400 * 1_000_000
_ERA = 146_097  # Days in 400 years of the Gregorian calendar.
_TO_1970 = 719_468  # Days from 0000-03-01 to 1970-01-01.

LATEST = 253_402_300_799_999_999  # The last microsecond of the year 9999: RFC 3339 has four digits for a year.


def format_moment(microseconds: int, *, fraction: bool = True) -> str:
    """UTC microseconds since 1970 as `2026-01-31T23:59:59.000001Z`; without `fraction` cut off to the second.

    Raises `ValueError` for a time before 1970 or after the year 9999, which RFC 3339 cannot write.
    """
    if not 0 <= microseconds <= LATEST:
        raise ValueError(f"{microseconds} microseconds since 1970 are beyond the years that can be written")
    days, rest = divmod(microseconds, _DAY)
    year, month, day = _civil(days)
    seconds, micro = divmod(rest, 1_000_000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{clock}{f'.{micro:06}' if fraction else ''}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of the proleptic Gregorian calendar, counted from March so that a leap day comes last."""
    era, day_of_era = divmod(days + _TO_1970, _ERA)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // (_ERA - 1)) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return era * 400 + year_of_era + (month <= 2), month, day
