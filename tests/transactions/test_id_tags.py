"""Authorisation of tags: unknown tags, limits, groups (OCPP 1.6 §3.10, §4.1, §4.8)."""

import pytest

from tests.support.builders import NOON, a_charger, a_start, a_tag, a_transaction, tell
from transactions.models import IdTag, UnknownIdTag

pytestmark = pytest.mark.django_db(transaction=True)  # unknown tags are listed after the commit


def start(charger, **members):
    return tell(charger, "StartTransaction", **a_start(charger, **members))


def stop(transaction, **more):
    body = {"transactionId": transaction.pk, "meterStop": 2000, "timestamp": NOON, **more}
    return tell(transaction.charger, "StopTransaction", **body)


# --- unknown tags ------------------------------------------------------------------------------------


def test_an_unknown_tag_is_listed_once_in_any_case():
    charger = a_charger()
    for tag in ("VID:abc", "vid:ABC", "#FreeCharging"):
        tell(charger, "Authorize", idTag=tag)
    listed = {tag.id_tag: tag.presented for tag in UnknownIdTag.objects.all()}
    assert listed == {"VID:abc": 2, "#FreeCharging": 1}


def test_a_known_tag_is_not_listed():
    a_tag("KNOWN", status="Blocked")
    tell(a_charger(), "Authorize", idTag="known")
    assert not UnknownIdTag.objects.exists()


def test_a_created_tag_is_removed_from_the_unknown_ones():
    tell(a_charger(), "Authorize", idTag="abc")
    a_tag("ABC")
    assert not UnknownIdTag.objects.exists()


def test_an_unknown_tag_is_accepted_over_rest(api):
    start(a_charger())
    (row,) = api.get("/api/ocpp/unknown-id-tags/?id_tag=ABC").json()["results"]
    made = api.post(f"/api/ocpp/unknown-id-tags/{row['id']}/accept/")
    assert (made.status_code, made.json()["status"]) == (201, "Accepted")
    assert not UnknownIdTag.objects.exists()
    assert IdTag.objects.get().id_tag == "ABC"
    assert api.post(f"/api/ocpp/unknown-id-tags/{row['id']}/accept/").status_code == 404


# --- limits ------------------------------------------------------------------------------------------


def test_a_tag_without_a_limit_may_have_many_transactions():
    a_tag()
    assert {start(a_charger())["idTagInfo"]["status"] for _ in range(3)} == {"Accepted"}


def test_a_start_beyond_the_limit_is_answered_concurrent_tx_and_stored():
    a_tag(concurrent_limit=1)
    first, second = a_transaction(), start(a_charger(), idTag="abc")
    assert second["idTagInfo"]["status"] == "ConcurrentTx"
    assert second["transactionId"] > 0
    stop(first)
    assert start(a_charger())["idTagInfo"]["status"] == "Accepted"


def test_a_repeated_start_does_not_count_itself():
    a_tag(concurrent_limit=1)
    charger = a_charger()
    assert [start(charger)["idTagInfo"]["status"] for _ in range(2)] == ["Accepted", "Accepted"]


def test_a_repeated_start_keeps_its_status_while_the_tag_charges_elsewhere():
    a_tag(concurrent_limit=1)
    first = a_transaction()
    stop(first)
    a_transaction(a_charger())
    again = start(first.charger)
    assert (again["transactionId"], again["idTagInfo"]["status"]) == (first.pk, "Accepted")


def test_a_refused_start_stays_refused_when_repeated():
    a_tag(concurrent_limit=1)
    first, refused = a_transaction(), a_charger()
    assert start(refused)["idTagInfo"]["status"] == "ConcurrentTx"
    stop(first)
    assert start(refused)["idTagInfo"]["status"] == "ConcurrentTx"


def test_a_superseded_transaction_does_not_count_towards_the_limit():
    a_tag(concurrent_limit=1)
    stuck = a_transaction()
    assert start(stuck.charger, timestamp="2025-02-26T13:00:00Z")["idTagInfo"]["status"] == "Accepted"


def test_a_tag_at_its_limit_is_still_authorised():
    a_tag(concurrent_limit=1)
    transaction = a_transaction()
    assert tell(transaction.charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Accepted"


def test_a_limit_of_zero_refuses_every_start():
    a_tag(concurrent_limit=0)
    assert start(a_charger())["idTagInfo"]["status"] == "ConcurrentTx"


# --- decided again -----------------------------------------------------------------------------------


def test_a_tag_blocked_after_its_authorisation_is_blocked_at_the_start():
    tag, charger = a_tag(), a_charger()
    assert tell(charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Accepted"
    IdTag.objects.filter(pk=tag.pk).update(status="Blocked")
    assert start(charger)["idTagInfo"]["status"] == "Blocked"


# --- groups ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "other", "verdict"),
    [("G", "g", "Accepted"), ("G", "H", "Invalid"), ("", "", "Invalid"), ("G", "", "Invalid")],
)
def test_another_tag_of_the_same_parent_may_stop(owner, other, verdict):
    a_tag(parent_id_tag=owner)
    a_tag("OTHER", parent_id_tag=other)
    transaction = a_transaction()
    assert stop(transaction, idTag="OTHER")["idTagInfo"]["status"] == verdict
    transaction.refresh_from_db()
    assert (transaction.status, transaction.stop_id_tag) == ("Completed", "OTHER")


def test_the_own_tag_may_stop_in_any_case():
    a_tag()
    assert stop(a_transaction(), idTag="abc")["idTagInfo"]["status"] == "Accepted"


def test_a_stop_by_a_blocked_tag_is_answered_blocked():
    a_tag(status="Blocked")
    assert stop(a_transaction(), idTag="ABC")["idTagInfo"]["status"] == "Blocked"


def test_spaces_belong_to_a_tag(api):
    group = api.post("/api/ocpp/id-tags/", {"id_tag": "A ", "parent_id_tag": "G "}, "application/json").json()
    assert (group["id_tag"], group["parent_id_tag"]) == ("A ", "G ")
    place = {"charger_id": a_charger().identity, "connector_id": 1, "expiry_date": NOON}
    tags = {"id_tag": "A ", "parent_id_tag": "G "}
    reserved = api.post("/api/ocpp/reservations/", place | tags, "application/json").json()
    assert (reserved["id_tag"], reserved["parent_id_tag"]) == ("A ", "G ")
