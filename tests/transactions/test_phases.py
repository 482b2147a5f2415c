"""Readings of phases make one value by the same rule in Python and in SQL."""

import pytest
from django.db import connection

from transactions.services.phases import of_all_phases, of_all_phases_sql

CASES = [
    ({}, None),
    ({"": 7}, 7),
    ({"": 7, "L1": 1}, 7),
    ({"": 0}, 0),
    ({"": 0, "L1": 1, "L2": 2}, 3),
    ({"L1": 1, "L2": 2, "L3": 3}, 6),
    ({"L1": 1, "L2": 2, "L1-N": 10, "L2-N": 20}, 3),
    ({"L1-N": 10, "L2-N": 20}, 30),
    ({"N": 5}, None),
    ({"": 0, "N": 5}, 0),
]


@pytest.mark.django_db
@pytest.mark.parametrize(("phases", "expected"), CASES)
def test_phases_are_one_value_in_python_and_in_sql(phases, expected):
    statement = f"SELECT {of_all_phases_sql('wh')} FROM unnest(%s::text[], %s::int[]) AS r(phase, wh)"
    with connection.cursor() as cursor:
        cursor.execute(statement, [list(phases), list(phases.values())])
        assert (of_all_phases(phases), cursor.fetchone()[0]) == (expected, expected)
