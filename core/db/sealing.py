"""Secrets at rest are encrypted with the first of SECRETS_KEYS, and can be decrypted with each of them.

A sealed column holds a Fernet token. The attribute of a model shows no secret; `opened()` decrypts, which is done
only to send the secret.
"""

from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, models
from django.db.models.query_utils import DeferredAttribute

from core.ocpp.redaction import HIDDEN

TOKEN = "gAAAA"  # begins every token: version 0x80 and the high bytes of a 64-bit time
PAGE_SIZE = 500  # rows that are read by one query
CHECKED_ROWS = 1000  # newest rows of a column in which a secret is searched to check the keys


class Unreadable(Exception):
    """A secret cannot be decrypted by this process; the text says why, and what to do."""


def seal(text):
    """Encrypt `text` with the first key and return a token; raise `Unreadable` in a process without keys."""
    return _ciphers()[0].encrypt(text.encode()).decode()


def unseal(token):
    """Decrypt `token`; raise `Unreadable` if no key of this process can."""
    try:
        return _all_ciphers().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Unreadable(
            "No key in SECRETS_KEYS opens this secret: add the key that it was encrypted with to the list."
        ) from error


def renewed(token):
    """Return `token` encrypted with the first key, or None if it is already; raise `Unreadable`."""
    try:
        _ciphers()[0].decrypt(token.encode())
    except InvalidToken:
        return seal(unseal(token))
    return None


def require():
    """Raise `Unreadable` in a process without keys; called where a process needs them."""
    _ciphers()


def _ciphers():
    if not settings.SECRETS_KEYS:
        raise Unreadable("SECRETS_KEYS is `none` here, but this process needs the keys: set it to the list of keys.")
    return _fernets(tuple(settings.SECRETS_KEYS))


def _all_ciphers():
    return MultiFernet(_ciphers())


@cache
def _fernets(keys):
    return [Fernet(key) for key in keys]


# --- model fields ----------------------------------------------------------------------------


class SealedAttribute(DeferredAttribute):
    """Seal a value as soon as it is assigned, so that a row shows the same before and after it is saved."""

    def __set__(self, instance, value):
        instance.__dict__[self.field.attname] = self.field.sealed(value)


class Unsearchable:
    """A column that cannot be compared, because every lookup would reveal something about its secret."""

    descriptor_class = SealedAttribute

    def get_lookup(self, name):
        return super().get_lookup(name) if name == "isnull" else None

    def get_transform(self, name):
        return None


class Sealed:
    """An encrypted text; `str()` shows a mask."""

    def __init__(self, token):
        self.token = token

    def __str__(self):
        return HIDDEN

    def opened(self):
        return unseal(self.token)


class SealedField(Unsearchable, models.TextField):
    """A text column that is always secret. Its attribute is a `Sealed`; a `str` may be assigned."""

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
        """Return the column's text `stored` encrypted with the first key, or None if it is already."""
        return renewed(stored) if stored.startswith(TOKEN) else seal(stored)


# --- stored secrets --------------------------------------------------------------------------


def check_keys(apps):
    """Raise `CommandError` if the keys do not decrypt the secrets of the database; runs after each `migrate`.

    Only the newest rows are checked, because after a restore without its keys no secret can be decrypted.
    """
    for model, field in _columns(apps.get_models()):
        table, column = model._meta.db_table, field.column
        newest = f"SELECT {column} AS text FROM {table} ORDER BY {model._meta.pk.column} DESC LIMIT {CHECKED_ROWS}"
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
    """Encrypt every secret of `models` with the first key, plain texts too; return the number of changed rows.

    `progress(column, done, total)` is called after each page. It may be interrupted and run again.
    """
    return sum(_reseal_column(model, field, progress) for model, field in _columns(models))


def _reseal_column(model, field, progress):
    table, key, column = model._meta.db_table, model._meta.pk.column, field.column
    page = f"SELECT {key}, {column} FROM {table} WHERE {key} > %s ORDER BY {key} LIMIT {PAGE_SIZE}"
    first = f"SELECT {key}, {column} FROM {table} ORDER BY {key} LIMIT {PAGE_SIZE}"
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
    """Return the number of changed rows: 0 also if another session has changed the row meanwhile."""
    resealed = None if stored is None else field.resealed(stored)
    if resealed is None:
        return 0
    with connection.cursor() as cursor:
        statement = f"UPDATE {table} SET {field.column} = %s WHERE {key} = %s AND {field.column} = %s"
        cursor.execute(statement, [resealed, pk, stored])
        return cursor.rowcount
