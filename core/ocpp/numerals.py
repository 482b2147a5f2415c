"""Parse numbers in the notations that chargers use."""

import re
from decimal import Decimal, InvalidOperation

# The fast path of readings parses these without changes. PostgreSQL reads the same pattern, see `services.samples`.
PLAIN = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+", re.ASCII)  # 1,234.5
WITH_COMMA = re.compile(r"[+-]?\d+,(\d{1,2}|\d{4,})", re.ASCII)  # 2200,5; 1,234 is ambiguous and is not parsed
STANDARD = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)
MAX_LENGTH = 100  # characters


def read(text: str) -> Decimal | None:
    """Parse `text` to a finite number. Return None if it is no number or is ambiguous.

    Spaces are ignored. A comma is a decimal point or separates groups of three digits, if only one reading is
    possible.
    """
    if PLAIN.fullmatch(text):
        return Decimal(text)
    digits = "".join(text.split()) if len(text) <= MAX_LENGTH else ""
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
    """Return whether `text` is a decimal number in the notation of OCPP, of any length."""
    return STANDARD.fullmatch(text) is not None
