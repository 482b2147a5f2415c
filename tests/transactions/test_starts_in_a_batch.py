"""Starts of OCPP 2.0.1 that are stored in one batch with others that are known."""

import pytest

from tests.support.builders import a_call, a_charger, a_tag, settle
from tests.support.events201 import an_event, send
from transactions.models import Transaction

pytestmark = pytest.mark.django_db
PLACE = {"evse": {"id": 1, "connectorId": 1}}


@pytest.fixture
def chargers():
    return [a_charger(ocpp_version="ocpp2.0.1") for _ in range(3)]


def a_start(reference, minutes=0, tag="ABC"):
    token = {"idToken": {"idToken": tag, "type": "ISO14443"}}
    return an_event("Started", 0, minutes, "Authorized", {"transactionId": reference}, **PLACE, **token)


def in_one_batch(*starts):
    answers = settle(*(a_call(charger, "TransactionEvent", **start) for charger, start in starts))
    return [answer["idTokenInfo"]["status"] for answer in answers]


def test_a_start_supersedes_an_open_transaction_although_another_start_is_repeated(chargers):
    a_tag("ABC")
    one, other, _ = chargers
    send(one, a_start("T-1"))
    send(other, a_start("U-1"))
    in_one_batch((one, a_start("T-2", 60)), (other, a_start("U-1")))
    former, latter = Transaction.objects.filter(charger=one).order_by("own_reference")
    assert (former.superseded_by, latter.superseded_by) == (latter, None)


def test_starts_count_once_towards_the_limit_of_a_token_although_another_start_is_repeated(chargers):
    a_tag("ABC", concurrent_limit=2)
    a_tag("DEF")
    one, other, third = chargers
    send(third, a_start("U-1", tag="DEF"))
    statuses = in_one_batch((one, a_start("T-1")), (other, a_start("T-1")), (third, a_start("U-1", tag="DEF")))
    assert statuses == ["Accepted"] * 3


@pytest.mark.parametrize(("limit", "status"), [(1, "ConcurrentTx"), (2, "Accepted")])
def test_a_repeated_start_counts_once_towards_the_limit_of_its_token(chargers, limit, status):
    a_tag("ABC", concurrent_limit=limit)
    one, other, _ = chargers
    send(one, a_start("T-1"))
    assert in_one_batch((one, a_start("T-1")), (other, a_start("T-1"))) == ["Accepted", status]
    assert Transaction.objects.get(charger=other).id_tag_status == status
