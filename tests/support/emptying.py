"""Empty the database after a test that commits, by deleting the few rows that most of them leave.

Django's `flush` truncates every table, and then creates all permissions and roles again, which takes longer than most
of these tests.
"""

from django.db import connection, transaction
from django.test import TransactionTestCase

FEW = 2000  # rows of a table; more of them are truncated
# Tables that get rows by triggers when rows of others are deleted.
FILLED_BY_TRIGGERS = ("commands_deletedcommands", "commands_stalecommandday", "transactions_staleday")
flush = TransactionTestCase._fixture_teardown
# {table: (its latest id, digest)} of the rows that the last flush has created, such as the permissions.
_created = {}


def empty(case):
    """Delete all rows except those that `flush` would create again; flush where these have changed.

    This replaces `TransactionTestCase._fixture_teardown`.
    """
    global _created
    with transaction.atomic(), connection.cursor() as cursor:
        later = {table: f"WHERE id > {latest}" for table, (latest, _) in _created.items()}
        filled = [(table, count) for table, count in _counts(cursor, later) if count]
        is_cheap = _created and all(count <= FEW for _, count in filled) and _digests(cursor, _created) == _created
        for table in [*(name for name, _ in filled), *FILLED_BY_TRIGGERS] if is_cheap else ():
            cursor.execute(f"DELETE FROM {table} {later.get(table, '')}")
    if not is_cheap:
        flush(case)
        with connection.cursor() as cursor:
            _created = _digests(cursor, {table: (None, "") for table, count in _counts(cursor, {}) if count})


def _counts(cursor, conditions):
    """Return (table, number of rows that fulfil its condition, or FEW + 1) of each table."""
    tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
    parts = [
        f"SELECT '{table}', count(*) FROM (SELECT FROM {table} {conditions.get(table, '')} LIMIT {FEW + 1}) t"
        for table in tables
    ]
    cursor.execute(" UNION ALL ".join(parts))
    return cursor.fetchall()


def _digests(cursor, created):
    """Return what `created` would be now, with regard to the same ids: all of them where the latest one is None."""
    parts = [
        f"SELECT '{table}', max(id)::bigint, md5(string_agg(t::text, ' ' ORDER BY id)) FROM {table} t "
        + ("" if latest is None else f"WHERE id <= {latest}")
        for table, (latest, _) in created.items()
    ]
    cursor.execute(" UNION ALL ".join(parts))
    return {table: (latest, digest) for table, latest, digest in cursor.fetchall()}
