"""The certification cases of OCPP 2.0.1 against the running stack."""

import pytest

from tests.support.station import Admin, with_tags
from tests.support.station201 import Station201


@pytest.fixture(scope="session")
def system(live):
    """The stack, with the tokens that the cases name."""
    return with_tags(live)


@pytest.fixture
def station(system):
    """A booted station with strict validation, which must receive no request without a submission."""
    with Station201(system) as station:
        station.connect().booted()
        yield station


@pytest.fixture(scope="session")
def admin(system):
    return Admin(system)
