"""SQL, HTML and formulas in every text that a charger or a client may set are stored unchanged and shown as text."""

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils.html import escape

from chargers.models import (
    ApiToken,
    AuditEntry,
    Charger,
    ChargerGroup,
    ChargingLimit,
    Delivery,
    Incident,
    InstalledCertificate,
    InstalledProfile,
    Message,
    Monitor,
    MonitoringEvent,
    NetworkProfile,
    Refusal,
    Site,
    Variable,
    VariableChange,
    Webhook,
)
from chargers.services import audit, events
from commands.models import (
    Batch,
    Campaign,
    CertificateInquiry,
    Command,
    ContractRoot,
    DisplayMessage,
    EVChargingNeeds,
    EVChargingSchedule,
    Firmware,
    LimitedPlace,
    LocalList,
    PowerLimit,
    PublishedFirmware,
)
from dashboard.models import ReportSubscription
from gateway.ocpp16 import HANDLERS
from tests.support.admin import admin_models, admin_url
from tests.support.builders import NOON, a_charger, a_command, a_finding, a_rule, a_transaction, an_incident, tell
from tests.support.negatives import sample
from tests.support.payloads import PROFILE
from tests.support.pki import a_root
from tests.support.routes import rest_lists
from transactions.models import Outage, Tariff, Transaction

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/ocpp"
TEXTS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE chargers_charger; --",
    "=1+1",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+cmd|' /C calc'!A0",
    "{{7|add:7}}{%now%}",
    "%s %(a)s {0} \\x00",
]
SHORTEST = 20  # what every text column holds


def hostile(payload, text):
    """Return a sample of a message, with `text` in every member that takes any."""
    if isinstance(payload, dict):
        return {name: hostile(inner, text) for name, inner in payload.items()}
    if isinstance(payload, list):
        return [hostile(inner, text) for inner in payload]
    return text if payload == "7" else payload


def tells(charger, text):
    """Send every text that a charger may report."""
    transaction = a_transaction(charger, idTag=text)
    for action in sorted(set(HANDLERS) - {"StartTransaction"}):
        reply = hostile(sample(action), text)
        tell(charger, action, **reply | ({"transactionId": transaction.pk} if "transactionId" in reply else {}))
    tell(charger, "StopTransaction", **hostile(sample("StopTransaction"), text) | {"transactionId": -1})
    a_finding(charger, "MeterValues", {(text, "unknown_field"): text})


def answered(charger, text):
    """Store every text of a charger's answers."""
    error = {"code": text, "description": text, "details": {text: text}}
    for column in ({"response": {"data": text}}, {"error": error}, {"late_response": {"a": text}}):
        a_command(charger, state="finished", outcome="call_error", warning=text, requested_by=text, **column)
    Variable.objects.create(charger=charger, variable=text, value=text)
    names = ("issuer_name_hash", "issuer_key_hash", "serial_number", "certificate_type")
    InstalledCertificate.objects.create(charger=charger, hash_algorithm="SHA256", **dict.fromkeys(names, text))
    InstalledProfile.objects.create(
        charger=charger, evse_id=1, charging_profile_id=1, stack_level=0, purpose=text, profile={text: text}
    )
    ChargingLimit.objects.create(charger=charger, source=text, schedules=[{text: text}], received_at=NOON)
    own = {"charger": charger, "evse_id": 1, "status": "Accepted", "reason": text, "received_at": NOON}
    EVChargingNeeds.objects.create(**own, energy_transfer=text, parameters={text: text})
    EVChargingSchedule.objects.create(**own, begins_at=NOON, schedule={text: text})
    LocalList.objects.create(charger=charger, version=1, entries=[{"idTag": text, "idTagInfo": {"status": text}}])
    now = datetime.now(UTC)
    about = {"component": text, "variable": text, "instance": text}
    Monitor.objects.create(charger=charger, monitor_id=1, type=text, reported_at=now, **about)
    said = {"actual_value": text, "tech_info": text, "digest": "1"}
    MonitoringEvent.objects.create(charger=charger, timestamp=now, generated_at=now, received_at=now, **about, **said)
    VariableChange.objects.create(charger=charger, old_value=text, new_value=text, source=text, **about)
    NetworkProfile.objects.create(
        charger=charger, slot=1, status=text, answered_at=now, connection={text: text}, security_profile=1
    )
    DisplayMessage.objects.create(charger=charger, message_id=1, content=text, language=text)
    PublishedFirmware.objects.create(charger=charger, checksum=text, status=text, locations=[text])
    PowerLimit.objects.create(amount=6, charger=charger, created_by=text, removed_by=text)
    LimitedPlace.objects.create(charger=charger, evse_id=0, reason=text)
    image = Firmware.objects.create(description=f"image {text}", version=text, file="firmware/x")
    campaign = Campaign.objects.create(
        name=text, firmware=image, chosen={"filter": {"search": text}}, reason=text, requested_by=text
    )
    campaign.items.create(charger=charger, reason=text)
    answer = {"action": text, "subject": text, "server": text, "status": text, "detail": text}
    CertificateInquiry.objects.create(charger=charger, received_at=now, call_id="1", **answer)
    ContractRoot.objects.create(certificate=a_root("A").pem)
    ContractRoot.objects.update(subject=text)  # as it is, without the escapes of RFC 4514
    Tariff.objects.create(description=text, currency="EUR")


def accessible(charger, text):
    """Store every text about users and their actions."""
    Site.objects.create(name=text[:100], address=text, contacts=text).chargers.add(charger)
    ChargerGroup.objects.create(name=text, description=text).chargers.add(charger)
    ApiToken.make(User.objects.get(username="alice"), text)
    audit.record(text, text, text, charger.pk, {text: text}, {text: text}, who=text)


def happened(charger, text):
    """Store log messages and the recipients of their events."""
    now = datetime.now(UTC)
    named = {"action": text, "message_id": text, "frame": text}
    Message.objects.create(charger=charger, at=now, direction="in", kind="call", is_error=True, **named)
    codes = dict.fromkeys(("error_code", "vendor_id", "vendor_error_code"), text)
    Outage.objects.create(
        charger=charger, event_id=1, evse_id=1, connector_id=1, kind="faulted", began_at=now, **codes
    )
    seen = {"first_at": now, "last_at": now, "count": 1}
    Refusal.objects.create(charger_id=text, kind="unknown", status=404, reason=text, **seen)
    Webhook.objects.create(name=text, url="http://127.0.0.1:9/")
    events.record_event("security.event", charger.pk, tech_info=text)
    Delivery.objects.update(error=text)
    texts = dict.fromkeys(("code", "vendor_code", "detail", "acknowledged_by", "closed_by"), text)
    incident = an_incident(charger, connector_id=1, **texts)
    incident.entries.create(at=now, action="note", who=text, text=text)
    sent = {"created_at": now, "due_at": now, "error": text}
    incident.deliveries.create(rule=a_rule(name=text), reason="opened", state="dead", **sent)
    by_mail = {"recipients": "a@example.org", "owner": User.objects.get(username="alice"), "error": text}
    ReportSubscription.objects.create(name=text[:100], due_at=now, retry_at=now, **by_mail)


def asked(api, charger, text):
    """Send every text that a client may write."""
    own, data = {"charger_id": charger.identity}, dict.fromkeys(("vendorId", "messageId", "data"), text)
    written = {
        "chargers": {"charger_id": f"{text} ", "description": text},
        "id-tags": {"id_tag": f"!{text}"[:SHORTEST], "parent_id_tag": text, "description": text},
        "charging-profiles": {"description": text, "profile": PROFILE},
        "reservations": own | {"connector_id": 1, "id_tag": text, "parent_id_tag": text, "expiry_date": NOON},
        "webhooks": {"name": f"{text}.", "url": "http://127.0.0.1:9/"},
        "batches": {"action": "ClearCache", "filter": {"search": text}, "note": text},
        "schedules": {"name": text, "action": "ClearCache", "filter": {"search": text}, "every_seconds": 3600},
        "commands": own | {"action": "DataTransfer", "payload": data},
    }
    for resource, body in written.items():
        answer = api.post(f"{API}/{resource}/", body, "application/json")
        assert answer.status_code in (201, 202), answer.content
    file = {
        "description": text,
        "file": SimpleUploadedFile(text, b"x"),
        "signature": text,
        "signing_certificate": text,
    }
    assert api.post(f"{API}/firmware/", file).status_code == 201
    place = {"charger_id": charger.identity, "action": "GetDiagnostics"}
    assert api.post(f"{API}/commands/", place, "application/json").status_code == 202


@pytest.fixture(params=TEXTS)
def text(request, api, settings, tmp_path):
    """A text that is stored everywhere."""
    settings.MEDIA_ROOT, settings.PUBLIC_URL = tmp_path, "http://testserver"
    text, charger = request.param[:SHORTEST], a_charger(request.param)
    tells(charger, text)
    answered(charger, text)
    happened(charger, text)
    accessible(charger, text)
    asked(api, charger, text)
    AuditEntry.objects.exclude(who=text).delete()  # alice's login, for one, has no such text
    return text


def everything_in(value):
    """Yield every text in parsed JSON, names of members included."""
    inner = [*value.keys(), *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return {value} if isinstance(value, str) else set().union(*map(everything_in, inner))


def test_texts_are_returned_unchanged_by_every_list_and_escaped_on_every_page(api, text):
    """One test, because storing a text everywhere takes longer than looking for it."""
    returned_by_lists(api, text)
    escaped_on_pages(api, text)


def returned_by_lists(api, text):
    for resource in rest_lists():
        answer = api.get(f"{API}/{resource}/")
        assert answer.status_code == 200
        assert answer["Content-Type"] == "application/json"
        assert any(shown.startswith(text) for shown in everything_in(answer.json())), resource


def escaped_on_pages(api, text):
    for page in [*admin_pages(), *pages_of_operators(text)]:
        answer = api.get(page)
        assert answer.status_code == 200, page
        shown = answer.content.decode()
        assert escape(text) in shown, page
        assert "<script>alert" not in shown, page
        assert "<img src=x" not in shown, page


def admin_pages():
    for model in admin_models():
        name = admin_url(model)
        yield reverse(f"{name}_changelist")
        yield from (reverse(f"{name}_change", args=[row.pk]) for row in model.objects.all())


def pages_of_operators(text):
    charger = Charger.objects.first()
    pages = ["/", "/transactions/", "/commands/", "/batches/", f"/messages/?charger_id={quote(charger.identity)}"]
    pages += [reverse("dashboard:charger", args=[charger.identity]), f"/?search={quote(text)}"]
    pages += [f"/commands/{command.task_id}/" for command in Command.objects.all()]
    pages += ["/campaigns/", *(f"/campaigns/{campaign.pk}/" for campaign in Campaign.objects.all())]
    pages += [f"/transactions/{transaction.pk}/" for transaction in Transaction.objects.all()]
    pages += ["/incidents/", *(f"/incidents/{incident.pk}/" for incident in Incident.objects.all())]
    pages += [f"/reports/?report={report}" for report in ("energy", "sessions", "commands", "faults")]
    pages += [reverse("dashboard:report-subscriptions")]
    pages += [f"{pages[-1]}{subscription.pk}/" for subscription in ReportSubscription.objects.all()]
    pages += [f"/batches/{batch.pk}/" for batch in Batch.objects.all()]
    filled = f"?vendorId={quote(text)}&of_search={quote(text)}"
    pages += [reverse("dashboard:submit", args=[charger.identity, "DataTransfer"]) + filled]
    pages += [f"/batches/new/DataTransfer/{filled}"]
    return pages
