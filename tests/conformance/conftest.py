"""The certification cases of OCPP 1.6 against the running stack."""

import pytest

from tests.support.station import Admin, Station, with_tags


@pytest.fixture(scope="session")
def system(live):
    """The stack, with the tags that the cases name."""
    return with_tags(live)


@pytest.fixture
def station(system):
    """A booted charge point that must receive no request without a submission."""
    with Station(system) as station:
        station.connect().booted()
        yield station


@pytest.fixture(scope="session")
def admin(system):
    return Admin(system)
