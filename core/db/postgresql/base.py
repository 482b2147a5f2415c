"""The backend that DATABASES names. Django finds `DatabaseWrapper` here."""

from typing import Any

from django.db.backends.postgresql import base
from psycopg import OperationalError


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection of Django to PostgreSQL. `has_ended` replaces the check of the pool."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection of the pool that its server has not closed, such as by a restart."""
        while has_ended(connection := super().get_new_connection(conn_params)):
            self.pool.putconn(connection)  # the pool discards it and opens another
        return connection


def has_ended(connection: Any) -> bool:
    """Whether the server has closed `connection`. This reads what has arrived on the socket, without waiting.

    The check of psycopg's pool, CONN_HEALTH_CHECKS, sends an empty statement each time a connection is taken, which
    was some seven times for a command.
    """
    try:
        for _ in range(2):  # the first read may get the last message of the server, the second one the end
            connection.pgconn.consume_input()
    except OperationalError:
        return True
    return False
