"""The certification cases against the running stack, and the table of what passed."""

import pytest

from tests.support import conformance_table as table
from tests.support.station import TAGS, Admin, Station


@pytest.fixture(scope="session")
def system(live):
    """The stack, with the tags that the cases name."""
    for tag, columns in TAGS.items():
        status, made, _ = live.request("POST", "/api/ocpp/id-tags/", {"id_tag": tag, **columns})
        assert status == 201, made
    return live


@pytest.fixture
def station(system):
    """A booted charge point that must receive no request without a submission."""
    with Station(system) as station:
        station.connect().booted()
        yield station


@pytest.fixture(scope="session")
def admin(system):
    return Admin(system)


def pytest_addoption(parser):
    parser.addoption("--table", action="store_true", help="print the table of certification cases")
    parser.addoption("--write-table", action="store_true", help="and write it into docs/conformance.md")


def pytest_runtest_logreport(report):
    table.note(report)


def pytest_terminal_summary(terminalreporter, config):
    asked, written = (config.getoption(name, default=False) for name in ("--table", "--write-table"))
    if asked or written:
        terminalreporter.write_line("\n".join([*table.lines(), "", *table.faults()]))
    if written:
        table.write(config.rootpath / "docs" / "conformance.md")
