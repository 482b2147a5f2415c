"""Measure the same pages with a thousand rows of each table and with millions, and ingest at the same time."""

import http.client
import random
import statistics
import time
from urllib.parse import urlparse

from tools.bench import inbound

COOKIE = "sessionid"
# Pages to read: name, path; {task} is replaced by another task id for each request.
PAGES = (
    ("task poll", "/api/ocpp/tasks/{task}/"),
    ("transactions/505/", "/api/ocpp/transactions/505/"),
    ("admin: transactions", "/admin/transactions/transaction/"),
    ("admin: commands", "/admin/commands/command/"),
    ("admin: meter values", "/admin/transactions/metervalue/"),
)
CHARGERS = """
INSERT INTO chargers_charger (identity, description, authorization_key_hash, vendor, model, serial_number,
    charge_box_serial_number, firmware_version, iccid, imsi, meter_type, meter_serial_number, firmware_status,
    diagnostics_status, local_list_version, created_at, last_call_id, last_call_digest, last_answer,
    read_configuration_after_boot)
SELECT CASE n WHEN 0 THEN '505' ELSE 'READ' || n END, '', '', '', '', '', '', '', '', '', '', '', '', '', 0, now(),
    '', '', '', false
FROM generate_series(0, 999) n ON CONFLICT DO NOTHING
"""
# Charger 505 has its hundred from the start: what grows is everybody else's.
TRANSACTIONS = """
INSERT INTO transactions_transaction (charger_id, evse_id, connector_id, id_tag, id_tag_status, start_time,
    raw_start_time, start_received_at, meter_start, stop_time, raw_stop_time, stop_received_at, meter_stop,
    stop_reason, stop_id_tag)
SELECT c.id, 1, 1, 'TAG0001', 'Accepted', at, at::text || n, at, n %% 100000, at + interval '1 hour', '',
    at + interval '1 hour', n %% 100000 + 20000, 'Local', ''
FROM generate_series(%(first)s::int, %(last)s::int) n CROSS JOIN
    LATERAL (SELECT now() - (%(last)s::int - n) * interval '30 seconds' AS at) t
JOIN chargers_charger c ON c.identity = CASE WHEN n <= 100 THEN '505' ELSE 'READ' || (1 + n %% 999) END
ON CONFLICT DO NOTHING
"""
METER_VALUES = """
INSERT INTO transactions_reading (charger_id, transaction_id, reported_transaction_id, evse_id, timestamp,
    raw_timestamp, received_at, samples)
SELECT t.charger_id, t.id, t.id, 1, t.start_time + n * interval '1 minute', '',
    t.start_time + n * interval '1 minute', json_build_array(json_build_array(n::text))
FROM (SELECT * FROM transactions_transaction WHERE raw_start_time LIKE '%% %%' ORDER BY id DESC LIMIT %(of)s::int) t,
    generate_series(1, %(each)s::int) n
"""
COMMANDS = """
INSERT INTO commands_command (task_id, charger_id, ocpp_version, action, payload, timeout, state, outcome, simulated,
    response, warning, requested_by, idempotency_key, request_digest, claim_token, created_at, sent_at, finished_at)
SELECT gen_random_uuid()::text, c.id, 'ocpp1.6', 'ClearCache', '{}', 30, 'finished', 'answered', false,
    '{"status":"Accepted"}', '', '', '', '', '', at, at, at
FROM generate_series(%(first)s::int, %(last)s::int) n CROSS JOIN
    LATERAL (SELECT now() - (%(last)s::int - n) * interval '30 seconds' AS at) t
JOIN chargers_charger c ON c.identity = 'READ' || (1 + n %% 999)
"""


def run(product, thousands, millions, seconds, say):
    """{page: (p95 with a small database, with a large one)} in ms, and {"ingest": (messages/s before, after)}."""
    _fill(product, 1, thousands, readings=1)
    small, slow = _measure(product), _ingest(product, seconds)
    say(f"    filling the database: {millions:,} transactions and commands, ten times as many meter values")
    _fill(product, thousands + 1, millions, readings=10)
    large, after = _measure(product), _ingest(product, seconds)
    return {name: (small[name], large[name]) for name in small} | {"ingest": (slow, after)}


def _fill(product, first, last, readings):
    product.sql(CHARGERS)
    portion = 100_000
    for start in range(first, last + 1, portion):
        numbers = {"first": start, "last": min(last, start + portion - 1)}
        count = numbers["last"] - start + 1
        product.sql(TRANSACTIONS, numbers)
        product.sql(METER_VALUES, {"of": count, "each": readings})
        product.sql(COMMANDS, numbers)
    for table in ("transactions_transaction", "transactions_reading", "commands_command", "chargers_charger"):
        product.sql(f"VACUUM ANALYZE {table}")


def _ingest(product, seconds):
    with product.web(1):
        return inbound.complete(product, "closed", prefix="ingest", seconds=seconds)["rate"]


def _measure(product, number=60):
    tasks = [task for (task,) in product.sql("SELECT task_id FROM commands_command ORDER BY random() LIMIT 200")]
    with product.web(1):
        address, cookie = urlparse(product.url), _login()
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=120)
        return {name: _p95(connection, path, cookie, tasks, number) for name, path in PAGES}


def _p95(connection, path, cookie, tasks, number):
    took = []
    for turn in range(-5, number):
        began = time.perf_counter()
        connection.request("GET", path.format(task=random.choice(tasks)), headers={"Cookie": f"{COOKIE}={cookie}"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status}")
        if turn >= 0:
            took.append((time.perf_counter() - began) * 1000)
    return statistics.quantiles(took, n=20)[-1]


def _login():
    """The session of an admin user, made in the database."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    user, _ = get_user_model().objects.get_or_create(username="bench", is_staff=True, is_superuser=True)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key
