"""Compare the chargers' records with the database: every figure should be 0."""

from collections import Counter

# Figures, and their text in the table.
FIGURES = {
    "lost": "acknowledged and not stored",
    "twice": "stored twice",
    "unanswered": "messages of chargers that never had an answer",
    "errors": "messages of chargers that were answered with a CALLERROR",
    "sent twice": "commands written twice",
    "half taken": "commands of which it was said that they were not taken, and which are stored",
    "HTTP 500": "requests for commands that were answered with a 500",
    "unfinished": "commands that never finished",
    "untrue": "outcomes that are not true",
    "shown wrong": "shown online or offline, and not so",
}

TRANSACTIONS = """
SELECT coalesce(nullif(t.own_reference, ''), t.id::text), c.identity, t.raw_start_time, t.meter_start,
    t.stop_received_at IS NOT NULL, t.meter_stop,
    (SELECT count(*) FROM transactions_metervalue m WHERE m.transaction_id = t.id)
FROM transactions_transaction t JOIN chargers_charger c ON c.id = t.charger_id WHERE c.identity = ANY(%s)
"""
CHARGERS = """
SELECT c.identity, c.last_boot_at IS NOT NULL, n.status, n.raw_timestamp
FROM chargers_charger c LEFT JOIN chargers_connector n ON n.charger_id = c.id AND n.connector_id = 1
WHERE c.identity = ANY(%s)
"""
READINGS = """
SELECT c.identity, count(*) FROM transactions_metervalue m JOIN chargers_charger c ON c.id = m.charger_id
WHERE m.transaction_id IS NULL AND c.identity = ANY(%s) GROUP BY c.identity
"""
COMMANDS = """
SELECT task_id, state, outcome, simulated, response IS NOT NULL, error IS NOT NULL FROM commands_command
WHERE task_id = ANY(%s)
"""
SILENCE = ("timed_out", "not_connected", "connection_lost")


def lost_and_twice(records, sql):
    """Of {charger id: Records}, all messages answered: (what was acknowledged and is not there, what is twice)."""
    rows = sql(TRANSACTIONS, [list(records)])
    stored = {row[0]: row[1:] for row in rows}
    lost, twice = _chargers_lost(records, sql), []
    readings = dict(sql(READINGS, [list(records)]))
    for charger_id, own in records.items():
        more = readings.get(charger_id, 0) - own.readings
        lost += [(charger_id, None, "reading")] * max(0, -more)
        twice += [(charger_id, None, "reading")] * max(0, more)
        for number, session in own.sessions.items():
            lost += [(charger_id, number, what) for what in _lost_of(charger_id, session, stored.get(number))]
            more = stored[number][-1] - session.samples if number in stored else 0
            twice += [(charger_id, number, "meter values")] * max(0, more)
    known = {number for own in records.values() for number in own.sessions}
    twice += [(row[1], row[0], "transaction") for row in rows if row[0] not in known]
    return lost, twice


def _lost_of(charger_id, session, row):
    """What of one session is missing; `row` is None where all of it is."""
    if row is None or (row[0], row[1], row[2]) != (charger_id, session.start_time, session.meter_start):
        yield "start"
        return
    _, _, _, stopped, meter_stop, samples = row
    yield from ["meter values"] * max(0, session.samples - samples)
    if session.meter_stop is not None and not (stopped and meter_stop == session.meter_stop):
        yield "stop"


def _chargers_lost(records, sql):
    reported = {row[0]: row[1:] for row in sql(CHARGERS, [list(records)])}
    lost = []
    for charger_id, own in records.items():
        booted, *status = reported.get(charger_id, (False, None, None))
        if own.boots and not booted:
            lost.append((charger_id, None, "boot"))
        status_sent = own.status.get("status", own.status.get("connectorStatus"))
        if own.status and status != [status_sent, own.status["timestamp"]]:
            lost.append((charger_id, None, "status"))
    return lost


def not_answered(asked, sql):
    """How many of the commands `asked` have another outcome than "answered"."""
    found = sql(
        "SELECT count(*) FROM commands_command WHERE task_id = ANY(%s) AND outcome = 'answered'", [list(asked)]
    )
    return len(asked) - found[0][0]


def sent_twice(records):
    """Message ids of CALLs that came more than once."""
    return [message_id for own in records.values() for message_id, times in own.calls.items() if times > 1]


def half_taken(refused_keys, sql):
    """Those of the idempotency keys of refused commands under which there is a command all the same."""
    found = sql("SELECT idempotency_key FROM commands_command WHERE idempotency_key = ANY(%s)", [list(refused_keys)])
    return [key for (key,) in found]


def commands(asked, records, sql):
    """Of {task id: (charger id, manner)}: (those that are not finished, those whose outcome is untrue, outcomes)."""
    rows = {row[0]: row[1:] for row in sql(COMMANDS, [list(asked)])}
    unfinished = [task_id for task_id in asked if rows.get(task_id, ("gone",))[0] != "finished"]
    untrue, outcomes = [], Counter()
    for task_id, (_state, outcome, simulated, response, error) in rows.items():
        own = records.get(asked[task_id][0])
        replied = own is not None and task_id in own.replied
        outcomes[f"{outcome} though the charger answered" if replied and outcome in SILENCE else outcome] += 1
        lies = {
            "answered": not replied or not response or simulated,
            **dict.fromkeys(SILENCE, not simulated or response or error),
        }
        if lies.get(outcome, bool(outcome)):
            untrue.append((task_id, asked[task_id], outcome))
    return unfinished, untrue, outcomes
