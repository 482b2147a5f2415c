"""Lists over REST: unknown parameters are refused, and pages show each row once while new ones arrive."""

from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from rest_framework.views import APIView

from chargers.models import (
    AuditEntry,
    ChargingLimit,
    DataTransfer,
    Event,
    InstalledCertificate,
    Message,
    MonitoringEvent,
    SecurityEvent,
)
from chargers.services import audit, events
from commands.models import (
    Batch,
    Campaign,
    CertificateInquiry,
    CertificateRequest,
    Command,
    DisplayMessage,
    EVChargingNeeds,
    EVChargingSchedule,
    Firmware,
    PowerLimit,
    PublishedFirmware,
    Upload,
)
from core.http import parameters
from tests.support.builders import NOON, a_charger, a_command, a_transaction, an_incident, tell
from tests.support.live import an_id
from tests.support.routes import every_route, rest_lists
from transactions.models import OrphanStop, Outage, Reservation, Transaction

ASKS_NOTHING = ("api/schema/", "api/docs/")  # pages that describe the API, with parameters of their own


def operations():
    """Yield (method, path) of every REST operation, with values in place of the parameters of the path."""
    values = {
        "charger:charger_id": "CP-1",
        "int:transaction_id": "1",
        "int:pk": "1",
        "int:delivery": "1",
        "int:request_id": "1",
    }
    values |= {"slug:task_id": "x", "slug:id": "x"}
    for path, callback in every_route():
        view, actions = getattr(callback, "cls", object), getattr(callback, "actions", None)
        if not issubclass(view, APIView) or path in ASKS_NOTHING:
            continue
        for name, value in values.items():
            path = path.replace(f"<{name}>", value)
        path = path.replace("(?P<pk>[^/.]+)", "1")
        methods = actions or [name for name in view.http_method_names if hasattr(view, name)]
        yield from ((method, f"/{path}") for method in methods if method not in ("options", "head"))


OPERATIONS = sorted(set(operations()))


def test_every_operation_of_the_api_is_found():
    assert len(OPERATIONS) > 70
    assert {("get", "/api/ocpp/transactions/"), ("post", "/api/ocpp/start/CP-1/")} <= set(OPERATIONS)
    assert not any(set("<>()") & set(path) for _, path in OPERATIONS)


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_unknown_parameter_is_refused_and_named(api, method, path):
    answer = getattr(api, method)(f"{path}?started_afer=2026-01-01", content_type="application/json")
    if method == "get":
        answer = api.get(f"{path}?started_afer=2026-01-01")
    assert answer.status_code == 400, answer.content
    body = answer.json()
    assert list(body["fields"]) == ["started_afer"]
    assert body["error"].startswith("started_afer: Unknown parameter")


@pytest.mark.django_db
@pytest.mark.parametrize("path", sorted({path for method, path in OPERATIONS if method == "get"}))
def test_every_parameter_that_an_error_names_is_accepted(api, path):
    said = api.get(f"{path}?nonsense=1").json()["fields"]["nonsense"][0]
    for name in said.partition("Known: ")[2].rstrip(".").split(", "):
        if name:
            answer = api.get(path, {name: "1"})
            unknown = answer.status_code == 400 and "Unknown" in answer.content.decode()
            assert not unknown, (name, answer.content)


def test_an_error_lists_the_known_parameters(live):
    status, body, _ = live.request("GET", "/api/ocpp/transactions/?started_afer=2026-01-01T00:00:00Z&chager=1")
    assert status == 400
    assert set(body["fields"]) == {"started_afer", "chager"}
    for name in ("started_after", "charger_id", "status", "page", "page_size", "cursor"):
        assert name in body["fields"]["started_afer"][0]
    assert live.request("GET", "/api/ocpp/chargers/?format=json")[0] == 200
    status, body, _ = live.request("GET", "/api/ocpp/tasks/none/?wat=1")
    assert status == 400
    assert "wait" in body["fields"]["wat"][0]


@pytest.mark.django_db
def test_parameters_are_not_listed_without_the_permission(client):
    assert client.get("/api/ocpp/transactions/?nonsense=1").status_code == 401


# --- pages -----------------------------------------------------------------------------------


def walked(api, path, arrive, name="results"):
    """Return the ids of the rows on all pages, while `arrive` creates a new row before each page."""
    seen = []
    while path:
        answer = api.get(path)
        assert answer.status_code == 200, answer.content
        page = answer.json()
        seen += [row.get("id", row.get("task_id", row.get("transaction_id"))) for row in page[name]]
        path = page["next"] and page["next"].partition("testserver")[2]
        arrive()
    return seen


def batch(charger):
    return Batch.objects.create(action="ClearCache", payload={}, timeout=30, chosen={}, total=0, start_at=NOON)


def campaign(charger):
    image = Firmware.objects.get_or_create(description="1.0", file="firmware/x")[0]
    return Campaign.objects.create(name="June", firmware=image, chosen={"filter": {}})


def orphan(charger):
    tell(charger, "StopTransaction", transactionId=-1, meterStop=OrphanStop.objects.count(), timestamp=NOON)
    return OrphanStop.objects.order_by("-pk").first()


def event(charger):
    with events.batched_events():
        events.record_event("charger.online", charger.pk)
    return Event.objects.order_by("-pk").first()


def reservation(charger):
    columns = {"connector_id": 1, "id_tag": "A", "expiry_date": "2036-01-01T00:00:00Z"}
    return Reservation.objects.create(charger=charger, **columns)


def installed(charger):
    columns = {"certificate_type": "CSMSRootCertificate", "hash_algorithm": "SHA256", "serial_number": "1"}
    return InstalledCertificate.objects.create(charger=charger, **columns)


def inquiry(charger):
    columns = {"action": "GetCertificateStatus", "subject": "1", "status": "Failed", "call_id": uuid4().hex}
    return CertificateInquiry.objects.create(charger=charger, received_at=NOON, **columns)


MADE = {  # path: (what makes a row, its id in the answer)
    "transactions/": (lambda c: a_transaction(c, meterStart=Transaction.objects.count()), "pk"),
    "transactions/CP-A/": (lambda c: a_transaction(c, meterStart=Transaction.objects.count()), "pk"),
    "commands/": (a_command, "task_id"),
    "batches/": (batch, "pk"),
    "campaigns/": (campaign, "pk"),
    "installed-certificates/": (installed, "pk"),
    "certificate-inquiries/": (inquiry, "pk"),
    "reservations/": (reservation, "pk"),
    "security-events/": (
        lambda c: SecurityEvent.objects.create(charger=c, type="T", timestamp=NOON, received_at=NOON),
        "pk",
    ),
    "data-transfers/": (
        lambda c: DataTransfer.objects.create(charger=c, vendor_id="V", status="Accepted", received_at=NOON),
        "pk",
    ),
    "charging-limits/": (
        lambda c: ChargingLimit.objects.create(charger=c, source="EMS", schedules=[], received_at=NOON),
        "pk",
    ),
    "charging-needs/": (
        lambda c: EVChargingNeeds.objects.create(charger=c, evse_id=1, parameters={}, received_at=NOON),
        "pk",
    ),
    "charging-schedules/": (
        lambda c: EVChargingSchedule.objects.create(
            charger=c, evse_id=1, begins_at=NOON, schedule={}, received_at=NOON
        ),
        "pk",
    ),
    "orphan-stops/": (orphan, "pk"),
    "outages/": (
        lambda c: Outage.objects.create(
            charger=c, event_id=Outage.objects.count(), evse_id=1, connector_id=1, kind="faulted", began_at=NOON
        ),
        "pk",
    ),
    "events/?kind=charger.online": (event, "pk"),
    "incidents/": (an_incident, "pk"),
    "audit/?kind=firmware": (
        lambda c: audit.record("created", "firmware", "f") or AuditEntry.objects.first(),
        "pk",
    ),
    "display-messages/": (
        lambda c: DisplayMessage.objects.create(charger=c, message_id=DisplayMessage.objects.count()),
        "pk",
    ),
    "published-firmware/": (
        lambda c: PublishedFirmware.objects.create(charger=c, checksum=str(PublishedFirmware.objects.count())),
        "pk",
    ),
    "monitoring-events/": (
        lambda c: MonitoringEvent.objects.create(
            charger=c,
            timestamp=NOON,
            generated_at=NOON,
            received_at=NOON,
            digest=str(MonitoringEvent.objects.count()),
        ),
        "pk",
    ),
    "power-limits/": (lambda c: PowerLimit.objects.create(charger=c, amount=6), "pk"),
    "variables/": (
        lambda c: c.variables.create(component="C", variable=str(c.variables.count()), value="1"),
        "pk",
    ),
    "variables/history/": (
        lambda c: c.variable_changes.create(component="C", variable="V", source="NotifyReport"),
        "pk",
    ),
    "network-profiles/": (
        lambda c: c.network_profiles.create(slot=c.network_profiles.count(), status="Accepted", answered_at=NOON),
        "pk",
    ),
    "uploads/": (
        lambda c: Upload.objects.create(charger=c, command=a_command(c), token_hash=an_id(), expires_at=NOON),
        "pk",
    ),
    "certificates/": (
        lambda c: CertificateRequest.objects.create(charger=c, csr="c", state="Refused", received_at=NOON),
        "pk",
    ),
    "messages/": (
        lambda c: Message.objects.create(
            charger=c,
            at=f"2026-11-28T00:00:{Message.objects.count():02}Z",
            direction="in",
            frame="[]",
            is_error=False,
        ),
        "pk",
    ),
}


@pytest.mark.django_db
@pytest.mark.parametrize("path", MADE)
def test_following_next_links_returns_each_row_once_during_inserts(api, path):
    charger = a_charger("CP-A")
    make, column = MADE[path]
    old = [getattr(make(charger), column) for _ in range(7)]
    name = "transaction_logs" if path.startswith("transactions") else "results"
    joined = f"/api/ocpp/{path}{'&' if '?' in path else '?'}page_size=2"
    seen = walked(api, joined, lambda: make(charger), name)
    assert [str(row) for row in seen] == [str(row) for row in reversed(old)]


@pytest.mark.django_db
def test_a_numbered_page_continues_with_a_cursor(api):
    charger = a_charger()
    old = [a_command(charger).task_id for _ in range(7)]
    page = api.get("/api/ocpp/commands/?page=2&page_size=2").json()
    assert [row["task_id"] for row in page["results"]] == old[-3:-5:-1]
    assert page["count"] == 7
    a_command(charger)
    following = api.get(page["next"].partition("testserver")[2]).json()
    before = api.get(page["previous"].partition("testserver")[2]).json()
    assert [row["task_id"] for row in following["results"]] == old[-5:-7:-1]
    assert [row["task_id"] for row in before["results"]] == old[-1:-3:-1]
    assert "page=" not in urlsplit(page["next"]).query.replace("page_size=", "")


@pytest.mark.django_db
def test_a_wrong_page_or_cursor_is_an_error(api):
    Command.objects.all().delete()
    assert api.get("/api/ocpp/commands/?page=9").status_code == 404
    assert api.get("/api/ocpp/commands/?cursor=nonsense").status_code == 404
    assert api.get("/api/ocpp/commands/?cursor=cD1hYmM%3D").status_code == 404  # p=abc
    both = api.get("/api/ocpp/commands/?page=1&cursor=cD01")
    assert both.status_code == 400
    assert "not both" in both.json()["error"]


def has_cursors(view):
    return "cursor" in parameters.known(view(), "GET")


def test_every_newest_first_list_has_cursors():
    """A list ordered by descending id needs more than numbered pages."""
    for path, callback in every_route():
        view = getattr(callback, "cls", None)
        queryset = getattr(view, "queryset", None)
        if queryset is not None and queryset.model._meta.ordering[:1] == ["-id"] and parameters._lists(view(), "GET"):
            assert has_cursors(view), path


def test_every_list_with_cursors_is_walked_here():
    with_cursors = {resource for resource, view in rest_lists().items() if has_cursors(view)}
    walked_here = {path.partition("?")[0].removesuffix("/") for path in MADE}
    assert with_cursors == walked_here - {"transactions/CP-A"}
