"""Numbers in the notations of chargers are parsed, and ambiguous ones are not."""

from decimal import Decimal

import pytest

from core.ocpp import numerals


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2200", "2200"),
        (" 2200.0", "2200.0"),
        ("2200.", "2200"),
        (".5", "0.5"),
        ("+5", "5"),
        ("-1", "-1"),
        ("2.2000000000000002", "2.2000000000000002"),
        ("2.2e3", "2200"),
        ("1E-2", "0.01"),
        ("2 200", "2200"),
        ("2\N{NO-BREAK SPACE}200,5", "2200.5"),
        ("2200,55", "2200.55"),
        ("1,234.5", "1234.5"),
        ("1,234,567.8", "1234567.8"),
    ],
)
def test_a_number_is_parsed(text, number):
    assert numerals.read(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    ["", " ", "much", "NaN", "Infinity", "1,234", "1.2.3", "0x10", "12 Wh", "--1", "1e9999", "٣", "1_000", "9" * 200],
)
def test_another_text_is_no_number(text):
    assert numerals.read(text) is None
