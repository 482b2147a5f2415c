"""Tariffs and the cost of sessions (OCPP 2.0.1 I)."""

from decimal import Decimal

import pytest

from chargers.models import ChargerGroup, Event, Variable
from gateway.ocpp201 import authorization
from tests.support.builders import NOON, a_call, a_charger, a_tag, a_transaction, tell
from transactions.models import Tariff, Transaction
from transactions.services import costs

pytestmark = pytest.mark.django_db
ENDED = "2025-02-26T13:00:00Z"  # an hour after NOON


def a_tariff(name="T", **columns):
    return Tariff.objects.create(description=name, currency="EUR", **columns)


def stopped(transaction, meter=3000):
    tell(transaction.charger, "StopTransaction", transactionId=transaction.pk, meterStop=meter, timestamp=ENDED)
    return Transaction.objects.get(pk=transaction.pk)


def test_a_session_costs_its_energy_its_time_and_vat():
    a_tariff(per_session=1, energy_per_kwh="0.5", per_minute="0.01", vat_percent=20)
    session = stopped(a_transaction())  # 2 kWh in 60 minutes
    assert (session.total_cost, session.currency, session.tariff.description) == (Decimal("3.12"), "EUR", "T")


def test_free_of_charge_is_zero_and_no_tariff_is_none():
    first = stopped(a_transaction())
    assert (first.total_cost, first.currency, costs.running([first.pk])) == (None, "", {})
    a_tariff()
    second = stopped(a_transaction(a_charger()))
    assert second.total_cost == Decimal("0.00")


def test_the_event_of_an_end_has_the_cost():
    a_tariff(per_session=1)
    priced, closed = stopped(a_transaction()), a_transaction(a_charger())
    closed.close("alice")
    Tariff.objects.all().delete()
    free_of_tariff = stopped(a_transaction(a_charger()))
    found = {e.body["transaction_id"]: e.body for e in Event.objects.filter(kind="transaction.stopped")}
    shown = [(found[t.pk]["cost"], found[t.pk]["currency"]) for t in (priced, closed, free_of_tariff)]
    assert shown == [("1.00", "EUR"), ("1.00", "EUR"), (None, "")]


def test_the_cost_of_a_session_under_way_is_not_stored():
    a_tariff(per_session=2)
    session = a_transaction()
    assert costs.running([session.pk]) == {session.pk: Decimal("2.00")}
    assert costs.cost(session) == Decimal("2.00")
    session.refresh_from_db()
    assert session.total_cost is None


def test_the_most_specific_tariff_applies():
    tag, charger, member = a_tag(), a_charger(), a_charger()
    group = ChargerGroup.objects.create(name="North")
    group.chargers.add(member)
    a_tariff("default", per_session=1)
    a_tariff("later default", per_session=9)
    a_tariff("place", per_session=2).chargers.add(charger)
    a_tariff("group", per_session=3).groups.add(group)
    a_tariff("tag", per_session=4).id_tags.add(tag)
    elsewhere = a_tariff("tag elsewhere", per_session=5)
    elsewhere.id_tags.add(tag)
    elsewhere.chargers.add(member)
    sessions = [
        (a_charger(), "X", 1),
        (charger, "X", 2),
        (member, "X", 3),
        (charger, "abc", 4),
        (member, "abc", 5),
    ]
    for where, id_tag, price in sessions:
        assert costs.cost(a_transaction(where, idTag=id_tag, connectorId=price)) == price


def test_a_correction_and_a_close_by_hand_are_priced(api):
    a_tariff(energy_per_kwh=1)
    session = stopped(a_transaction())
    path = f"/api/ocpp/transactions/{session.charger}/{session.pk}/"
    assert api.patch(path, {"meter_stop": 6000}, "application/json").json()["cost"] == "5.00"
    stale = a_transaction(a_charger())
    closed = api.post(f"/api/ocpp/transactions/{stale.charger}/{stale.pk}/close/").json()
    assert (closed["cost"], closed["currency"]) == ("0.00", "EUR")


def test_a_tariff_is_made_over_rest(api):
    charger, tag = a_charger(), a_tag()
    body = {"description": "Day", "currency": "EUR", "energy_per_kwh": "0.4900", "chargers": [charger.identity]}
    made = api.post("/api/ocpp/tariffs/", body | {"id_tags": [tag.pk]}, "application/json")
    assert made.status_code == 201
    assert {name: made.json()[name] for name in body} == body
    (listed,) = api.get("/api/ocpp/tariffs/?currency=EUR").json()["results"]
    assert (listed["per_session"], listed["id_tags"]) == ("0.0000", [tag.pk])


@pytest.mark.parametrize(
    "wrong", [{"currency": "Euro"}, {"per_minute": "-1"}, {"vat_percent": "101"}, {"chargers": ["GONE"]}]
)
def test_an_invalid_tariff_is_refused(api, wrong):
    body = {"description": "Day", "currency": "EUR"} | wrong
    answer = api.post("/api/ocpp/tariffs/", body, "application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, list(wrong))


# --- its text at the charger -------------------------------------------------------------------------


def message_at(charger):
    call = a_call(charger, "Authorize", idToken={"idToken": "ABC", "type": "ISO14443"})
    (answer,) = authorization.authorize([call])
    return answer["idTokenInfo"].get("personalMessage", {}).get("content")


def test_a_charger_that_can_show_it_gets_the_text_of_the_tariff():
    tag, able, other = a_tag(), a_charger(), a_charger()
    name = {"component": "TariffCostCtrlr", "variable": "Available", "instance": "Tariff"}
    Variable.objects.create(charger=able, value="true", **name)
    a_tariff(text="0.50 EUR/kWh")
    assert (message_at(able), message_at(other)) == ("0.50 EUR/kWh", None)
    tag.message = "Hello"
    tag.save()
    assert message_at(able) == "Hello"


def test_the_clock_of_the_session_counts():
    a_tariff(per_minute=1)
    session = a_transaction(timestamp=NOON)
    assert stopped(session).total_cost == Decimal("60.00")
