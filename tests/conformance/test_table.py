"""The document and the tests name the same cases and messages."""

from pathlib import Path

from tests.support import conformance_table as table
from tests.support.conformance_cases import CASES
from tools.stack.stack import PROJECT

DOCUMENT = PROJECT / "docs" / "conformance.md"


def test_there_are_77_cases_and_each_has_a_test_named_by_its_id():
    cases = [case for cases in CASES.values() for case in cases]
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert len(cases) == 77 and [case for case in cases if f"def test_{case.lower()}_" not in tests] == []


def test_every_case_and_message_is_documented_and_tested():
    document = DOCUMENT.read_text()
    rows = table.messages("1.6")[4:]
    assert len(rows) == 14 + 26
    assert [row for row in rows if not row.rstrip(" |").endswith("`")] == []
    named = [row.split("|")[1].strip() for row in rows]
    named += [case for cases in CASES.values() for case in cases]
    missing = [name for name in named if f"| {name} |" not in document]
    assert missing == [], "run `make conformance`, which writes docs/conformance.md"
