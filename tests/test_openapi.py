"""Every operation of the API conforms to its schema, whatever is sent."""

import json
from itertools import cycle

import pytest
import requests
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.generation.feedback import NO_FEEDBACK
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi import checks

from tests.support.builders import a_charger
from tests.support.live import an_id, exchange
from tests.support.payloads import PROFILE, REPORTED, STATION
from tests.support.routes import rest_lists

CHARGERS = 8  # so many that not all of them have as many commands waiting as they may
NOBODYS = 2**40  # added to a number, it is the id of nothing
CONFIG = {
    "seed": 16,
    "generation": {"deterministic": True, "max-examples": 5, "database": "none"},
    "phases": {"examples": {"enabled": False}, "stateful": {"enabled": False}},
}
# Not that all is refused which the schema does not allow, nor all taken which it does: it does not tell everything.
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
# Bodies of the resources that are created over REST.
MADE = {
    "chargers": lambda ours: {"charger_id": an_id()},
    "webhooks": lambda ours: {"name": an_id(), "url": "http://127.0.0.1:9/", "kinds": ["security.event"]},
    "id-tags": lambda ours: {"id_tag": an_id()},
    "charging-profiles": lambda ours: {"description": an_id(), "profile": PROFILE},
    "reservations": lambda ours: {
        "charger_id": next(ours.any_charger),
        "connector_id": 1,
        "id_tag": "A",
        "expiry_date": "2036-01-01T00:00:00Z",
    },
    "batches": lambda ours: {
        "action": "ClearCache",
        "chargers": [next(ours.any_charger)],
        "start_at": "2036-01-01T00:00:00Z",
    },
    "schedules": lambda ours: {
        "name": an_id(),
        "action": "ClearCache",
        "chargers": [next(ours.any_charger)],
        "at": "2036-01-01T00:00:00Z",
    },
}


def whole_schema():
    """Return the schema, in which an answer may have no undescribed member."""
    described = SchemaGenerator().get_schema(public=True)
    for component in described["components"]["schemas"].values():
        if "properties" in component:
            component["additionalProperties"] = False
    return described


schema = schemathesis.openapi.from_dict(whole_schema(), config=SchemathesisConfig.from_dict(CONFIG))
# The stream of events never ends: see tests/chargers/test_stream.py.
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, methods in schema.raw_schema["paths"].items()
    for method in methods
    if path != "/api/ocpp/events/stream/"
]


class Ours:
    """The rows that the cases may read, change and delete, never those of other tests."""

    def __init__(self, live):
        self.live, self.ids = live, {}
        self.chargers = [self.made("chargers", "charger_id"), *(self.charger() for _ in range(CHARGERS))]
        self.station = self.charger(STATION, "ocpp2.0.1")
        self.any_charger = cycle([*self.chargers, self.station])
        with live.charger(self.chargers[0], GetDiagnostics={"fileName": "log"}) as charger:
            task = live.finished(live.ask(self.chargers[0], "GetDiagnostics", {}))
        self.task_id = task["task_id"]
        place = json.loads(charger.received[0])[3]["location"]
        assert requests.put(place + "log", b"log", timeout=10).status_code == 201

    def charger(self, reported=REPORTED, version="ocpp1.6"):
        """A charger that has reported all that a charger may report."""
        charger_id = an_id()
        with self.live.socket(charger_id, subprotocols=[version]) as socket:
            for action, payload in reported:
                _, _, answer = exchange(socket, action, action, payload)
        self.transaction_id = answer.get("transactionId", getattr(self, "transaction_id", None))
        return charger_id

    def made(self, resource, member="id"):
        return self.live.post(f"/api/ocpp/{resource}/", MADE[resource](self))[member]

    def an(self, resource):
        """Return the id of a row of `resource` that a case may change and delete."""
        if resource in MADE:
            return self.made(resource)
        if resource == "firmware":
            reply = {"files": {"file": ("1.bin", b"x")}, "data": {"description": an_id()}}
            return requests.post(f"{self.live.url}/api/ocpp/firmware/", timeout=10, **reply).json()["id"]
        model = rest_lists()[resource].queryset.model
        if "charger" not in {field.name for field in model._meta.fields}:  # such as tokens: there are none here
            return NOBODYS
        wanted = f"SELECT max(r.id) FROM {model._meta.db_table} r JOIN chargers_charger c ON c.id = r.charger_id "
        return self.live.rows(wanted + "WHERE c.identity = ANY(%s)", self.chargers)[0][0]

    def known(self, case):
        """Return the values for the path of a case; an id is the same for all cases of an operation."""
        resource, label = case.path.split("/")[3], case.operation.label
        if "{id}" in case.path and label not in self.ids:
            self.ids[label] = self.an(resource)
        whose = self.chargers[-1] if "{transaction_id}" in case.path else next(self.any_charger)
        whose = self.station if "{request_id}" in case.path else whose
        return {
            "id": self.ids.get(label),
            "charger_id": whose,
            "transaction_id": self.transaction_id,
            "task_id": self.task_id,
            "delivery": 1,
            "request_id": 1,
        }


@pytest.fixture(scope="module")
def ours(live):
    """Delete the tags afterwards, because local lists of other tests would have them."""
    ((latest,),) = live.rows("SELECT coalesce(max(id), 0) FROM transactions_idtag")
    yield Ours(live)
    live.execute("DELETE FROM transactions_idtag WHERE id > %s", latest)


def owned(value, ours):
    """Keep one in four generated ids, as that of nothing; replace the others by one of ours."""
    if isinstance(value, int):
        return value + NOBODYS if value % 4 == 3 else ours
    return value if len(str(value)) % 4 == 3 else ours


def conforms(live, ours, case):
    known = ours.known(case)
    case.path_parameters = {name: owned(value, known[name]) for name, value in case.path_parameters.items()}
    if isinstance(case.body, dict) and "filter" in case.body:  # ours alone, none of other tests
        case.body["filter"] = {"search": known["charger_id"]}
    if isinstance(case.body, dict) and "chargers" in case.body and isinstance(case.body["chargers"], list):
        case.body["chargers"] = [owned(charger_id, known["charger_id"]) for charger_id in case.body["chargers"]]
    if isinstance(case.body, dict) and "charger_id" in case.body and case.path != "/api/ocpp/chargers/":
        case.body["charger_id"] = owned(case.body["charger_id"], known["charger_id"])
    case.call_and_validate(base_url=live.url, checks=CHECKS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_every_answer_conforms_to_the_schema(live, ours, label):
    """Generate the cases here. `schema.parametrize` would do so in each process of pytest-xdist, when it starts."""
    (operation,) = schema.include(name=label).get_all_operations()
    test = build_operation_test(
        config=schema.config, operation=operation.ok(), test_func=conforms, given_kwargs={}, feedback=NO_FEEDBACK
    )
    test(live=live, ours=ours)


@pytest.mark.django_db
def test_every_operation_answers_401_without_a_login(client):
    for operation in schema.get_all_operations():
        path = operation.ok().path.format(
            id=1, charger_id="X", transaction_id=1, task_id="X", delivery=1, request_id=1
        )
        answer = client.generic(operation.ok().method, path)
        assert (answer.status_code, set(answer.json())) == (401, {"error"}), path
        assert answer["WWW-Authenticate"]
        assert "401" in operation.ok().definition.raw["responses"]


@pytest.mark.django_db
def test_every_path_answers_options(api):
    charger = a_charger("X")
    for path in schema.raw_schema["paths"]:
        named = path.format(id=1, charger_id=charger, transaction_id=1, task_id="X", delivery=1, request_id=1)
        assert api.options(named).status_code in (200, 404), path
