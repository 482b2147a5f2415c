"""Numbers as chargers write them, read as a person would read them."""

import re
from decimal import Decimal, InvalidOperation

# What the fast path of readings takes as it is.
PLAIN = re.compile(r"[+-]?\d{1,15}(\.\d{1,9})?", re.ASCII)
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+", re.ASCII)  # 1,234.5
WITH_COMMA = re.compile(r"[+-]?\d+,(\d{1,2}|\d{4,})", re.ASCII)  # 2200,5; 1,234 could be either and is not read
STANDARD = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
LONGEST = 100  # characters


def read(text: str) -> Decimal | None:
    """The finite number that `text` plainly is, None where it is none or could be two.

    Spaces count for nothing, a comma for a decimal point or for groups of three digits where it can be only one.
    """
    if PLAIN.fullmatch(text):
        return Decimal(text)
    digits = "".join(text.split()) if len(text) <= LONGEST else ""
    if GROUPED.fullmatch(digits):
        digits = digits.replace(",", "")
    elif WITH_COMMA.fullmatch(digits):
        digits = digits.replace(",", ".")
    elif not DECIMAL.fullmatch(digits):
        return None
    try:
        return Decimal(digits)
    except InvalidOperation:
        return None


def is_standard(text: str) -> bool:
    """Whether `text` is a decimal number as OCPP writes one, of any length."""
    return STANDARD.fullmatch(text) is not None
