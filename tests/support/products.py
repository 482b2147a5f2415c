"""The whole system as a user runs it, with settings of its own."""

import os
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg

from tests.support.live import Live, free_port
from tests.support.servers import RUN_DIR
from tools.stack.servers import ADMIN_MADE
from tools.stack.stack import Stack


def new_database(name):
    """The URL of an empty database on the server of the tests."""
    given = os.environ["DATABASE_URL"]
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return urlsplit(given)._replace(path=f"/{name}").geturl()


@contextmanager
def product(name, settings, database_url=None, flower=False):
    """`Live` of a product with `settings`, and those of local development where they say nothing else.

    It is on a new database, or on that of `database_url`, and keeps its files in the folder `name`.
    """
    folder = RUN_DIR / name
    if database_url is None:
        database_url = new_database(f"ocpp_{name}")
        (folder / ADMIN_MADE).unlink(missing_ok=True)
    local = {"DEBUG": "1", "API_AUTH": "none", "OCPP_UNKNOWN_CHARGERS": "accept", "BROKER_URL": ""}
    ports = {"PORT": str(free_port()), "FLOWER_PORT": str(free_port())}
    env = {**local, **ports, "DATABASE_URL": database_url, **settings}
    stack = Stack(folder, env, say=lambda line: None)
    try:
        stack.start(flower=flower)
        yield Live(stack, database_url)
    finally:
        stack.stop()
