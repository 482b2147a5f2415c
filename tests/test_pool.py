"""Connections of the pool that PostgreSQL has ended meanwhile."""

import pytest
from django.db import connection

from core.db.postgresql.base import has_ended

pytestmark = pytest.mark.django_db(transaction=True)


def end(pids):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [pids])


def test_connections_that_the_server_has_ended_are_replaced():
    pool = connection.pool
    assert pool
    connection.ensure_connection()
    others = [pool.getconn() for _ in range(3)]
    assert not any(map(has_ended, others))
    end([one.info.backend_pid for one in others])
    for one in others:
        pool.putconn(one)
    connection.close()  # so that the next one is any of them
    for _ in range(5):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)
        connection.close()
