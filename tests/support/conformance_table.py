"""The tables of docs/conformance.md: which certification cases passed in this run, and where messages are handled."""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path

from tests.support.conformance_cases import BLOCKS_201, CASES, CASES_201, profiles_201

TESTS = Path(__file__).parent.parent
TEST = re.compile(r"tests/conformance(?:201)?/test_\w+\.py::test_(tc_\d+(?:_\d)?|tc_[a-z]_\d\d)_")
CASE_201 = re.compile(r"test_(tc_[a-z]_\d\d)_")
VERSIONS = {"1.6": "ocpp16", "2.0.1": "ocpp201"}  # OCPP version: the folder of its handlers and of its commands
BEGIN, END = "<!-- the tables, written by make conformance -->\n", "<!-- end of the tables -->\n"
OUTCOMES = {True: "pass", False: "**FAIL**", None: "not run"}
_passed, _faults = {}, {}


def note(report):
    """Count a pytest report; a case passes if every phase of each of its tests did."""
    if found := TEST.match(report.nodeid):
        case = found[1].upper()
        _passed[case] = _passed.get(case, True) and report.passed


def count(what, tried, wrong):
    """Store how many faults were tried, and which were answered wrongly."""
    _faults[what] = (tried, wrong)


def faults():
    """The faults tried in this run, and the rows that were answered wrongly."""
    tried, wrong = sum(t for t, _ in _faults.values()), [row for _, rows in _faults.values() for row in rows]
    body = f"{tried - len(wrong)} of {tried} faulty messages and replies, made from {len(_faults)} schemas,"
    return [f"{body} get the code they deserve and leave no trace.", *wrong]


def lines():
    """The table of cases of OCPP 1.6, as lines of Markdown."""
    rows = [(profile, case, title) for profile, cases in CASES.items() for case, title in cases.items()]
    passed = sum(_passed.get(case, False) for _, case, _ in rows)
    return [
        f"{passed} of {len(rows)} certification cases of OCPP 1.6 pass.",
        "",
        "| case | what | profile | result |",
        "| --- | --- | --- | --- |",
        *(f"| {case} | {title} | {profile} | {OUTCOMES[_passed.get(case)]} |" for profile, case, title in rows),
    ]


@cache
def implemented_201():
    """{case id of OCPP 2.0.1: its name}, from the tests and the first lines of their docstrings."""
    found = {}
    for path in sorted((TESTS / "conformance201").glob("test_*.py")):
        for test in ast.parse(path.read_text()).body:
            if isinstance(test, ast.FunctionDef) and (match := CASE_201.match(test.name)):
                name = (ast.get_docstring(test) or "").partition("\n")[0].rstrip(".")
                found.setdefault(match[1].upper(), name)
    return found


def lines_201():
    """The tables of OCPP 2.0.1: the cases by certification profile, then by functional block."""
    cases, named = profiles_201(), implemented_201()
    results = {case: OUTCOMES[_passed.get(case)] if case in named else "missing" for case in cases}
    passed = sum(result == "pass" for result in results.values())
    return [
        f"{passed} of {len(cases)} certification cases of OCPP 2.0.1 pass.",
        "",
        "| certification profile | cases | pass |",
        "| --- | --- | --- |",
        *(_profile(profile, cases, results) for profile in CASES_201),
        "",
        "| case | what | block | profile | result |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {case} | {named.get(case, '')} | {BLOCKS_201[case[3]]} | {profile} | {results[case]} |"
            for case, profile in cases.items()
        ),
    ]


def _profile(profile, cases, results):
    ours = [results[case] for case, its_profile in cases.items() if its_profile == profile]
    return f"| {profile} | {len(ours)} | {ours.count('pass')} |"


def messages(version):
    """A row for each message and each command of an OCPP version: where it is implemented, and what tests it."""
    folder = VERSIONS[version]
    handlers = import_module(f"gateway.{folder}").HANDLERS
    actions = import_module(f"commands.actions.{folder}.table").ACTIONS
    received = [
        f"| {name} | from the charger | `{handler.__module__}` | {_tests(name, version)} |"
        for name, handler in sorted(handlers.items())
    ]
    sent = [
        f"| {name} | to the charger | {_where(action, folder)} | {_tests(name, version)} |"
        for name, action in actions.items()
    ]
    return [
        f"OCPP {version}: {len(received)} messages from chargers, {len(sent)} commands to them.",
        "",
        "| message | direction | implemented in | tested in |",
        "| --- | --- | --- | --- |",
        *received,
        *sent,
    ]


def _where(action, folder):
    table = f"commands.actions.{folder}.table"
    functions = [value for value in vars(action).values() if callable(value)]
    modules = {f.__module__ for f in functions if f.__module__ not in (table, "commands.actions.base")}
    return ", ".join(f"`{module}`" for module in [table, *sorted(modules)])


def _tests(name, version):
    """The test files that name a message, of `version` or of all versions."""
    naming = re.compile(rf"""["']{name}["']|{name}=|\b{name}\(""")
    found = (path for path in sorted(TESTS.rglob("test_*.py")) if naming.search(path.read_text()))
    return ", ".join(f"`{path.relative_to(TESTS)}`" for path in found if _about(path) in (version, ""))


def _about(path):
    """The OCPP version that a test file is about, "" if that is no single one."""
    if "201" in path.stem or "201" in path.parent.name:
        return "2.0.1"
    return "1.6" if path.parent.name == "conformance" else ""


def write(path):
    """Put the tables between the two marks of the document at `path`."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    parts = {
        "Certification cases of OCPP 1.6": lines(),
        "Certification cases of OCPP 2.0.1": lines_201(),
        "Faulty messages": faults(),
        "Messages and commands of OCPP 1.6": messages("1.6"),
        "Messages and commands of OCPP 2.0.1": messages("2.0.1"),
    }
    tables = "\n".join(line for title, rows in parts.items() for line in (f"## {title}", "", *rows, ""))
    path.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
