"""The admin: every page opens, history is read-only, and actions submit commands."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.urls import reverse

from chargers.models import ApiToken, ChargerGroup, Message, Refusal, Site, Webhook
from commands.actions.intents import Verbatim
from commands.actions.table import ACTIONS, encode
from commands.admin.actions import MAX_SINGLE_COMMANDS, ON_CHARGERS
from commands.models import (
    Batch,
    Campaign,
    CertificateInquiry,
    ChargingProfile,
    Command,
    ContractRoot,
    DisplayMessage,
    Firmware,
    LocalList,
    PowerLimit,
    PublishedFirmware,
    Schedule,
    Upload,
)
from tests.support.admin import admin_models, admin_url, own_models
from tests.support.builders import (
    NOON,
    a_charger,
    a_command,
    a_finding,
    a_rule,
    a_tag,
    a_transaction,
    an_incident,
    open_socket,
    tell,
)
from tests.support.payloads import PERIOD, PROFILE
from tests.support.pki import a_root
from tests.support.rows import a_row
from transactions.models import IdTag, OrphanStop, Reservation, UnknownIdTag

pytestmark = pytest.mark.django_db
# Models whose rows are shown within the pages of others, or drawn as charts.
WITHOUT_PAGE = {"BatchItem", "FleetMinute", "Heartbeat", "Preference", "Reading", "RecordedEvent", "ReportPart"}
WITHOUT_PAGE |= {"TransactionEvent"}
WITHOUT_PAGE |= {"CommandDayTotal", "CommandMonthTotal", "DeletedCommands", "StaleCommandDay"}
WITHOUT_PAGE |= {"CustomerInformationPart", "DayTotal", "MonthTotal", "ReportSubscription", "StaleDay"}
# All other models are history.
EDITABLE = {"Charger", "ChargerGroup", "ApiToken", "Webhook", "IdTag", "Reservation", "ChargingProfile", "Firmware"}
EDITABLE |= {"ContractRoot", "Site", "Tariff"}


@pytest.fixture
def one_of_each(api):
    transaction = a_transaction()
    charger = transaction.charger
    values = [{"timestamp": NOON, "sampledValue": [{"value": "<b>1500</b>"}]}]
    tell(charger, "MeterValues", connectorId=1, transactionId=transaction.pk, meterValue=values)
    tell(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    tell(charger, "StopTransaction", transactionId=-1, meterStop=1, timestamp=NOON)
    a_tag("OTHER")
    Batch.objects.create(action="Reset", payload={}, chosen={}, total=0, start_at=NOON)
    Schedule.objects.create(name="nightly", action="Reset", payload={}, chosen={"filter": {}}, every_seconds=60)
    UnknownIdTag.objects.create(
        id_tag="ABC", charger=charger, first_seen=datetime.now(UTC), last_seen=datetime.now(UTC), presented=1
    )
    a_command(
        charger, state="finished", outcome="timed_out", simulated=True, simulated_response={"status": "Accepted"}
    )
    command = a_command(charger, state="finished", outcome="call_error", error={"code": "E", "description": "d"})
    tell(charger, "SecurityEventNotification", type="<i>x</i>", timestamp=NOON)
    tell(charger, "DataTransfer", vendorId="<i>x</i>")
    tell(charger, "SignCertificate", csr="none")
    Reservation.objects.create(charger=charger, connector_id=1, id_tag="ABC", expiry_date=datetime.now(UTC))
    ChargingProfile.objects.create(description="night", profile=PROFILE)
    LocalList.objects.create(charger=charger, version=1, entries={})
    image = Firmware.objects.create(description="1.1", file="firmware/none.bin")
    campaign = Campaign.objects.create(name="June", firmware=image, chosen={"filter": {}})
    campaign.items.create(charger=charger, command=command)
    DisplayMessage.objects.create(charger=charger, message_id=1, content="<b>x</b>")
    PublishedFirmware.objects.create(charger=charger, locations=["http://10.0.0.2/1.bin"])
    PowerLimit.objects.create(charger=charger, amount=6)
    ContractRoot.objects.create(certificate=a_root().pem)
    asked = {
        "action": "Get15118EVCertificate",
        "subject": "Install",
        "status": "<b>",
        "received_at": datetime.now(UTC),
    }
    CertificateInquiry.objects.create(charger=charger, call_id="1", **asked)
    ChargerGroup.objects.create(name="North")
    Site.objects.create(name="North")
    ApiToken.make(User.objects.get(username="alice"), "billing")
    Message.objects.create(
        charger=charger, at=datetime.now(UTC), direction="in", kind="other", frame="<b>", is_error=True
    )
    Upload.objects.create(token_hash="t", command=command, charger=charger, expires_at=datetime.now(UTC))
    at = datetime.now(UTC)
    body = {"status": 404, "reason": "<b>", "count": 1, "first_at": at, "last_at": at}
    Refusal.objects.create(charger_id="<i>x</i>", kind="unknown", **body)
    Webhook.objects.create(name="billing", url="http://127.0.0.1:9/")
    a_finding(charger, "StatusNotification", {("<i>x</i>", "unknown_field"): "<b>1</b>"})
    open_socket(charger)
    now = datetime.now(UTC)
    an_incident(charger).deliveries.create(rule=a_rule(), reason="opened", created_at=now, due_at=now)
    for model in admin_models():
        if not model.objects.exists():
            a_row(model, charger)
    return transaction


def test_every_model_has_a_page_or_is_part_of_one():
    inlines = {inline.model for model in admin_models() for inline in admin.site._registry[model].inlines}
    without = {model.__name__ for model in own_models() if model not in admin_models() and model not in inlines}
    assert without == WITHOUT_PAGE


def test_every_list_and_page_opens_and_can_be_searched(api, one_of_each):
    for model in admin_models():
        listed = reverse(f"{admin_url(model)}_changelist")
        for query in ("", "?q=1", "?o=1"):
            assert api.get(listed + query).status_code == 200, listed
        assert model.objects.exists(), model
        page = reverse(f"{admin_url(model)}_change", args=[model.objects.first().pk])
        assert api.get(page).status_code == 200, page


def test_every_filter_that_a_list_offers_can_be_followed(api, one_of_each):
    a_charger(vendor="V", model="M", firmware_version="1"), a_charger(vendor="W", model="N", firmware_version="2")
    followed = set()
    for model, model_admin in admin.site._registry.items():
        listed = reverse(f"{admin_url(model)}_changelist")
        shown = api.get(listed).context["cl"]
        of_filters = [[choice["query_string"] for choice in spec.choices(shown)] for spec in shown.filter_specs]
        # The first ones of a filter may be special, such as "All"; the others differ by a value alone.
        offered = [query for queries in of_filters for query in [*queries[:3], *queries[3:][-1:]]]
        if by := model_admin.date_hierarchy:
            offered += [
                f"?{by}__year=2026",
                f"?{by}__year=2026&{by}__month=2",
                f"?{by}__year=2026&{by}__month=2&{by}__day=3",
            ]
        for query in offered:
            assert api.get(listed + query).status_code == 200, listed + query
            followed.add(f"{model.__name__}{query}")
    assert {"Charger?vendor=V", "Command?state__exact=finished", "User?is_staff__exact=1"} <= followed
    assert (
        api.get(f"{reverse('admin:transactions_metervalue_changelist')}?transaction__id__exact=1").status_code == 200
    )


def test_history_cannot_be_edited(api, one_of_each):
    history = [model for model in admin_models() if model.__name__ not in EDITABLE]
    assert len(history) == len(admin_models()) - len(EDITABLE)
    for model in history:
        assert api.get(reverse(f"{admin_url(model)}_add")).status_code == 403, model
        listed = api.get(reverse(f"{admin_url(model)}_changelist")).content.decode()
        assert "delete_selected" not in listed, model


def test_a_simulated_result_is_marked(api, one_of_each):
    page = api.get(reverse("admin:commands_command_changelist")).content.decode()
    assert "no answer; simulated:" in page
    assert "timed out" in page


def test_a_key_is_stored_hashed_and_never_shown(api):
    charger = a_charger()
    page = reverse("admin:chargers_charger_change", args=[charger.pk])
    inlines = (
        "connectors",
        "variables",
        "network_profiles",
        "installed_profiles",
        "installed_certificates",
        "held_serials",
    )
    inline = {f"{name}-{what}_FORMS": 0 for name in inlines for what in ("TOTAL", "INITIAL")}
    api.post(
        page, {"description": "d", "boot_policy": "Pending", "new_authorization_key": "sixteen-chars-ok", **inline}
    )
    charger.refresh_from_db()
    assert charger.description == "d"
    assert charger.authorization_key_hash
    assert "sixteen-chars-ok" not in api.get(page).content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", [name for name, _, _ in ON_CHARGERS])
def test_every_action_on_chargers_submits_a_command_that_the_charger_understands(api, name, settings):
    settings.PUBLIC_URL = "https://example.org"
    intent = next(intent for each, _, intent in ON_CHARGERS if each == name)
    actions = {
        version: intent.action if isinstance(intent, Verbatim) else encode(version, intent)[0] for version in ACTIONS
    }
    able = [version for version, action in actions.items() if action in ACTIONS[version]]
    asked = {"action": name, "_selected_action": [a_charger(ocpp_version=str(v)).pk for v in ACTIONS]}
    page = api.post(reverse("admin:chargers_charger_changelist"), asked, follow=True).content.decode()
    assert able and f"{len(able)} submitted" in page
    assert ("which has no command" in page) == (len(able) < len(ACTIONS))


@pytest.mark.django_db(transaction=True)
def test_an_action_on_many_chargers_is_a_batch_of_its_intent(api):
    chargers = [a_charger() for _ in range(MAX_SINGLE_COMMANDS + 1)]
    asked = {"action": "inoperative", "_selected_action": [charger.pk for charger in chargers]}
    api.post(reverse("admin:chargers_charger_changelist"), asked)
    batch = Batch.objects.get()
    assert (batch.intent, batch.payload, batch.total) == ("availability", {"is_operative": False, "evse_id": 0}, 11)
    assert "availability" in api.get(reverse("admin:commands_batch_changelist")).content.decode()


@pytest.mark.django_db(transaction=True)
def test_an_action_submits_a_command_for_every_selected_charger(api):
    chargers = [a_charger(), a_charger()]
    asked = {"action": "soft_reset", "_selected_action": [charger.pk for charger in chargers]}
    answer = api.post(reverse("admin:chargers_charger_changelist"), asked, follow=True)
    assert "2 submitted" in answer.content.decode()
    assert {(c.charger, c.action, c.requested_by) for c in Command.objects.all()} == {
        (charger, "Reset", "alice") for charger in chargers
    }


@pytest.mark.django_db(transaction=True)
def test_a_transaction_is_stopped_remotely(api):
    transaction = a_transaction()
    asked = {"action": "stop_remotely", "_selected_action": [transaction.pk]}
    api.post(reverse("admin:transactions_transaction_changelist"), asked)
    assert Command.objects.get().payload == {"transactionId": transaction.pk}


def test_an_unknown_tag_is_accepted_with_one_click(api, one_of_each):
    asked = {"action": "accept_tags", "_selected_action": [UnknownIdTag.objects.get(id_tag="ABC").pk]}
    api.post(reverse("admin:transactions_unknownidtag_changelist"), asked)
    assert IdTag.objects.get(id_tag="ABC").status == "Accepted"
    assert not UnknownIdTag.objects.exists()


def test_a_tag_keeps_its_spaces(api):
    tag = {"id_tag": "A ", "parent_id_tag": " G", "status": "Accepted"}
    api.post(reverse("admin:transactions_idtag_add"), tag)
    assert IdTag.objects.values_list("id_tag", "parent_id_tag").get() == ("A ", " G")


def test_a_transaction_is_closed_by_hand(api, one_of_each):
    asked = {"action": "close_by_hand", "_selected_action": [one_of_each.pk]}
    api.post(reverse("admin:transactions_transaction_changelist"), asked)
    one_of_each.refresh_from_db()
    assert (one_of_each.status, one_of_each.closed_by, one_of_each.stop_received_at) == ("Completed", "alice", None)


def test_an_orphan_stop_is_attached_to_the_likeliest_transaction(api):
    transaction = a_transaction()
    tell(transaction.charger, "StopTransaction", transactionId=-1, meterStop=3000, timestamp=NOON)
    asked = {"action": "attach_to_likeliest", "_selected_action": [OrphanStop.objects.get().pk]}
    api.post(reverse("admin:transactions_orphanstop_changelist"), asked)
    transaction.refresh_from_db()
    assert (transaction.status, transaction.energy_wh) == ("Completed", 2000)


def test_a_profile_is_validated_as_over_rest(api):
    page = reverse("admin:commands_chargingprofile_add")
    late = PROFILE | {
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [{**PERIOD, "startPeriod": 5}]}
    }
    refused = api.post(page, {"description": "late", "profile": json.dumps(late)})
    assert "must start at 0" in refused.content.decode()
    api.post(page, {"description": "night", "profile": json.dumps(PROFILE)})
    assert ChargingProfile.objects.get().profile == PROFILE


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("name", "action"), [("reserve_now", "ReserveNow"), ("cancel_reservation", "CancelReservation")]
)
def test_a_reservation_is_sent_and_cancelled(api, name, action):
    reservation = Reservation.objects.create(
        charger=a_charger(), connector_id=1, id_tag="ABC", expiry_date=datetime(2036, 1, 1, tzinfo=UTC)
    )
    asked = {"action": name, "_selected_action": [reservation.pk]}
    api.post(reverse("admin:transactions_reservation_changelist"), asked)
    command = Command.objects.get()
    assert (command.action, command.payload["reservationId"]) == (action, reservation.pk)


@pytest.mark.django_db(transaction=True)
def test_a_local_list_is_sent_to_every_selected_charger(api):
    a_tag("A")
    asked = {"action": "send_local_list", "_selected_action": [a_charger().pk, a_charger().pk]}
    api.post(reverse("admin:chargers_charger_changelist"), asked)
    assert [c.payload["localAuthorizationList"][0]["idTag"] for c in Command.objects.all()] == ["A", "A"]


@pytest.mark.django_db(transaction=True)
def test_an_action_that_fails_shows_the_reason(api, settings):
    settings.PUBLIC_URL = ""
    asked = {"action": "get_diagnostics", "_selected_action": [a_charger().pk]}
    page = api.post(reverse("admin:chargers_charger_changelist"), asked, follow=True).content.decode()
    assert "PUBLIC_URL" in page
    assert not Command.objects.exists()
