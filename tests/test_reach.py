"""A charger out of reach is answered like one that does not exist, for every request."""

import json
import re
from itertools import product

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from chargers.models import Charger, ChargerGroup, Refusal
from commands.models import Batch, Command, DisplayMessage, Firmware, PowerLimit, PublishedFirmware, Schedule
from tests.support.builders import NOON, a_charger, a_command, a_tag, a_transaction, tell
from tests.support.responses import content
from tests.support.routes import every_route, operator_pages, rest_lists
from transactions.models import OrphanStop, Reservation, Transaction, UnknownIdTag

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/ocpp"
NEAR, FAR, GONE = "NEAR-1", "FARR-1", "GONE-1"
METHODS = ("get", "head", "options", "post", "put", "patch", "delete")
QUERIES = ("", "?bogus=1", "?page=nonsense")
BODIES = (
    "",
    "{",
    "[]",
    "{}",
    '{"bogus": 1}',
    '{"id_tag": "A", "connector_id": 1}',
    '{"id_tag": 7, "connector_id": "x", "timeout": -1}',
    '{"update_type": "Nonsense"}',
    '{"update_type": "Full"}',
    '{"description": "x", "charger_id": "NEAR-1"}',
    '{"meter_stop": 5}',
)


@pytest.fixture
def scoped():
    """A client of a user who has all permissions and reaches one charger."""
    user = User.objects.create_user("bob", is_staff=True)
    granted = Permission.objects.exclude(codename="reach_every_charger")
    through = User.user_permissions.through  # at once: `set` would write an audit entry of some hundred permissions
    through.objects.bulk_create(through(user=user, permission=permission) for permission in granted)
    near = a_charger(NEAR)
    far = a_charger(
        FAR, pk=555_001, description="far away", vendor="FarVendor"
    )  # a number that no page has by itself
    a_tag()
    for charger in (near, far):
        a_transaction(charger)
        a_command(charger)
        DisplayMessage.objects.create(charger=charger, message_id=charger.pk)
        PublishedFirmware.objects.create(charger=charger)
        PowerLimit.objects.create(charger=charger, amount=6)
        tell(charger, "StopTransaction", transactionId=-1, meterStop=1, timestamp=NOON)
        tell(charger, "Authorize", idTag=f"X{charger.pk}")
        Refusal.objects.create(charger_id=charger.identity, kind="credentials", status=401, reason="x", **moments())
    group = ChargerGroup.objects.create(name="North")
    group.chargers.set([near])
    group.users.set([user])
    client = Client()
    client.force_login(user)
    return client


def moments():
    return {"first_at": NOON, "last_at": NOON, "count": 1, "address": "192.0.2.1"}


def reply(answer, charger_id):
    """Return all of an answer, except the id of the request and what differs each time."""
    body = content(answer)
    named = re.compile(rf"(?<![\w-]){re.escape(charger_id)}(?!\w)")
    text = named.sub("ID", body.decode())
    headers = {name: named.sub("ID", value) for name, value in answer.headers.items()}
    for changing in ("Set-Cookie", "Date", "Content-Security-Policy", "Retry-After", "Expires"):
        headers.pop(changing, None)
    lines = [line for line in text.splitlines() if "csrfmiddlewaretoken" not in line and "nonce" not in line]
    return answer.status_code, "\n".join(lines), headers


# Of every route that names a charger: what stands in the place of its other variables.
OTHERS = {
    "<int:transaction_id>": ["1", "0", "99999999"],
    "<int:request_id>": ["1", "0"],
    "<str:action>": ["Reset", "Nonsense"],
    "<int:pk>": ["1", "0"],
}
ROUTES = sorted({path for path, _ in every_route() if "<charger:charger_id>" in path})


def filled(route, charger_id):
    route = route.replace("<charger:charger_id>", charger_id)
    for variable, values in OTHERS.items():
        if variable in route:
            return ["/" + route.replace(variable, value) for value in values]
    assert "<" not in route, route
    return ["/" + route]


def test_the_routes_are_found():
    assert {"api/ocpp/chargers/<charger:charger_id>/", "chargers/<charger:charger_id>/"} < set(ROUTES)
    assert len(ROUTES) > 12


@pytest.mark.parametrize("route", ROUTES)
def test_a_path_of_a_charger_out_of_reach_is_answered_as_unknown(scoped, route):
    for (far, gone), method in product(zip(filled(route, FAR), filled(route, GONE), strict=True), METHODS):
        for query, body in [*product(QUERIES[:1], BODIES), *product(QUERIES[1:], ("", "{}"))]:
            asked = {"data": body, "content_type": "application/json"} if method in METHODS[3:] else {}
            if not asked and body:
                continue
            answers = [
                reply(getattr(scoped, method)(path + query, **asked), name)
                for path, name in ((far, FAR), (gone, GONE))
            ]
            assert answers[0] == answers[1], (method, far + query, body)
            status = answers[0][0]
            if status == 405:
                break  # whatever the body and the query
            if method not in ("options", "head") and status != 403:
                # An unknown parameter is refused for every charger alike.
                assert status == 404 or (query and status == 400), (method, far + query, body)
    assert not Command.objects.filter(charger__identity=FAR).exclude(action="ClearCache").exists()
    assert Charger.objects.filter(identity=FAR).exists()


def bodies(charger_id):
    """Yield bodies that name a charger, with valid and invalid values in every other member."""
    for action, payload in (
        ("Reset", {"type": "Soft"}),
        ("Reset", {"type": "Nonsense"}),
        ("Reset", {}),
        ("Nonsense", {}),
        ("Reset", 7),
        ("GetDiagnostics", {"location": "x"}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": 7}),
        *((action, {}) for action in ("ClearCache", "GetConfiguration", "SendLocalList")),
    ):
        command = {"action": action, "payload": payload}
        yield {"charger_id": charger_id, **command}
        yield {"charger_id": charger_id, **command, "timeout": -1}
        for listed in ([charger_id], [NEAR, charger_id], [charger_id, NEAR]):
            yield {"chargers": listed, **command}
            yield {"chargers": listed, **command, "name": "x", "every_seconds": 3600}
        yield {"filter": {"search": charger_id}, **command}
    for listed in ([charger_id], [NEAR, charger_id]):
        yield {"chargers": listed, "intent": "reset"}
        yield {"chargers": listed, "intent": "reset", "payload": {"is_immediate": 1}}
    yield {"charger_id": charger_id}
    yield {"charger_id": charger_id, "bogus": 1}
    yield {"charger_id": charger_id, "connector_id": 1, "id_tag": "A", "expiry_date": "2036-01-01T00:00:00Z"}
    yield {"charger_id": charger_id, "connector_id": -1, "id_tag": "A", "expiry_date": "x"}
    yield {"charger_id": charger_id, "signed": True, "retrieve_date": "x"}
    yield {"charger_id": charger_id, "description": "x", "security_profile": 9}


POSTS = ["commands/", "batches/", "schedules/", "reservations/", "chargers/", "firmware/FIRMWARE/install/"]
POSTS += ["firmware/FIRMWARE/publish/"]


@pytest.mark.parametrize("path", POSTS)
def test_a_body_with_a_charger_out_of_reach_is_answered_as_unknown(scoped, path, settings):
    settings.API_COMMANDS_PER_MINUTE = 0
    path = path.replace("FIRMWARE", str(Firmware.objects.create(description="1.0", file="firmware/x").pk))
    url = f"{API}/{path}"
    for number, (far, gone) in enumerate(zip(bodies(FAR), bodies(GONE), strict=True)):
        for key in ("", f"key-{number}"):
            headers = {"Idempotency-Key": key} if key else {}
            answers = [
                reply(scoped.post(url, json.dumps(body), "application/json", headers=headers), name)
                for body, name in ((far, FAR), (gone, GONE))
            ]
            assert answers[0] == answers[1], far
    assert Charger.objects.count() == 2
    assert not Batch.objects.exists()
    assert not Reservation.objects.exists()
    assert all("filter" in schedule.chosen for schedule in Schedule.objects.all())


def test_a_command_for_a_charger_out_of_reach_is_refused_before_its_content(scoped):
    for name, body in product((FAR, GONE), ({}, {"action": "Nonsense"}, {"action": "Reset", "payload": 7}, {"x": 1})):
        answer = scoped.post(f"{API}/commands/", body | {"charger_id": name}, "application/json")
        assert (answer.status_code, answer.json()) == (404, {"error": "Charger not found"})


FILTERS = ("charger_id={0}", "charger_id={0}&bogus=1", "search={0}", "description=far+away", "charger_id={0}&page=2")
# Every list over REST and on the pages, and two pages whose path has a variable.
LISTS = [f"{API}/{name}/" for name in sorted(rest_lists())]
LISTS += [f"/{path}" for path in operator_pages() if "<" not in path]
LISTS += ["/transactions/export.csv", "/batches/new/Reset/", "/batches/new/reset/"]


@pytest.mark.parametrize("path", LISTS)
def test_a_filter_finds_no_charger_out_of_reach(scoped, path):
    for query in (*FILTERS, "charger={0}", "id={0}", "name={0}", "q={0}"):
        far, gone = (reply(scoped.get(f"{path}?{query.format(name)}"), name) for name in (FAR, GONE))
        assert far == gone, query
        assert FAR not in far[1]


# (path, method) of what is asked of one row of a charger; `{}` is its primary key.
ROWS = {
    Transaction: [
        *(("/transactions/{}/", "get"), ("/transactions/{}/close/", "post"), ("/transactions/{}/correct/", "get")),
        ("/curves/transactions/{}.json", "get"),
    ],
    OrphanStop: [(f"{API}/orphan-stops/{{}}/", "get"), (f"{API}/orphan-stops/{{}}/attach/", "post")],
    UnknownIdTag: [(f"{API}/unknown-id-tags/{{}}/", "get"), (f"{API}/unknown-id-tags/{{}}/accept/", "post")],
    Refusal: [
        *((f"{API}/refused-chargers/{{}}/", "get"), (f"{API}/refused-chargers/{{}}/add/", "post")),
    ],
    PowerLimit: [
        *(("/limits/{}/", "get"), ("/limits/{}/remove/", "get"), ("/limits/{}/remove/", "post")),
        ("/curves/limits/{}.json", "get"),
    ],
    Charger: [(f"/admin/chargers/charger/{{}}/{page}/", "get") for page in ("change", "delete", "history")],
}


@pytest.mark.parametrize("model", ROWS)
def test_a_row_of_a_charger_out_of_reach_is_not_found(scoped, model):
    path = {Charger: "identity", Refusal: "charger_id"}.get(model, "charger__identity")
    far = model.objects.filter(**{path: FAR}).first().pk
    for path, method in ROWS[model]:
        for body in ("{", "{}"):
            asked = {"data": body, "content_type": "application/json"} if method == "post" else {}
            answers = []
            for pk in (far, 987_654_321):
                status, text, headers = reply(getattr(scoped, method)(path.format(pk), **asked), str(pk))
                answers.append((status, text, {n: v for n, v in headers.items() if n != "Content-Length"}))
            assert answers[0] == answers[1], path


def test_links_and_forms_of_the_admin_do_not_name_a_charger_out_of_reach(scoped):
    kind = ContentType.objects.get_for_model(Charger).pk
    booked = {"connector_id": 1, "id_tag": "A", "expiry_date_0": "2036-01-01", "expiry_date_1": "00:00:00"}
    add = "/admin/transactions/reservation/add/"
    pks = Charger.objects.get(identity=FAR).pk, 987_654_321
    linked = [reply(scoped.get(f"/admin/r/{kind}/{pk}/"), str(pk))[:2] for pk in pks]
    chosen = [reply(scoped.post(add, booked | {"charger": pk}), str(pk))[:2] for pk in pks]
    assert linked[0] == linked[1]
    assert chosen[0] == chosen[1]
    assert not Reservation.objects.exists()


def test_the_form_of_a_new_charger_does_not_reveal_ids_out_of_reach(scoped):
    add = "/admin/chargers/charger/add/"
    far, gone = (reply(scoped.post(add, {"charger_id": name}), name) for name in (FAR, GONE))
    assert far == gone


@pytest.mark.parametrize("action", ["Reset", "reset", "Nonsense"])
def test_a_form_for_many_chargers_does_not_name_a_charger_out_of_reach(scoped, action):
    for fields in ({"type": "Soft"}, {"type": "Nonsense"}, {"type": "Soft", "when": "every", "when_every": "60"}):
        forms = {name: fields | {"chargers_listed": f"{NEAR}\n{name}"} for name in (FAR, GONE)}
        far, gone = (reply(scoped.post(f"/batches/new/{action}/", form), name) for name, form in forms.items())
        assert far == gone
    assert not Batch.objects.exists()
    assert not Schedule.objects.exists()


def test_the_form_of_a_power_limit_does_not_name_a_charger_out_of_reach(scoped):
    for fields in ({}, {"amount": "6"}, {"amount": "6", "day1": "on", "confirmed": "1"}, {"change": "1"}):
        for named in ({"charger": "{}"}, {"chargers_listed": f"{NEAR}\n{{}}"}):
            forms = {name: fields | {key: text.format(name) for key, text in named.items()} for name in (FAR, GONE)}
            far, gone = (reply(scoped.post("/limits/new/", form), name) for name, form in forms.items())
            assert far == gone
    assert PowerLimit.objects.filter(created_by="bob").count() == 0
