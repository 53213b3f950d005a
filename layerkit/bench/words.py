"""Numbers as people read them: three digits and a unit."""

from __future__ import annotations

import math

__all__ = ["amount", "digits", "duration", "mark", "multiple", "processes", "share", "size"]

_TIMES = (("s", 1.0), ("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9))
_PREFIXES = (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3), ("", 1.0))


def digits(value: float) -> str:
    """A number from 0 up in three digits.

    >>> digits(1.234), digits(12.34), digits(1234.0)
    ('1.23', '12.3', '1,234')
    """
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-12))
    return f"{value:,.{min(decimals, 6)}f}"


def duration(seconds: float | None, low: float | None = None, high: float | None = None) -> str:
    """A time, with its interval in the same unit.

    >>> duration(0.00123), duration(0.00123, 0.0012, 0.0013), duration(None)
    ('1.23 ms', '1.23 ms [1.20, 1.30]', '-')
    """
    if seconds is None:
        return "-"
    unit, scale = next(((u, s) for u, s in _TIMES if seconds >= s), _TIMES[-1])
    text = f"{digits(seconds / scale)} {unit}"
    return text if low is None or high is None else f"{text} [{digits(low / scale)}, {digits(high / scale)}]"


def mark(seconds: float) -> str:
    """A round time, on an axis.

    >>> mark(1e-5), mark(0.5)
    ('10 us', '500 ms')
    """
    unit, scale = next(((u, s) for u, s in _TIMES if seconds >= 0.999 * s), _TIMES[-1])
    return f"{seconds / scale:.3g} {unit}"


def processes(count: int) -> str:
    """How many processes measured.

    >>> processes(1), processes(6)
    ('1 process', '6 processes')
    """
    return "1 process" if count == 1 else f"{count} processes"


def multiple(ratio: float | None) -> str:
    """A ratio; three digits, and no more than three behind the point.

    >>> multiple(12.345), multiple(0.04567), multiple(None)
    ('12.3', '0.046', '-')
    """
    return "-" if ratio is None else f"{ratio:.3f}" if ratio < 0.1 else digits(ratio)


def amount(value: float | None, unit: str = "") -> str:
    """A count or a rate.

    >>> amount(1234567, "rows/s"), amount(0.5, "FLOP"), amount(None)
    ('1.23 Mrows/s', '0.500 FLOP', '-')
    """
    if value is None:
        return "-"
    prefix, scale = next(((p, s) for p, s in _PREFIXES if value >= s), _PREFIXES[-1])
    return f"{digits(value / scale)} {prefix}{unit}".strip()


def size(n_bytes: float | None) -> str:
    """
    >>> size(1_500_000), size(3.7e12), size(None)
    ('1.50 MB', '3.70 TB', '-')
    """
    return amount(n_bytes, "B")


def share(part: float | None, whole: float | None) -> str:
    """
    >>> share(1.0, 8.0), share(None, 8.0)
    ('12 %', '-')
    """
    return "-" if part is None or not whole else f"{100 * part / whole:.0f} %"
