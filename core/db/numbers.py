"""Unique numbers from sequences of the database."""

from django.db import connection, models


def next_free_id(sequence: str, taken: models.QuerySet[models.Model]) -> int:
    """Return the next number of `sequence` that is no primary key in `taken`, because operators may choose ids."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(%s)", [sequence])
            number: int = cursor.fetchone()[0]
        if not taken.filter(pk=number).exists():
            return number
