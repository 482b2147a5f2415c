"""Corrections and applied messages: permissions, the audit log, the pages and the admin."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from chargers.metrics import registry as counted
from chargers.models import AuditEntry, ChargerGroup
from tests.support.builders import NOON, a_charger, a_transaction, tell
from transactions.models import OrphanStop, Transaction
from transactions.services import refused_messages
from transactions.services.refused_messages import RefusedMessage

pytestmark = pytest.mark.django_db
LATER = "2025-02-26T13:00:00Z"
COUNTER = "ocpp_refused_transaction_messages_total"


def an_ended_session():
    session = a_transaction()
    tell(session.charger, "StopTransaction", transactionId=session.pk, meterStop=3000, timestamp=LATER)
    session.refresh_from_db()
    return session


def keep(charger, payload, action="StopTransaction", reason="ProtocolError: why"):
    refused_messages.store(
        [RefusedMessage(charger.pk, action, json.dumps(payload), reason, datetime.now(UTC), "ocpp1.6")]
    )
    return OrphanStop.objects.filter(charger=charger).first()


def a_user(client, charger, *permissions):
    user = User.objects.create_user("bob")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    group = ChargerGroup.objects.create(name="site")
    group.chargers.add(charger)
    group.users.add(user)
    client.force_login(user)


def correct(client, session, **changes):
    path = f"/api/ocpp/transactions/{session.charger}/{session.pk}/"
    return client.patch(path, changes, "application/json")


# --- corrections over REST -------------------------------------------------------------------


@pytest.mark.parametrize(("permission", "status"), [("view_transaction", 403), ("change_transaction", 200)])
def test_a_correction_needs_the_permission_to_change_transactions(client, permission, status):
    session = an_ended_session()
    a_user(client, session.charger, permission)
    assert correct(client, session, meter_stop=2000).status_code == status


def test_a_correction_is_in_the_audit_log_with_the_former_value(api):
    session = an_ended_session()
    correct(api, session, meter_stop=2000)
    correct(api, session, meter_stop=2500, note="twice")
    correct(api, session, meter_stop=2500)
    reply = [(entry.who, entry.before, entry.after) for entry in AuditEntry.objects.filter(kind="transaction")]
    assert sorted(reply, key=lambda entry: len(entry[1])) == [
        ("alice", {"meter_stop": None}, {"meter_stop": 2000}),
        ("alice", {"meter_stop": 2000, "note": ""}, {"meter_stop": 2500, "note": "twice"}),
    ]


# --- the pages -------------------------------------------------------------------------------


def test_a_session_is_corrected_on_its_page(api):
    session = an_ended_session()
    path = f"/transactions/{session.pk}/"
    assert "Meter stop (Wh)" in api.get(path).content.decode()
    api.post(f"{path}correct/", {"meter_stop": "2500", "meter_start": "", "end_time": "", "note": "a\r\nb"})
    session.refresh_from_db()
    assert (session.energy_wh, session.energy_source, session.corrected_by) == (1500, "corrected", "alice")
    assert (session.note, session.meter_stop) == ("a\nb", 3000)
    page = api.get(path).content.decode()
    assert "2500 Wh (Reported: 3000)" in page
    assert "a manual correction" in page
    assert "alice" in page
    assert "Corrected" in api.get("/transactions/").content.decode()


def test_the_page_shows_the_error_of_a_correction(api):
    session = an_ended_session()
    answer = api.post(f"/transactions/{session.pk}/correct/", {"meter_stop": "10"}, follow=True)
    assert "meter_stop: It is below the start at 1000 Wh." in answer.content.decode()


def test_an_ongoing_session_has_only_a_form_for_a_note(api):
    page = api.get(f"/transactions/{a_transaction().pk}/").content.decode()
    assert 'name="note"' in page
    assert 'name="meter_stop"' not in page


def test_the_form_needs_the_permission_to_change_transactions(client):
    session = an_ended_session()
    a_user(client, session.charger, "view_transaction")
    assert 'name="note"' not in client.get(f"/transactions/{session.pk}/").content.decode()
    assert client.post(f"/transactions/{session.pk}/correct/", {"note": "x"}).status_code == 403


def test_the_admin_shows_the_corrected_and_the_original_value(api):
    session = an_ended_session()
    correct(api, session, meter_stop=2500)
    page = api.get(reverse("admin:transactions_transaction_change", args=[session.pk])).content.decode()
    assert "2500" in page
    assert "3000" in page
    assert "corrected" in page
    listed = api.get(reverse("admin:transactions_transaction_changelist") + "?energy_source=corrected")
    assert f">{session.pk}<" in listed.content.decode()


# --- messages that were refused --------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_refused_message_is_stored_and_counted_once():
    charger, before = a_charger(), counted.get_sample_value(COUNTER, {"action": "MeterValues"})
    for _ in range(2):
        keep(charger, {"meterValue": 5}, "MeterValues")
    assert OrphanStop.objects.filter(charger=charger).count() == 1
    assert counted.get_sample_value(COUNTER, {"action": "MeterValues"}) == before + 1


def test_a_message_repeated_in_a_batch_is_stored_once():
    charger = a_charger()
    item = RefusedMessage(
        charger.pk, "StopTransaction", "\0 no JSON", "FormationViolation", datetime.now(UTC), "ocpp1.6"
    )
    assert refused_messages.store([item, item]) == [None, None]
    assert OrphanStop.objects.get().as_sent == "\N{REPLACEMENT CHARACTER} no JSON"


@pytest.mark.parametrize(
    "payload",
    [{}, [], 5, {"timestamp": 5, "meterStop": "x", "idTag": {}}, {"meterStop": -1}, {"meterStop": 4294967295}],
)
def test_unreadable_members_exclude_no_transaction(payload):
    older = a_transaction()
    newer = a_transaction(older.charger, connectorId=2, timestamp=LATER)
    orphan = keep(older.charger, payload)
    assert OrphanStop.candidates_of([orphan]) == {orphan.pk: [newer.pk, older.pk]}


def test_the_transaction_that_a_refused_stop_names_is_the_likeliest():
    older = a_transaction()
    newer = a_transaction(older.charger, connectorId=2, timestamp=LATER)
    orphan = keep(older.charger, {"transactionId": older.pk})
    assert OrphanStop.candidates_of([orphan]) == {orphan.pk: [older.pk, newer.pk]}


def test_a_message_is_applied_to_no_transaction_of_another_charger(api):
    other, orphan = a_transaction(), keep(a_charger(), {"reason": "Local"})
    path = f"/api/ocpp/orphan-stops/{orphan.pk}/attach/"
    assert api.post(path, {"transaction_id": other.pk}, "application/json").status_code == 409
    orphan = keep(orphan.charger, {"meterValue": []}, "MeterValues")
    path = f"/api/ocpp/orphan-stops/{orphan.pk}/attach/"
    assert api.post(path, {"transaction_id": other.pk}, "application/json").status_code == 409


def test_an_applied_message_is_in_the_audit_log(api):
    session = a_transaction()
    orphan = keep(session.charger, {"reason": "Local"})
    body = {"transaction_id": session.pk, "meter_stop": 2000}
    assert api.post(f"/api/ocpp/orphan-stops/{orphan.pk}/attach/", body, "application/json").status_code == 200
    entry = AuditEntry.objects.get(action="attached")
    assert (entry.who, entry.name) == ("alice", str(session.pk))
    assert entry.after == {"action": "StopTransaction", "orphan_stop": orphan.pk} | body


def test_the_admin_has_a_form_that_applies_a_message(api):
    charger = a_charger()
    orphan = keep(charger, {"idTag": "ABC", "meterStart": 7, "timestamp": NOON}, "StartTransaction")
    listed = api.get(reverse("admin:transactions_orphanstop_changelist")).content.decode()
    assert "StartTransaction" in listed
    assert "ProtocolError: why" in listed
    page = reverse("admin:transactions_orphanstop_apply", args=[orphan.pk])
    assert page in api.get(reverse("admin:transactions_orphanstop_change", args=[orphan.pk])).content.decode()
    assert 'name="connector_id"' in api.get(page).content.decode()
    assert "required property" in api.post(page, {"connector_id": ""}).content.decode()
    assert "A valid integer" in api.post(page, {"connector_id": "left"}).content.decode()
    api.post(page, {"connector_id": "1"})
    session = Transaction.objects.get(charger=charger)
    assert (session.connector_id, session.meter_start) == (1, 7)
    assert "Applied to" in api.get(page).content.decode()


def test_the_form_of_the_admin_needs_the_permission_to_change_transactions(client):
    orphan = keep(a_charger(), {})
    a_user(client, orphan.charger, "view_orphanstop")
    User.objects.update(is_staff=True)
    page = reverse("admin:transactions_orphanstop_apply", args=[orphan.pk])
    assert client.get(page).status_code == 403
