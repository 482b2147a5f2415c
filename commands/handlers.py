"""Hooks of the sockets that concern commands, and handlers of CALLs; both take batches of many chargers."""

import logging
from collections import defaultdict
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from chargers import budgets, events
from chargers.models import Charger, ConfigurationKey, SecurityEvent
from chargers.registry import follows, handles, hook, logs_failure
from commands import authority
from commands.actions import charging, transfers
from commands.models import ANSWERED, CALL_ERROR, FINISHED, QUEUED, SENT, SYSTEM_ACTOR, CertificateRequest, Command
from commands.submission import submit_internal
from core.db import bulk_sql
from core.ocpp.frames import storable
from core.ocpp.timestamps import clock_is_off, parse, to_rfc3339

logger = logging.getLogger(__name__)

# Time that the driver has to plug in after a remote start: the ConnectionTimeOut of the charger, or the default.
DEFAULT_CONNECTION_TIMEOUT_S, MAX_CONNECTION_TIMEOUT_S = 300, 86_400
PLUG_IN_SLACK = timedelta(minutes=1)
MAX_CLOCK_DIFFERENCE = timedelta(minutes=10)
TRIGGER_LIFETIME = timedelta(minutes=5)
MAX_PROGRESS_ENTRIES = 100
ALREADY_PENDING = "a certificate request of this charger is already pending"
REJECTED_REQUEST = "SignCertificateRejected"  # a security event that the central system records itself
MAX_RECENT_TRANSFERS = 5  # among which the one of a notification without an id is searched
REFUSALS = ("Rejected", "InvalidCertificate", "RevokedCertificate")

# `lower` and the count make PostgreSQL use the index of task ids and one look-up per charger. Without them it may
# choose an index of all commands under way, because its statistics of their number are often outdated.
CLAIM = """
WITH s AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%s) AS s(charger bigint, task_id text, token text)
), claimed AS (
    UPDATE commands_command c SET state = 'sent', sent_at = now(), claim_token = s.token FROM s
    WHERE c.task_id = s.task_id AND c.charger_id = s.charger AND lower(c.state) = 'queued'
        AND (SELECT count(*) FROM commands_command o WHERE o.charger_id = c.charger_id AND o.state = 'sent') = 0
    RETURNING c.charger_id, c.task_id, c.claim_token, c.sent_at
)
SELECT * FROM claimed
UNION ALL
SELECT c.charger_id, c.task_id, c.claim_token, c.sent_at FROM s
JOIN commands_command c ON c.task_id = s.task_id AND c.charger_id = s.charger AND c.claim_token = s.token
"""

REMOTE_STARTS = """
SELECT id FROM commands_command
WHERE action = 'RemoteStartTransaction' AND transaction_id IS NULL AND charger_id = ANY(%s)
    AND sent_at > clock_timestamp() - make_interval(secs => %s)
"""


@hook("claim")
def claim(wanted):
    """Change commands from queued to sent; `wanted` are (charger, task id, token).

    Returns for each the time of its claim, or None if it may not be written. The claim is committed before the CALL
    is written, so that a task that is delivered or sent twice is written once. A repeated claim with the same token
    succeeds, because the commit of the first one may only have seemed lost.
    """
    rows = [dict(zip(("charger", "task_id", "token"), row, strict=True)) for row in sorted(wanted)]
    claimed = {tuple(row): sent_at for *row, sent_at in bulk_sql.execute(CLAIM, rows)}
    for charger, task_id, _ in claimed:
        events.notify_live("command.sent", charger, task_id=task_id)
    return [claimed.get(row) for row in wanted]


@hook("late_reply")
def late_reply(replies):
    """Store replies, (charger, task id, event), that no task received; returns whether each has a command."""
    return [_store_reply(charger, task_id, event) for charger, task_id, event in replies]


def _store_reply(charger, task_id, event):
    sent = Command.objects.filter(charger_id=charger, task_id=task_id).exclude(state=QUEUED)
    command = sent.first()
    if command is None:
        return False
    column, answer = ("response", event["payload"]) if event["type"] == "reply" else ("error", event["error"])
    answer = storable(command.payload.hide_in(answer))
    # The reply is in time, but Redis was unavailable; the task finds it in the row at the end of its wait.
    if not sent.filter(state=SENT, response=None, error=None).update(**{column: answer}):
        unanswered = sent.filter(state=FINISHED, late_response=None).exclude(outcome__in=[ANSWERED, CALL_ERROR])
        unanswered.update(late_response=answer)
    return True


@hook("triggered")
def triggered(calls):
    """Those of `calls`, (charger, action), that were triggered by a command; a Pending charger may send them."""
    triggers = Command.objects.filter(
        charger__in={charger for charger, _ in calls},
        action__in=["TriggerMessage", "ExtendedTriggerMessage"],
        sent_at__gt=Now() - TRIGGER_LIFETIME,
    )
    messages = {(c.charger_id, _triggered_message(c)) for c in triggers if _may_have_been_accepted(c)}
    return messages & calls


def _triggered_message(command):
    message = command.payload["requestedMessage"]
    if message == "SignChargePointCertificate":
        return "SignCertificate"
    signed = command.action == "ExtendedTriggerMessage" and message == "FirmwareStatusNotification"
    return "SignedFirmwareStatusNotification" if signed else message


def _may_have_been_accepted(command):
    """Whether the charger has accepted it, or may have, because its answer is not stored yet."""
    return command.state == SENT or (command.outcome == ANSWERED and command.status == "Accepted")


@follows("BootNotification")
@logs_failure
def read_configuration(calls, answers):
    """Submit GetConfiguration after boot for accepted chargers for which this is switched on."""
    accepted = {c.charger for c, answer in zip(calls, answers, strict=True) if answer["status"] == "Accepted"}
    enabled = Charger.objects.filter(pk__in=accepted, read_configuration_after_boot=True)
    waiting = Command.objects.filter(requested_by=SYSTEM_ACTOR, action="GetConfiguration").exclude(state=FINISHED)
    for charger in enabled.exclude(pk__in=waiting.values("charger")):
        submit_internal(charger, "GetConfiguration", {})


@follows("StartTransaction")
def link_remote_starts(calls, answers):
    """Link a RemoteStartTransaction to the transaction that its charger starts next with the same tag."""
    recent_s = MAX_CONNECTION_TIMEOUT_S + PLUG_IN_SLACK.total_seconds()
    if rows := bulk_sql.query(REMOTE_STARTS, [bulk_sql.array({call.charger for call in calls}), recent_s]):
        _link_each(calls, answers, [pk for (pk,) in rows])


@logs_failure
def _link_each(calls, answers, remote_starts):
    waiting = defaultdict(list)
    for command in Command.objects.filter(pk__in=remote_starts).select_related("charger").order_by("pk"):
        waiting[command.charger_id].append(command)
    timeouts = _connection_timeouts(waiting)
    for call, answer in zip(calls, answers, strict=True):
        seconds = timeouts.get(call.charger, DEFAULT_CONNECTION_TIMEOUT_S)
        matches = [c for c in waiting[call.charger] if _led_to(c, call, seconds)]
        command = next((c for c in matches if "connectorId" in c.payload), matches[0] if matches else None)
        if command and not Command.objects.filter(transaction=answer["transactionId"]).exists():
            waiting[call.charger].remove(command)
            _link(command, call, answer["transactionId"])


def _connection_timeouts(chargers):
    keys = ConfigurationKey.objects.filter(charger__in=list(chargers), key="ConnectionTimeOut")
    return {
        key.charger_id: min(int(key.value), MAX_CONNECTION_TIMEOUT_S) for key in keys if (key.value or "").isdecimal()
    }


def _led_to(command, call, seconds):
    """Whether `command` led to the StartTransaction `call`: same tag and connector, at a plausible time.

    A session that began before the command was sent is an offline session, and not its result.
    """
    request, submitted = call.payload, command.payload
    off = clock_is_off(request["timestamp"], call.received_at)
    began = call.received_at if off else parse(request["timestamp"])
    return (
        _may_have_been_accepted(command)
        and submitted["idTag"].upper() == request["idTag"].upper()
        and submitted.get("connectorId", request["connectorId"]) == request["connectorId"]
        and call.received_at <= command.sent_at + timedelta(seconds=seconds) + PLUG_IN_SLACK
        and began >= command.sent_at - MAX_CLOCK_DIFFERENCE
    )


def _link(command, call, transaction_id):
    Command.objects.filter(pk=command.pk).update(transaction=transaction_id)
    if profile := command.payload.get("chargingProfile"):
        charging.install(command.charger, call.payload["connectorId"], profile, transaction_id)


def _follow_transfer(notification, action):
    """Append the notifications of a transfer to `progress` of its command, also after a reboot."""

    @follows(notification)
    @logs_failure
    def follow(calls, answers):
        for call in calls:
            if command := _transfer_of(call, action):
                command.progress.append({"status": call.payload["status"], "at": to_rfc3339(call.received_at)})
                Command.objects.filter(pk=command.pk).update(progress=command.progress[-MAX_PROGRESS_ENTRIES:])


def _transfer_of(call, action):
    """The command of a notification: by its request id, else the latest one whose transfer has not ended."""
    if call.payload["status"] == "Idle" and "requestId" not in call.payload:
        return None
    commands = Command.objects.select_for_update().filter(charger=call.charger, action=action)
    if (request_id := call.payload.get("requestId")) is not None:
        return commands.filter(request_id=request_id).first()
    sent = commands.filter(sent_at__isnull=False).exclude(outcome=CALL_ERROR)[:MAX_RECENT_TRANSFERS]
    latest = next((c for c in sent if c.outcome != ANSWERED or c.status not in REFUSALS), None)
    has_ended = latest and latest.progress and latest.progress[-1]["status"] in transfers.FINAL_STATUSES
    return None if has_ended else latest


for _notification, _action in transfers.REPORTS_ON.items():
    _follow_transfer(_notification, _action)


@handles("SignCertificate")
def sign_certificate(calls):
    """Accept or reject requests (security whitepaper A02); `commands.signing` signs them after the answer."""
    requests = {call.key: _request(call) for call in budgets.within_rate(calls, "certificate_requests")}
    CertificateRequest.objects.bulk_create(requests.values())
    rejected = [request for request in requests.values() if request.state == CertificateRequest.REJECTED]
    _report([request for request in rejected if request.error != ALREADY_PENDING])
    accepted = {key for key, request in requests.items() if request.state != CertificateRequest.REJECTED}
    return [{"status": "Accepted" if call.key in accepted else "Rejected"} for call in calls]


def _request(call):
    csr = call.payload["csr"]
    request = CertificateRequest(charger_id=call.charger, csr=csr, received_at=call.received_at)
    try:
        request.common_name = authority.requested_name(csr)[0]
        _refuse_foreign_name(call.charger, request.common_name)
        _refuse_second(call.charger)
    except authority.Unsuitable as error:
        request.state, request.error = CertificateRequest.REJECTED, str(error)
    return request


def _refuse_foreign_name(charger, name):
    """Raise `authority.Unsuitable` unless `name` is of this charger alone, because certificates log in by name."""
    others = Charger.objects.exclude(pk=charger)
    if others.filter(charger_id=name).exists():
        raise authority.Unsuitable(f"{name!r} is the id of another charger")
    if others.filter(held_serials__serial=name).exists():
        raise authority.Unsuitable(f"{name!r} is the serial number of another charger, which reported it first")
    if name not in Charger.objects.get(pk=charger).certificate_names:
        raise authority.Unsuitable(f"{name!r} is not the serial number or id of this charger")


def _refuse_second(charger):
    """Allow one request at a time, so that a charger that repeats its request does not fill the queue."""
    waiting = Q(state=CertificateRequest.RECEIVED) | Q(
        state=CertificateRequest.SIGNED, command__state__in=[QUEUED, SENT]
    )
    if CertificateRequest.objects.filter(waiting, charger=charger).exists():
        raise authority.Unsuitable(ALREADY_PENDING)


def _report(rejected):
    """Record in the log and in the security events of the charger why a request was not signed."""
    for request in rejected:
        logger.warning("%s: the certificate request of this charger is rejected: %s", request.charger, request.error)
        SecurityEvent.objects.create(
            charger_id=request.charger_id,
            type=REJECTED_REQUEST,
            timestamp=request.received_at,
            tech_info=request.error,
            received_at=request.received_at,
        )
        event_body = {"type": REJECTED_REQUEST, "tech_info": request.error, "timestamp": request.received_at}
        events.record_event("security.event", request.charger_id, **event_body)


@hook("certificate_owner")
def certificate_owner(serial):
    """Primary key of the charger whose certificate with this serial number (hex) was signed here, or None.

    Returns 0 for a certificate that was revoked, or whose charger was deleted.
    """
    number = serial.lower().lstrip("0")
    signed = CertificateRequest.objects.exclude(serial_number="").filter(serial_number=number).first()
    if signed is None:
        return None
    return 0 if signed.state == CertificateRequest.REVOKED else signed.charger_id or 0
