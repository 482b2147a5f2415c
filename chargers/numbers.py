"""Numbers that a central system gives once, from sequences of the database."""

from django.db import connection


def next_free_id(sequence, taken):
    """The next number of `sequence` that is no primary key in `taken`: somebody may have chosen it himself."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(%s)", [sequence])
            (number,) = cursor.fetchone()
        if not taken.filter(pk=number).exists():
            return number
