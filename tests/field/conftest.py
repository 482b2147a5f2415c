"""Chargers as they are in the field."""

import pytest

from tests.support.field_charger import FieldCharger


@pytest.fixture
def charger(live):
    """Read as the setting says, which is leniently."""
    with FieldCharger(live) as charger:
        yield charger


@pytest.fixture
def strict(live):
    with FieldCharger(live, validation="strict") as charger:
        yield charger
