"""A restored dump of the database has the same rows, as docs/operations.md says."""

import json
import os
import subprocess
import sys
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.live import an_id, eventually, exchange
from tests.support.postgres import run_program
from tests.support.products import product
from tests.support.servers import RUN_DIR
from tools.stack.processes import CannotStart
from tools.stack.stack import PROJECT

NOON = "2025-02-26T12:00:00Z"
SESSION = [
    ("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}),
    ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}),
    ("StartTransaction", {"connectorId": 1, "idTag": "ABC", "meterStart": 1, "timestamp": NOON}),
]
TABLES = """
SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
"""
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
DIGEST = "SELECT count(*), md5(string_agg(md5(t::text), '' ORDER BY md5(t::text))) FROM {} t"
GO_ON = """
from tests.support.builders import a_transaction
from transactions.models import Transaction
before = Transaction.objects.order_by("-pk").first().pk
assert a_transaction().pk > before
"""


def contents(url):
    """{table: (rows, digest of all of them)}, and the sequences."""
    with psycopg.connect(url) as connection:
        tables = sorted(table for (table,) in connection.execute(TABLES))
        body = {table: connection.execute(DIGEST.format(table)).fetchone() for table in tables}
        return body, connection.execute(SEQUENCES).fetchall()


@pytest.fixture
def dump(live):
    """The file of a dump of the running system, which is written to meanwhile."""
    with live.socket(an_id()) as socket:
        for number, (action, payload) in enumerate(SESSION):
            assert exchange(socket, str(number), action, payload)[0] == 3
    return dumped(live.database_url, "backup.dump")


def dumped(url, name):
    run_program("pg_dump", "--format=custom", f"--file={RUN_DIR / name}", url)
    return RUN_DIR / name


def restored(live, dump, name):
    """The URL of a new database with what is in `dump`."""
    with psycopg.connect(live.database_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    url = urlsplit(live.database_url)._replace(path=f"/{name}").geturl()
    run_program("pg_restore", "--exit-on-error", "--single-transaction", f"--dbname={url}", str(dump))
    return url


def test_a_restored_dump_has_the_same_rows_and_sequences(live, dump):
    first = restored(live, dump, "ocpp_restored")
    again = restored(live, dumped(first, "again.dump"), "ocpp_restored_again")
    assert contents(again) == contents(first)
    assert contents(first)[0]["transactions_transaction"][0] >= 1


def charger_with_queued_password(live):
    """(charger id, password) of a disconnected charger, for which a command with a password waits."""
    charger_id, password = an_id(), f"Zq{an_id()}"
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id})
    payload = {"key": "WifiPassword", "value": password}
    live.ask(charger_id, "ChangeConfiguration", payload, timeout=3000)
    return charger_id, password


@contextmanager
def started(url, keys):
    """The whole product on the database at `url`, with `keys` for its secrets."""
    settings = {"OCPP_UNKNOWN_CHARGERS": "reject", "OCPP_QUEUE_TIMEOUT": "3600", "SECRETS_KEYS": keys}
    with product(f"restored-{an_id()}", settings, url) as restarted:
        yield restarted


@pytest.mark.timeout(400)  # a second one starts beside the product that is there
def test_a_restored_command_is_sent_with_its_secret(live):
    charger_id, password = charger_with_queued_password(live)
    url = restored(live, dumped(live.database_url, "secrets.dump"), "ocpp_restored_secrets")
    with (
        started(url, live.stack.env["SECRETS_KEYS"]) as again,
        again.charger(charger_id, ChangeConfiguration={"status": "Accepted"}) as charger,
    ):
        frame = eventually(lambda: charger.received, 60)[0]
    assert json.loads(frame)[3] == {"key": "WifiPassword", "value": password}


def test_a_start_without_the_keys_reports_what_is_missing(live):
    charger_with_queued_password(live)
    url = restored(live, dumped(live.database_url, "secrets.dump"), "ocpp_restored_secrets")
    other = urlsafe_b64encode(os.urandom(32)).decode()
    for keys in ("", other):
        with pytest.raises(CannotStart, match="add the key that it was encrypted with"), started(url, keys):
            pass


def test_the_system_runs_on_a_restored_dump(live, dump):
    env = os.environ | {"DATABASE_URL": restored(live, dump, "ocpp_restored")}
    for arguments in (["migrate", "--check"], ["shell", "-c", GO_ON]):
        manage = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(manage, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
