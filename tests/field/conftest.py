"""Chargers with lenient and with strict validation."""

import pytest

from tests.support.field_charger import FieldCharger


@pytest.fixture
def charger(live):
    """A charger with the validation of the settings, which is lenient."""
    with FieldCharger(live) as charger:
        yield charger


@pytest.fixture
def strict(live):
    with FieldCharger(live, validation="strict") as charger:
        yield charger
