"""A message that a charger repeats while the first one is being committed is stored once, over any socket."""

import json
import ssl
import time

import pytest

from tests.support.live import eventually
from tests.support.wire import WireCharger

SLOW_COMMIT_S = 1.5
# Commits of what is marked like this take long, with all locks held.
SLOW_COMMITS = f"""
CREATE FUNCTION slow_repeated() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_sleep({SLOW_COMMIT_S}); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER slow_readings AFTER INSERT ON transactions_reading DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (strpos(NEW.samples, '"Trigger"') > 0) EXECUTE FUNCTION slow_repeated();
CREATE CONSTRAINT TRIGGER slow_statuses AFTER INSERT OR UPDATE ON chargers_connector DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.info = 'slow') EXECUTE FUNCTION slow_repeated()
"""
NO_SLOW_COMMITS = "DROP FUNCTION IF EXISTS slow_repeated CASCADE"
STORED = """
SELECT (SELECT count(*) FROM transactions_metervalue WHERE charger_id = c.id AND context = 'Trigger'),
    (SELECT count(*) FROM chargers_event WHERE charger_id = c.id AND body->>'info' = 'slow')
FROM chargers_charger c WHERE identity = %s
"""
MINUTE = "2025-02-26T12:{:02}:00Z"


def reading(timestamp, context="Trigger", **members):
    sample = {"value": "7", "context": context}
    return {"connectorId": 1, "meterValue": [{"timestamp": timestamp, "sampledValue": [sample]}]} | members


def status(**members):
    return {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "info": "slow", **members}


# What is repeated: its action, its payload, and the numbers of (readings, events) that are stored.
REPEATED = {
    "the newest reading": ("MeterValues", lambda pk: reading(MINUTE.format(9), transactionId=pk), (1, 0)),
    "an older reading": ("MeterValues", lambda pk: reading(MINUTE.format(2), transactionId=pk), (1, 0)),
    "a reading of another's": ("MeterValues", lambda pk: reading(MINUTE.format(9), transactionId=2**31 - 2), (1, 0)),
    "an unnamed reading": ("MeterValues", lambda pk: reading(MINUTE.format(9)), (1, 0)),
    "of another connector": ("MeterValues", lambda pk: reading(MINUTE.format(9), connectorId=2), (1, 0)),
    "without a time": ("MeterValues", lambda pk: reading("soon", connectorId=2), (1, 0)),
    "a status": ("StatusNotification", lambda pk: status(timestamp=MINUTE.format(9)), (0, 1)),
    "a first status": ("StatusNotification", lambda pk: status(connectorId=2, timestamp=MINUTE.format(9)), (0, 1)),
}


@pytest.fixture(scope="module")
def slow_commits(live):
    live.execute(NO_SLOW_COMMITS)
    live.execute(SLOW_COMMITS)
    yield
    live.execute(NO_SLOW_COMMITS)


@pytest.fixture
def over_tls(live):
    """The URL and the options of sockets at the web process that terminates TLS, which serves no plain socket."""
    trusting = ssl.create_default_context()
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2  # because of threads, see `trusting` of the security cases
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # the certificate is self-signed
    return {"base": f"wss://localhost:{live.stack.env['TLS_PORT']}/ws/ocpp", "ssl": trusting}


@pytest.mark.parametrize("where", ["on the same socket", "in the same process", "in another process"])
@pytest.mark.parametrize("what", REPEATED)
def test_what_is_repeated_while_it_is_committed_is_stored_once(live, slow_commits, over_tls, what, where):
    action, payload, stored = REPEATED[what]
    with WireCharger(live, **over_tls).connect() as older:
        start = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": MINUTE.format(0)}
        pk = older.send("StartTransaction", start)[2]["transactionId"]
        older.send("MeterValues", reading(MINUTE.format(5), "Sample.Periodic", transactionId=pk))
        older.send("StatusNotification", status(info="", timestamp=MINUTE.format(1)))
        frame = json.dumps([2, "again", action, payload(pk)])
        older.socket.send(frame)
        time.sleep(SLOW_COMMIT_S / 3)
        if where == "on the same socket":
            for _ in range(2):
                older.socket.send(frame)
                assert older.next_frame(lambda frame: frame[0] != 2)[:2] == [3, "again"]
            assert older.next_frame(lambda frame: frame[0] != 2)[:2] == [3, "again"]
        else:
            options = over_tls if where == "in the same process" else {}
            with WireCharger(live, older.identity, **options).connect() as newer:
                for _ in range(2):
                    newer.socket.send(frame)
                    assert newer.next_frame(lambda frame: frame[0] != 2)[:2] == [3, "again"]
    eventually(lambda: live.rows(STORED, older.identity) == [stored])
    time.sleep(SLOW_COMMIT_S / 3)
    assert live.rows(STORED, older.identity) == [stored]
