"""The number of queries of a page does not depend on its rows, and counts have a limit."""

from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django_celery_results.models import TaskResult

from chargers.admin import lists
from chargers.models import (
    ApiToken,
    ChargerGroup,
    ChargingLimit,
    InstalledCertificate,
    Message,
    Monitor,
    MonitoringEvent,
    NetworkProfile,
    Refusal,
    Site,
    Webhook,
)
from chargers.services import audit, variables
from chargers.services.variables import ReportedVariable, VariableName
from commands.models import (
    CONFIRMATIONS,
    Batch,
    Campaign,
    CertificateInquiry,
    CertificateRequest,
    ChargingProfile,
    ContractRoot,
    DisplayMessage,
    EVChargingNeeds,
    EVChargingSchedule,
    Firmware,
    LimitedPlace,
    LocalList,
    PowerLimit,
    PublishedFirmware,
    Schedule,
    Upload,
)
from dashboard.models import ReportSubscription
from tests.support.admin import admin_models, admin_url
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
from tests.support.payloads import PROFILE
from tests.support.pki import a_root
from tests.support.routes import rest_lists
from tests.support.rows import a_row
from transactions.models import IdTag, MeterValue, Outage, Reservation, Tariff, Transaction, UnknownIdTag

pytestmark = pytest.mark.django_db
# A model and a list of its rows, over REST or in the admin.
LISTS = [
    *((view.queryset.model, f"/api/ocpp/{resource}/") for resource, view in sorted(rest_lists().items())),
    *((model, reverse(f"{admin_url(model)}_changelist")) for model in [*admin_models(), TaskResult]),
]
READING = {"timestamp": NOON, "sampledValue": [{"value": "1500"}]}


def one_more_of_each(number):
    """Create a charger with a row of every kind."""
    now, tag = datetime.now(UTC), f"TAG{number}"
    a_tag(tag)
    transaction = a_transaction(a_charger(), idTag=tag)
    charger = transaction.charger
    command = a_command(charger, follows=a_command(charger, state="finished"))
    tell(charger, "MeterValues", connectorId=1, transactionId=transaction.pk, meterValue=[READING])
    tell(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    tell(charger, "StopTransaction", transactionId=-1, meterStop=5000, timestamp=NOON, idTag=tag)
    tell(charger, "SecurityEventNotification", type="x", timestamp=NOON)
    tell(charger, "DataTransfer", vendorId="x")
    for model in (CertificateInquiry, ChargingLimit, InstalledCertificate):
        a_row(model, charger)
    own = {"charger": charger, "evse_id": 1, "connector_id": 1}
    Outage.objects.create(**own, event_id=number, kind="faulted", began_at=now)
    own = {"charger": charger, "evse_id": 1, "received_at": now}
    EVChargingNeeds.objects.create(**own, parameters={})
    EVChargingSchedule.objects.create(**own, begins_at=now, schedule={})
    ContractRoot.objects.create(certificate=a_root(tag).pem)
    Monitor.objects.create(charger=charger, monitor_id=1, type="Delta", reported_at=now)
    MonitoringEvent.objects.create(charger=charger, timestamp=now, generated_at=now, received_at=now, digest=tag)
    UnknownIdTag.objects.create(id_tag=f"U{number}", charger=charger, first_seen=now, last_seen=now, presented=1)
    priced = Tariff.objects.create(description=tag, currency="EUR")
    for limited in (priced, IdTag.objects.get(id_tag=tag)):
        limited.chargers.add(charger)
        limited.groups.create(name=f"{type(limited).__name__} {tag}")
    priced.id_tags.add(IdTag.objects.get(id_tag=tag))
    Reservation.objects.create(charger=charger, connector_id=1, id_tag=tag, expiry_date=now)
    LocalList.objects.create(charger=charger, version=1, entries={})
    Site.objects.create(name=tag).chargers.add(charger)
    charger.refresh_from_db()
    ChargerGroup.objects.create(name=tag).chargers.add(charger)
    incident = an_incident(charger, assignee=User.objects.get(username="alice"))
    incident.deliveries.create(rule=a_rule(site=charger.site), reason="opened", created_at=now, due_at=now)
    ApiToken.make(User.objects.get(username="alice"), tag)
    Webhook.objects.create(name=tag, url="http://127.0.0.1:9/", group=ChargerGroup.objects.get(name=tag))
    open_socket(charger)
    CertificateRequest.objects.create(charger=charger, csr="x", received_at=now)
    Upload.objects.create(token_hash=tag, command=command, charger=charger, expires_at=now)
    Message.objects.create(charger=charger, at=now, direction="in", kind="other", frame="x", is_error=True)
    counts = {"total": 0, "progress": 1.0, "simulated": 0, "states": {}, "outcomes": {}}
    counts["confirmations"] = dict.fromkeys(CONFIRMATIONS, 0)
    counts["states"] = dict.fromkeys(["waiting", "queued", "sent", "finished", "cancelled", "refused"], 0)
    Batch.objects.create(action="ClearCache", payload={}, chosen={}, total=0, start_at=now, counts=counts)
    ChargingProfile.objects.create(description=tag, profile=PROFILE)
    DisplayMessage.objects.create(charger=charger, message_id=1, transaction=transaction)
    PublishedFirmware.objects.create(charger=charger)
    image = Firmware.objects.create(description=tag, file="firmware/none.bin")
    campaign = Campaign.objects.create(name=tag, firmware=image, chosen={"filter": {}})
    campaign.items.create(charger=charger, command=command)
    Refusal.objects.create(charger_id=tag, kind="unknown", status=404, reason="x", count=1, first_at=now, last_at=now)
    for value in ("1", "2"):
        variables.report(charger.pk, [ReportedVariable(VariableName("A", "C"), value)], "NotifyReport")
    NetworkProfile.objects.create(charger=charger, slot=1, status="Accepted", answered_at=now)
    a_finding(charger, "StatusNotification", {("x", "unknown_field"): "1"})
    audit.record("created", "firmware", tag)
    TaskResult.objects.create(task_id=tag)
    Schedule.objects.create(name=tag, action="ClearCache", payload={}, chosen={"filter": {}}, every_seconds=60)
    PowerLimit.objects.create(amount=6, charger=charger)
    LimitedPlace.objects.create(charger=charger, evse_id=0)
    alice = User.objects.get(username="alice")
    ReportSubscription.objects.create(name=tag, owner=alice, site=charger.site, due_at=now, retry_at=now)
    return transaction


def queries(api, path):
    with CaptureQueriesContext(
        connection,
    ) as captured:
        answer = api.get(path)
    assert answer.status_code == 200, (path, answer.content[:200])
    return [query["sql"] for query in captured]


@pytest.mark.parametrize(("model", "path"), LISTS, ids=[path for _, path in LISTS])
def test_the_number_of_queries_of_a_list_does_not_depend_on_its_rows(api, model, path):
    one_more_of_each(0)
    queries(api, path)  # what is looked up once a process
    few = queries(api, path)
    for number in range(1, 3):
        one_more_of_each(number)
    many = queries(api, path)
    assert len(many) <= len(few), many
    assert model.objects.count() >= 3


@pytest.mark.parametrize("suffix", ["", "meter-values/"])
def test_a_transaction_and_its_readings_take_few_queries(api, suffix):
    transaction = one_more_of_each(0)
    path = f"/api/ocpp/transactions/{transaction.charger}/{transaction.pk}/{suffix}"
    assert len(queries(api, path)) <= 6


def test_an_admin_list_counts_up_to_a_limit(api, monkeypatch):
    monkeypatch.setattr(lists, "MAX_COUNTED_ROWS", 3)
    for number in range(5):
        one_more_of_each(number)
    page = api.get(reverse("admin:transactions_transaction_changelist")).content.decode()
    assert "3+ transactions" in page


def test_a_deep_page_has_its_rows(api, monkeypatch):
    monkeypatch.setattr("core.http.pagination.DEEP_PAGE_OFFSET", 2)
    ids = sorted((one_more_of_each(number).pk for number in range(5)), reverse=True)
    shown = api.get("/api/ocpp/transactions/?page=2&page_size=2").json()
    assert shown["count"] == 5
    assert [row["transaction_id"] for row in shown["transaction_logs"]] == ids[2:4]


@pytest.mark.parametrize(
    ("word", "found"), [("by charger", 1), ("by tag", 1), ("by charger and tag", 1), ("nothing", 0)]
)
def test_a_transaction_is_found_by_charger_and_tag(api, word, found):
    transaction = [one_more_of_each(number) for number in range(3)][1]
    words = {
        "by charger": str(transaction.charger),
        "by tag": transaction.id_tag.lower(),
        "by charger and tag": f"{transaction.charger} {transaction.id_tag}",
        "nothing": "nothing-of-the-kind",
    }
    listed = api.get(reverse("admin:transactions_transaction_changelist"), {"q": words[word]})
    assert len(listed.context["cl"].result_list) == found
    assert found == 0 or transaction in listed.context["cl"].result_list


def test_a_transaction_is_found_by_its_number(api):
    transaction = [one_more_of_each(number) for number in range(3)][1]
    listed = api.get(reverse("admin:transactions_transaction_changelist"), {"q": transaction.pk})
    assert transaction in listed.context["cl"].result_list


def test_the_date_hierarchy_leads_from_year_to_day(api):
    for day, moment in enumerate(("2024-03-01", "2025-02-26", "2025-11-30")):
        Transaction.objects.filter(pk=one_more_of_each(day).pk).update(start_time=f"{moment}T12:00:00Z")
    listed = reverse("admin:transactions_transaction_changelist")
    assert "start_time__year=2024" in api.get(listed).content.decode()
    assert "start_time__month=11" in api.get(listed, {"start_time__year": 2025}).content.decode()
    day = {"start_time__year": 2025, "start_time__month": 2}
    assert len(api.get(listed, day).context["cl"].result_list) == 1


def test_every_constraint_of_the_models_is_in_the_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes UNION SELECT conname FROM pg_constraint")
        there = {name for (name,) in cursor.fetchall()}
    models = [
        model for app in ("chargers", "transactions", "commands") for model in apps.get_app_config(app).get_models()
    ]
    wanted = {named.name for model in models for named in [*model._meta.constraints, *model._meta.indexes]}
    assert wanted <= there


MANY_READINGS = """
INSERT INTO transactions_reading (charger_id, evse_id, timestamp, raw_timestamp, received_at, samples)
SELECT %s, 1, now(), '', now(), '[["1"],["2"]]' FROM generate_series(1, 20000)
"""


def test_meter_values_are_listed_and_found_without_reading_all(api):
    charger = a_charger()
    with connection.cursor() as cursor:
        cursor.execute(MANY_READINGS, [charger.pk])
        cursor.execute("ANALYZE transactions_reading")
    newest = MeterValue.objects.reverse()[:100]
    assert [value.value for value in newest[:3]] == ["2", "1", "2"]
    assert "Seq Scan on transactions_reading_first" not in newest.explain()
    path = reverse("admin:transactions_metervalue_change", args=[newest[0].pk])
    found = next(sql for sql in queries(api, path) if '"reading_id" =' in sql)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {found}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "Seq Scan on transactions_reading_first" not in plan
    for unknown in ("0", "x", "9" * 5000):
        assert api.get(reverse("admin:transactions_metervalue_change", args=[unknown])).status_code == 302
