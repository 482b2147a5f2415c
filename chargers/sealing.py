"""Secrets at rest: encrypted with the first of SECRETS_KEYS, readable with each of them, opened only to be sent.

A sealed column holds a Fernet token. What a model's attribute shows is harmless; `opened()` decrypts.
"""

from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, models
from django.db.models.query_utils import DeferredAttribute

from chargers.masking import HIDDEN

TOKEN = "gAAAA"  # begins every token: version 0x80 and the high bytes of a 64-bit time
PORTION = 500  # rows that are read in one go
NEWEST = 1000  # rows of a column that are looked at to see whether the keys fit


class Unreadable(Exception):
    """A secret cannot be opened here; the text says why, and what to do."""


def seal(text):
    """`text` encrypted with the first key, as text; raises `Unreadable` in a program without keys."""
    return _ciphers()[0].encrypt(text.encode()).decode()


def unseal(token):
    """The text in `token`; raises `Unreadable` where no key of this program opens it."""
    try:
        return _all_ciphers().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Unreadable(
            "No key in SECRETS_KEYS opens this secret: add the key that it was encrypted with to the list."
        ) from error


def renewed(token):
    """`token` encrypted anew with the first key, None where it is so already; raises `Unreadable`."""
    try:
        _ciphers()[0].decrypt(token.encode())
    except InvalidToken:
        return seal(unseal(token))
    return None


def require():
    """Raise `Unreadable` in a program that has no keys, but needs them."""
    _ciphers()


def _ciphers():
    if not settings.SECRETS_KEYS:
        raise Unreadable("SECRETS_KEYS is `none` here, and this program needs the keys: set it to the list of them.")
    return _made(tuple(settings.SECRETS_KEYS))


def _all_ciphers():
    return MultiFernet(_ciphers())


@cache
def _made(keys):
    return [Fernet(key) for key in keys]


# --- model fields ----------------------------------------------------------------------------


class SealedAttribute(DeferredAttribute):
    """What is assigned is sealed at once, so that a row shows the same before and after it is saved."""

    def __set__(self, instance, value):
        instance.__dict__[self.field.attname] = self.field.sealed(value)


class Unsearchable:
    """A column that is never compared: every lookup would answer a question about what it hides."""

    descriptor_class = SealedAttribute

    def get_lookup(self, name):
        return super().get_lookup(name) if name == "isnull" else None

    def get_transform(self, name):
        return None


class Sealed:
    """A text that is shown to nobody."""

    def __init__(self, token):
        self.token = token

    def __str__(self):
        return HIDDEN

    def opened(self):
        return unseal(self.token)


class SealedField(Unsearchable, models.TextField):
    """A text that is always a secret. The attribute is a `Sealed`; a `str` may be assigned."""

    def sealed(self, value):
        return Sealed(seal(value)) if isinstance(value, str) else value

    def to_python(self, value):
        return self.sealed(value)

    def from_db_value(self, value, expression, connection):
        return None if value is None else Sealed(value)

    def get_prep_value(self, value):
        value = self.sealed(value)
        return value.token if isinstance(value, Sealed) else value

    def resealed(self, stored):
        """The column's text `stored` with its secret under the first key, None where nothing is to be done."""
        return renewed(stored) if stored.startswith(TOKEN) else seal(stored)


# --- all that is stored ----------------------------------------------------------------------


def check_keys(apps):
    """After `migrate`, which begins every start: raise `CommandError` where the keys are not those of the database.

    The newest rows are looked at: a backup that was restored without its keys has none that opens.
    """
    for model, field in _columns(apps.get_models()):
        table, column = model._meta.db_table, field.column
        newest = f"SELECT {column} AS text FROM {table} ORDER BY {model._meta.pk.column} DESC LIMIT {NEWEST}"
        for (stored,) in _rows(f"SELECT text FROM ({newest}) AS newest WHERE text LIKE %s LIMIT 1", [f"{TOKEN}%"]):
            try:
                unseal(stored.partition(" ")[0])
            except Unreadable as error:
                raise CommandError(f"Secrets in {table}.{column} cannot be sent. {error}") from error


def _columns(models):
    return [
        (model, field) for model in models for field in model._meta.concrete_fields if isinstance(field, Unsearchable)
    ]


def reseal(models, progress=lambda column, done, total: None):
    """Put every secret of `models` under the first key, and seal what is stored in plain; how many were changed.

    `progress(column, done, total)` is called after each portion. It may be interrupted, and run again.
    """
    return sum(_reseal_column(model, field, progress) for model, field in _columns(models))


def _reseal_column(model, field, progress):
    table, key, column = model._meta.db_table, model._meta.pk.column, field.column
    page = f"SELECT {key}, {column} FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT {PORTION}"
    first = f"SELECT {key}, {column} FROM {table} ORDER BY {key} LIMIT {PORTION}"
    total, done, changed = model._base_manager.count(), 0, 0
    rows = _rows(first, [])
    while rows:
        changed += sum(_reseal_row(table, key, field, *row) for row in rows)
        done += len(rows)
        progress(f"{table}.{column}", done, total)
        rows = _rows(page, [rows[-1][0]])
    return changed


def _rows(statement, parameters):
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall()


def _reseal_row(table, key, field, pk, stored):
    """How many rows were changed: none where somebody else has written it meanwhile."""
    resealed = None if stored is None else field.resealed(stored)
    if resealed is None:
        return 0
    with connection.cursor() as cursor:
        statement = f"UPDATE {table} SET {field.column} = %s WHERE {key} = %s AND {field.column} = %s"
        cursor.execute(statement, [resealed, pk, stored])
        return cursor.rowcount
