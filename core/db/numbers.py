"""Unique numbers from sequences of the database."""

from django.db import connection


def next_free_id(sequence, taken):
    """Return the next number of `sequence` that is no primary key in `taken`, because operators may choose ids."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(%s)", [sequence])
            (number,) = cursor.fetchone()
        if not taken.filter(pk=number).exists():
            return number
