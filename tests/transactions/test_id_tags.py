"""Who may charge: unknown tags, limits, groups (OCPP 1.6 §3.10, §4.1, §4.8)."""

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


def test_an_unknown_tag_is_listed_once_whatever_its_case():
    charger = a_charger()
    for tag in ("VID:abc", "vid:ABC", "#FreeCharging"):
        tell(charger, "Authorize", idTag=tag)
    listed = {tag.id_tag: tag.presented for tag in UnknownIdTag.objects.all()}
    assert listed == {"VID:abc": 2, "#FreeCharging": 1}


def test_a_known_tag_is_not_listed():
    a_tag("KNOWN", status="Blocked")
    tell(a_charger(), "Authorize", idTag="known")
    assert not UnknownIdTag.objects.exists()


def test_a_tag_that_is_made_known_is_not_unknown_any_more():
    tell(a_charger(), "Authorize", idTag="abc")
    a_tag("ABC")
    assert not UnknownIdTag.objects.exists()


def test_an_unknown_tag_is_accepted_over_rest(api):
    start(a_charger())
    (row,) = api.get("/api/ocpp/unknown-id-tags/?id_tag=ABC").json()["results"]
    made = api.post(f"/api/ocpp/unknown-id-tags/{row['id']}/accept/")
    assert (made.status_code, made.json()["status"]) == (201, "Accepted")
    assert not UnknownIdTag.objects.exists() and IdTag.objects.get().id_tag == "ABC"
    assert api.post(f"/api/ocpp/unknown-id-tags/{row['id']}/accept/").status_code == 404


# --- limits ------------------------------------------------------------------------------------------


def test_a_tag_may_charge_anywhere_at_once_unless_it_has_a_limit():
    a_tag()
    assert {start(a_charger())["idTagInfo"]["status"] for _ in range(3)} == {"Accepted"}


def test_a_start_past_the_limit_is_told_so_and_kept():
    a_tag(concurrent_limit=1)
    first, second = a_transaction(), start(a_charger(), idTag="abc")
    assert second["idTagInfo"]["status"] == "ConcurrentTx" and second["transactionId"] > 0
    stop(first)
    assert start(a_charger())["idTagInfo"]["status"] == "Accepted"


def test_a_start_that_is_sent_again_does_not_count_itself():
    a_tag(concurrent_limit=1)
    charger = a_charger()
    assert [start(charger)["idTagInfo"]["status"] for _ in range(2)] == ["Accepted", "Accepted"]


def test_a_start_that_is_sent_again_keeps_its_verdict_though_the_tag_charges_elsewhere():
    a_tag(concurrent_limit=1)
    first = a_transaction()
    stop(first)
    a_transaction(a_charger())
    again = start(first.charger)
    assert (again["transactionId"], again["idTagInfo"]["status"]) == (first.pk, "Accepted")


def test_a_start_that_was_refused_stays_refused_when_it_is_sent_again():
    a_tag(concurrent_limit=1)
    first, refused = a_transaction(), a_charger()
    assert start(refused)["idTagInfo"]["status"] == "ConcurrentTx"
    stop(first)
    assert start(refused)["idTagInfo"]["status"] == "ConcurrentTx"


def test_what_the_start_supersedes_does_not_count():
    a_tag(concurrent_limit=1)
    stuck = a_transaction()
    assert start(stuck.charger, timestamp="2025-02-26T13:00:00Z")["idTagInfo"]["status"] == "Accepted"


def test_a_holder_at_the_limit_may_still_authorise():
    a_tag(concurrent_limit=1)
    transaction = a_transaction()
    assert tell(transaction.charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Accepted"


def test_a_limit_of_none_at_all():
    a_tag(concurrent_limit=0)
    assert start(a_charger())["idTagInfo"]["status"] == "ConcurrentTx"


# --- decided again -----------------------------------------------------------------------------------


def test_a_tag_blocked_since_it_was_authorised_is_told_so_at_the_start():
    tag, charger = a_tag(), a_charger()
    assert tell(charger, "Authorize", idTag="ABC")["idTagInfo"]["status"] == "Accepted"
    IdTag.objects.filter(pk=tag.pk).update(status="Blocked")
    assert start(charger)["idTagInfo"]["status"] == "Blocked"


# --- groups ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "other", "verdict"),
    [("G", "g", "Accepted"), ("G", "H", "Invalid"), ("", "", "Invalid"), ("G", "", "Invalid")],
)
def test_another_tag_may_stop_where_it_has_the_same_parent(owner, other, verdict):
    a_tag(parent_id_tag=owner)
    a_tag("OTHER", parent_id_tag=other)
    transaction = a_transaction()
    assert stop(transaction, idTag="OTHER")["idTagInfo"]["status"] == verdict
    transaction.refresh_from_db()
    assert (transaction.status, transaction.stop_id_tag) == ("Completed", "OTHER")


def test_the_own_tag_may_stop_whatever_its_case():
    a_tag()
    assert stop(a_transaction(), idTag="abc")["idTagInfo"]["status"] == "Accepted"


def test_a_blocked_tag_that_stops_is_told_that_it_is_blocked():
    a_tag(status="Blocked")
    assert stop(a_transaction(), idTag="ABC")["idTagInfo"]["status"] == "Blocked"


def test_spaces_of_tags_are_part_of_them_wherever_they_are_written(api):
    group = api.post("/api/ocpp/id-tags/", {"id_tag": "A ", "parent_id_tag": "G "}, "application/json").json()
    assert (group["id_tag"], group["parent_id_tag"]) == ("A ", "G ")
    place = {"charger_id": a_charger().charger_id, "connector_id": 1, "expiry_date": NOON}
    tags = {"id_tag": "A ", "parent_id_tag": "G "}
    reserved = api.post("/api/ocpp/reservations/", place | tags, "application/json").json()
    assert (reserved["id_tag"], reserved["parent_id_tag"]) == ("A ", "G ")
