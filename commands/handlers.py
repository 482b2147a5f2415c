"""What a charger's socket asks of commands, in batches like everything else it writes, and what follows a CALL."""

import logging
from collections import defaultdict
from datetime import timedelta

from django.db.models import Q
from django.db.models.functions import Now

from chargers import budgets, bulk_sql, events
from chargers.frames import storable
from chargers.models import Charger, ConfigurationKey, SecurityEvent
from chargers.registry import follows, handles, hook, spoils_nothing
from chargers.times import clock_is_off, parse, to_rfc3339
from commands import authority
from commands.actions import charging, transfers
from commands.models import ANSWERED, CALL_ERROR, FINISHED, QUEUED, SENT, SYSTEM_ACTOR, CertificateRequest, Command
from commands.submission import submit_internal

logger = logging.getLogger(__name__)

# Where a charger did not tell its ConnectionTimeOut, the driver has this long to plug in; and the slack for both.
CONNECTION_TIMEOUT, LONGEST = 300, 86_400  # seconds
SLACK = timedelta(minutes=1)
CLOCKS_DIFFER = timedelta(minutes=10)
TRIGGERED_FOR = timedelta(minutes=5)
MOST_PROGRESS = 100
UNDER_WAY = "a certificate for this charger is on its way already"
REJECTED_REQUEST = "SignCertificateRejected"  # a security event that the central system records itself
RECENT = 5  # transfers among which the one that a notification tells of is looked for
REFUSALS = ("Rejected", "InvalidCertificate", "RevokedCertificate")

# `lower` and the count keep to the index of task ids, and one look-up a charger: by the number of commands under way,
# which PostgreSQL knows late, an index of all of them may look the shorter way.
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
    """For each of `wanted`, (charger, task id, token): when it was claimed, queued until here and sent from here on;
    None for those that may not be written.

    Committed before the CALL is written, so that a task delivered twice, or sent twice, is written once. A
    claim is known by its token, so that one whose commit seemed lost is still the claimant's when tried again.
    """
    rows = [dict(zip(("charger", "task_id", "token"), row, strict=True)) for row in sorted(wanted)]
    claimed = {tuple(row): sent_at for *row, sent_at in bulk_sql.execute(CLAIM, rows)}
    for charger, task_id, _ in claimed:
        events.notify_live("command.sent", charger, task_id=task_id)
    return [claimed.get(row) for row in wanted]


@hook("late_reply")
def late_reply(replies):
    """Keep replies that nobody was there to take: (charger, task id, event). Whether each was asked for at all."""
    return [_keep(charger, task_id, event) for charger, task_id, event in replies]


def _keep(charger, task_id, event):
    asked = Command.objects.filter(charger_id=charger, task_id=task_id).exclude(state=QUEUED)
    command = asked.first()
    if command is None:
        return False
    column, answer = ("response", event["payload"]) if event["type"] == "reply" else ("error", event["error"])
    answer = storable(command.payload.hide_in(answer))
    # In time, but Redis was away: its task finds it when it gives up waiting.
    if not asked.filter(state=SENT, response=None, error=None).update(**{column: answer}):
        unanswered = asked.filter(state=FINISHED, late_response=None).exclude(outcome__in=[ANSWERED, CALL_ERROR])
        unanswered.update(late_response=answer)
    return True


@hook("triggered")
def triggered(calls):
    """Those of `calls`, (charger, action), that we triggered: a charger that is Pending may send them."""
    asked = Command.objects.filter(
        charger__in={charger for charger, _ in calls},
        action__in=["TriggerMessage", "ExtendedTriggerMessage"],
        sent_at__gt=Now() - TRIGGERED_FOR,
    )
    messages = {(c.charger_id, _triggered_message(c)) for c in asked if _may_have_been_accepted(c)}
    return messages & calls


def _triggered_message(command):
    message = command.payload["requestedMessage"]
    if message == "SignChargePointCertificate":
        return "SignCertificate"
    signed = command.action == "ExtendedTriggerMessage" and message == "FirmwareStatusNotification"
    return "SignedFirmwareStatusNotification" if signed else message


def _may_have_been_accepted(command):
    """Accepted, or its answer is on its way to the books."""
    return command.state == SENT or (command.outcome == ANSWERED and command.status == "Accepted")


@follows("BootNotification")
@spoils_nothing
def read_configuration(calls, answers):
    """Nothing is sent after boot unless it is switched on for the charger."""
    accepted = {c.charger for c, answer in zip(calls, answers, strict=True) if answer["status"] == "Accepted"}
    switched_on = Charger.objects.filter(pk__in=accepted, read_configuration_after_boot=True)
    waiting = Command.objects.filter(requested_by=SYSTEM_ACTOR, action="GetConfiguration").exclude(state=FINISHED)
    for charger in switched_on.exclude(pk__in=waiting.values("charger")):
        submit_internal(charger, "GetConfiguration", {})


@follows("StartTransaction")
def link_remote_starts(calls, answers):
    """A RemoteStartTransaction has led to the transaction that its charger starts next with that tag."""
    recent_s = LONGEST + SLACK.total_seconds()
    if found := bulk_sql.query(REMOTE_STARTS, [bulk_sql.array({call.charger for call in calls}), recent_s]):
        _link_each(calls, answers, [pk for (pk,) in found])


@spoils_nothing
def _link_each(calls, answers, remote_starts):
    waiting = defaultdict(list)
    for command in Command.objects.filter(pk__in=remote_starts).select_related("charger").order_by("pk"):
        waiting[command.charger_id].append(command)
    timeouts = _connection_timeouts(waiting)
    for call, answer in zip(calls, answers, strict=True):
        seconds = timeouts.get(call.charger, CONNECTION_TIMEOUT)
        led = [c for c in waiting[call.charger] if _led_to(c, call, seconds)]
        command = next((c for c in led if "connectorId" in c.payload), led[0] if led else None)
        if command and not Command.objects.filter(transaction=answer["transactionId"]).exists():
            waiting[call.charger].remove(command)
            _link(command, call, answer["transactionId"])


def _connection_timeouts(chargers):
    keys = ConfigurationKey.objects.filter(charger__in=list(chargers), key="ConnectionTimeOut")
    return {key.charger_id: min(int(key.value), LONGEST) for key in keys if (key.value or "").isdecimal()}


def _led_to(command, call, seconds):
    """By charger, tag and connector; neither too late, nor begun before it was asked for (an offline session)."""
    request, asked = call.payload, command.payload
    off = clock_is_off(request["timestamp"], call.received_at)
    began = call.received_at if off else parse(request["timestamp"])
    return (
        _may_have_been_accepted(command)
        and asked["idTag"].upper() == request["idTag"].upper()
        and asked.get("connectorId", request["connectorId"]) == request["connectorId"]
        and call.received_at <= command.sent_at + timedelta(seconds=seconds) + SLACK
        and began >= command.sent_at - CLOCKS_DIFFER
    )


def _link(command, call, transaction_id):
    Command.objects.filter(pk=command.pk).update(transaction=transaction_id)
    if profile := command.payload.get("chargingProfile"):
        charging.install(command.charger, call.payload["connectorId"], profile, transaction_id)


def _follow_transfer(notification, action):
    """Note in the command what its charger notifies of it, also after a reboot."""

    @follows(notification)
    @spoils_nothing
    def follow(calls, answers):
        for call in calls:
            if command := _transfer_of(call, action):
                command.progress.append({"status": call.payload["status"], "at": to_rfc3339(call.received_at)})
                Command.objects.filter(pk=command.pk).update(progress=command.progress[-MOST_PROGRESS:])


def _transfer_of(call, action):
    """The command a notification tells of: by its request id, else the latest one that is not at its end."""
    if call.payload["status"] == "Idle" and "requestId" not in call.payload:
        return None
    commands = Command.objects.select_for_update().filter(charger=call.charger, action=action)
    if (request_id := call.payload.get("requestId")) is not None:
        return commands.filter(request_id=request_id).first()
    sent = commands.filter(sent_at__isnull=False).exclude(outcome=CALL_ERROR)[:RECENT]
    latest = next((c for c in sent if c.outcome != ANSWERED or c.status not in REFUSALS), None)
    over = latest and latest.progress and latest.progress[-1]["status"] in transfers.ENDS
    return None if over else latest


for _notification, _action in transfers.TELLS_OF.items():
    _follow_transfer(_notification, _action)


@handles("SignCertificate")
def sign_certificate(calls):
    """Security whitepaper A02. Signed after the answer, see `commands.signing`."""
    requests = {call.key: _request(call) for call in budgets.within_rate(calls, "certificate_requests")}
    CertificateRequest.objects.bulk_create(requests.values())
    rejected = [request for request in requests.values() if request.state == CertificateRequest.REJECTED]
    _report([request for request in rejected if request.error != UNDER_WAY])
    accepted = {key for key, request in requests.items() if request.state != CertificateRequest.REJECTED}
    return [{"status": "Accepted" if call.key in accepted else "Rejected"} for call in calls]


def _request(call):
    csr = call.payload["csr"]
    kept = CertificateRequest(charger_id=call.charger, csr=csr, received_at=call.received_at)
    try:
        kept.common_name = authority.names_asked_for(csr)[0]
        _refuse_foreign_name(call.charger, kept.common_name)
        _refuse_second(call.charger)
    except authority.Unsuitable as error:
        kept.state, kept.error = CertificateRequest.REJECTED, str(error)
    return kept


def _refuse_foreign_name(charger, name):
    """A certificate opens the door of whoever has its name: that must be this charger, and no other."""
    others = Charger.objects.exclude(pk=charger)
    if others.filter(charger_id=name).exists():
        raise authority.Unsuitable(f"{name!r} is the id of another charger")
    if others.filter(held_serials__serial=name).exists():
        raise authority.Unsuitable(f"{name!r} is the serial number of another charger, which told it first")
    if name not in Charger.objects.get(pk=charger).certificate_names:
        raise authority.Unsuitable(f"{name!r} is not the serial number or id of this charger")


def _refuse_second(charger):
    """One at a time: a charger that repeats itself must not fill the queue."""
    waiting = Q(state=CertificateRequest.RECEIVED) | Q(
        state=CertificateRequest.SIGNED, command__state__in=[QUEUED, SENT]
    )
    if CertificateRequest.objects.filter(waiting, charger=charger).exists():
        raise authority.Unsuitable(UNDER_WAY)


def _report(rejected):
    """Say in the log and in the security events of its charger why a request was not signed."""
    for request in rejected:
        logger.warning("%s: its request for a certificate is rejected: %s", request.charger, request.error)
        SecurityEvent.objects.create(
            charger_id=request.charger_id,
            type=REJECTED_REQUEST,
            timestamp=request.received_at,
            tech_info=request.error,
            received_at=request.received_at,
        )
        told = {"type": REJECTED_REQUEST, "tech_info": request.error, "timestamp": request.received_at}
        events.record_event("security.event", request.charger_id, **told)


@hook("certificate_owner")
def certificate_owner(serial):
    """Primary key of the charger for which the certificate with this serial number (hex) was signed here, or None.

    0, nobody's, for one that was revoked, or whose charger was deleted.
    """
    number = serial.lower().lstrip("0")
    signed = CertificateRequest.objects.exclude(serial_number="").filter(serial_number=number).first()
    if signed is None:
        return None
    return 0 if signed.state == CertificateRequest.REVOKED else signed.charger_id or 0
