"""The tests and the list of cases of OCPP 2.0.1 name the same ones."""

from collections import Counter

from tests.support import conformance_table as table
from tests.support.conformance_cases import BLOCKS_201, CASES_201, profiles_201


def test_each_case_is_listed_once_with_its_block():
    cases = profiles_201()
    numbers = [number for blocks in CASES_201.values() for listed in blocks.values() for number in listed.split()]
    assert len(cases) == len(numbers) == 251 and {case[3] for case in cases} == BLOCKS_201.keys()


def test_each_case_has_a_test_with_its_id_and_its_name():
    named = table.implemented_201()
    assert named.keys() == profiles_201().keys() and [case for case, name in named.items() if not name] == []


def test_no_two_files_have_tests_of_one_case():
    folder = table.TESTS / "conformance201"
    found = [case for path in folder.glob("test_*.py") for case in set(table.CASE_201.findall(path.read_text()))]
    assert [case for case, files in Counter(found).items() if files > 1] == []
