"""A pytest plugin: the options and the tables of the certification cases of all OCPP versions."""

from tests.support import conformance_table as table


def pytest_addoption(parser):
    parser.addoption("--table", action="store_true", help="print the tables of certification cases")
    parser.addoption("--write-table", action="store_true", help="and write them into docs/conformance.md")


def pytest_runtest_logreport(report):
    table.note(report)


def pytest_terminal_summary(terminalreporter, config):
    if config.getoption("--table") or config.getoption("--write-table"):
        rows = [*table.lines(), "", *table.lines_201(), "", *table.faults()]
        terminalreporter.write_line("\n".join(rows))
    if config.getoption("--write-table"):
        table.write(config.rootpath / "docs" / "conformance.md")
