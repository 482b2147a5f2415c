"""Functions that create the state a test needs."""

import json
from datetime import UTC, datetime
from itertools import count
from uuid import uuid4

from chargers.models import Charger, HeldSerial, Incident, NotificationRule
from chargers.services import connections, findings
from commands.models import Command
from core.ocpp.calls import Call
from gateway.calls import commits
from gateway.commits import Batch, Entry
from gateway.protocols import HANDLERS
from transactions.models import IdTag, Transaction

NOON = "2025-02-26T12:00:00Z"
_numbers = count(1)


def a_charger(charger_id=None, **columns):
    """A charger; it holds the serial numbers in `columns`, as after a boot."""
    charger = Charger.objects.create(identity=charger_id or f"CP-{next(_numbers)}", **columns)
    for serial in {columns.get("serial_number"), columns.get("charge_box_serial_number")} - {None, ""}:
        HeldSerial.objects.get_or_create(serial=serial, defaults={"charger": charger})
    return charger


def a_tag(id_tag="ABC", **columns):
    return IdTag.objects.create(id_tag=id_tag, **columns)


def a_call(charger, action, message_id=None, **payload):
    """A CALL of `charger`; the payload is given as keyword arguments in camelCase."""
    return Call(charger.pk, message_id or uuid4().hex, action, payload, datetime.now(UTC), version=charger.version)


def open_socket(charger):
    """When a new socket of `charger` was opened: the `socket` of its CALLs."""
    opened = connections.ConnectionOpened(charger.pk, datetime.now(UTC), charger.ocpp_version or "ocpp1.6")
    return connections.open_sockets([opened])[0].opened_at


def settle(*calls):
    """Hand `calls` to their handlers in one batch, as the batch writer does; the payloads of the answers."""
    return [_payload(answer) for answer in outcomes(*calls)]


def outcomes(*calls):
    """The outcomes of `calls` in one batch: the text of each answer, or the exception of a handler."""
    entries = [Entry(HANDLERS[call.version][call.action], call) for call in calls]
    return commits.commit_with_retry(Batch(entries, {call.charger: call.received_at for call in calls}))


def _payload(answer):
    if isinstance(answer, Exception):
        raise answer
    kind, _, *rest = json.loads(answer)
    assert kind == 3, answer
    return rest[0]


def tell(charger, action, **payload):
    """One CALL of `charger` and the payload of its answer."""
    return settle(a_call(charger, action, **payload))[0]


def a_start(charger, **members):
    """The payload of a StartTransaction."""
    return {"connectorId": 1, "idTag": "ABC", "meterStart": 1000, "timestamp": NOON, **members}


def a_transaction(charger=None, **members):
    charger = charger or a_charger()
    started = tell(charger, "StartTransaction", **a_start(charger, **members))
    return Transaction.objects.get(pk=started["transactionId"])


def an_incident(charger=None, cause=None, **columns):
    """An open incident; each has a cause of its own."""
    now = datetime.now(UTC)
    columns = {"kind": "fault", "severity": "critical", "opened_at": now, "last_seen_at": now} | columns
    return Incident.objects.create(charger=charger, cause=cause or uuid4().hex, **columns)


def a_rule(**columns):
    """A notification rule for all incidents; its messages go nowhere unless `target` is given."""
    columns = {"name": uuid4().hex, "channel": "webhook", "target": "http://127.0.0.1:9/"} | columns
    return NotificationRule.objects.create(**columns)


def a_finding(charger, action, by_kind):
    """Write the findings {(field, kind): value} of one message."""
    findings.write([findings.MessageFindings(charger.pk, action, by_kind, datetime.now(UTC))])


def a_command(charger=None, action="ClearCache", payload=None, **columns):
    charger = charger or a_charger()
    columns = {"timeout": 30, "ocpp_version": charger.version.subprotocol} | columns
    return Command.objects.create(charger=charger, action=action, payload=payload or {}, **columns)
