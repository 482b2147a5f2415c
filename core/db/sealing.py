"""Secrets at rest are encrypted with the first of SECRETS_KEYS, and can be decrypted with each of them.

A sealed column holds a Fernet token. The attribute of a model shows no secret; `opened()` decrypts, which is done
only to send the secret.
"""

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.apps.registry import Apps
from django.conf import settings
from django.core.management.base import CommandError
from django.db import connection, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.expressions import BaseExpression
from django.db.models.lookups import Lookup, Transform
from django.db.models.query_utils import DeferredAttribute

from core.ocpp.redaction import HIDDEN

TOKEN = "gAAAA"  # begins every token: version 0x80 and the high bytes of a 64-bit time
PAGE_SIZE = 500  # rows that are read by one query
CHECKED_ROWS = 1000  # newest rows of a column in which a secret is searched to check the keys


class Unreadable(Exception):
    """A secret cannot be decrypted by this process; the text says why, and what to do."""


def seal(text: str) -> str:
    """Encrypt `text` with the first key and return a token; raise `Unreadable` in a process without keys."""
    return _ciphers()[0].encrypt(text.encode()).decode()


def unseal(token: str) -> str:
    """Decrypt `token`; raise `Unreadable` if no key of this process can."""
    try:
        return _all_ciphers().decrypt(token.encode()).decode()
    except InvalidToken as error:
        raise Unreadable(
            "No key in SECRETS_KEYS opens this secret: add the key that it was encrypted with to the list."
        ) from error


def renewed(token: str) -> str | None:
    """Return `token` encrypted with the first key, or None if it is already; raise `Unreadable`."""
    try:
        _ciphers()[0].decrypt(token.encode())
    except InvalidToken:
        return seal(unseal(token))
    return None


def require() -> None:
    """Raise `Unreadable` in a process without keys; called where a process needs them."""
    _ciphers()


def _ciphers() -> list[Fernet]:
    if not settings.SECRETS_KEYS:
        raise Unreadable("SECRETS_KEYS is `none` here, but this process needs the keys: set it to the list of keys.")
    return _fernets(tuple(settings.SECRETS_KEYS))


def _all_ciphers() -> MultiFernet:
    return MultiFernet(_ciphers())


@cache
def _fernets(keys: tuple[str, ...]) -> list[Fernet]:
    return [Fernet(key) for key in keys]


# --- model fields ----------------------------------------------------------------------------


class SealedAttribute(DeferredAttribute):
    """Seal a value as soon as it is assigned, so that a row shows the same before and after it is saved."""

    field: "Unsearchable"

    def __set__(self, instance: models.Model, value: Any) -> None:
        instance.__dict__[self.field.attname] = self.field.sealed(value)


class Unsearchable(models.TextField):
    """A column that cannot be compared, because every lookup would reveal something about its secret."""

    descriptor_class = SealedAttribute

    def get_lookup(self, lookup_name: str) -> type[Lookup] | None:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None

    def get_transform(self, lookup_name: str) -> type[Transform] | None:
        return None

    def sealed(self, value: Any) -> Any:
        """Return the attribute for the assigned `value`, with its secrets encrypted."""
        raise NotImplementedError

    def resealed(self, stored: str) -> str | None:
        """Return the column's text `stored` encrypted with the first key, or None if it is already."""
        raise NotImplementedError


class Sealed:
    """An encrypted text; `str()` shows a mask."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __str__(self) -> str:
        return HIDDEN

    def opened(self) -> str:
        return unseal(self.token)


class SealedField(Unsearchable):
    """A text column that is always secret. Its attribute is a `Sealed`; a `str` may be assigned."""

    def sealed(self, value: Any) -> Any:
        return Sealed(seal(value)) if isinstance(value, str) else value

    def to_python(self, value: Any) -> Any:
        return self.sealed(value)

    def from_db_value(
        self, value: str | None, expression: BaseExpression, connection: BaseDatabaseWrapper
    ) -> Sealed | None:
        return None if value is None else Sealed(value)

    def get_prep_value(self, value: Any) -> Any:
        value = self.sealed(value)
        return value.token if isinstance(value, Sealed) else value

    def resealed(self, stored: str) -> str | None:
        return renewed(stored) if stored.startswith(TOKEN) else seal(stored)


# --- stored secrets --------------------------------------------------------------------------


def check_keys(apps: Apps) -> None:
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


def _columns(of_models: Iterable[type[models.Model]]) -> list[tuple[type[models.Model], Unsearchable]]:
    return [
        (model, field)
        for model in of_models
        for field in model._meta.concrete_fields
        if isinstance(field, Unsearchable)
    ]


def reseal(
    of_models: Iterable[type[models.Model]],
    progress: Callable[[str, int, int], object] = lambda column, done, total: None,
) -> int:
    """Encrypt every secret of `of_models` with the first key, plain texts too; return the number of changed rows.

    `progress(column, done, total)` is called after each page. It may be interrupted and run again.
    """
    return sum(_reseal_column(model, field, progress) for model, field in _columns(of_models))


def _reseal_column(
    model: type[models.Model], field: Unsearchable, progress: Callable[[str, int, int], object]
) -> int:
    table, key, column = model._meta.db_table, str(model._meta.pk.column), field.column
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


def _rows(statement: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _reseal_row(table: str, key: str, field: Unsearchable, pk: Any, stored: str | None) -> int:
    """Return the number of changed rows: 0 also if another session has changed the row meanwhile."""
    resealed = None if stored is None else field.resealed(stored)
    if resealed is None:
        return 0
    with connection.cursor() as cursor:
        statement = f"UPDATE {table} SET {field.column} = %s WHERE {key} = %s AND {field.column} = %s"
        cursor.execute(statement, [resealed, pk, stored])
        changed: int = cursor.rowcount
        return changed
