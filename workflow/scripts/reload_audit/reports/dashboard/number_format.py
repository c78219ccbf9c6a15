"""How the report writes numbers: few digits, a true minus sign, an en dash where there is none."""

from __future__ import annotations

MISSING = "–"  # an en dash
MINUS = "−"  # as wide as a plus, unlike the hyphen


def count(value: int | None) -> str:
    """``10000`` as ``10,000``."""
    return MISSING if value is None else f"{value:,}"


def number(value: float | None) -> str:
    """About four significant digits: ``7,201``, ``313.9``, ``-3.02``, ``0.013``, ``1.0e-05``, ``3.0e+20``."""
    if value is None:
        return MISSING
    size = abs(value)
    if size == 0:
        text = "0"
    elif size < 0.001 or size >= 1e12:
        text = f"{value:.1e}"
    else:
        decimals = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 3
        text = f"{value:,.{decimals}f}"
    return text.replace("-", MINUS)


def signed(value: float | None) -> str:
    """As :func:`number`, with a plus sign before what is positive."""
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def percent(share: float) -> str:
    """``0.05`` as ``5 %``, ``0.855`` as ``85.5 %``."""
    return f"{round(100 * share, 1):g} %"
