"""SendLocalList with tags only is completed with the stored data of the tags (OCPP 1.6 §5.15)."""

import json
from uuid import uuid4

from tests.support.live import an_id


def a_tag(live, **columns):
    id_tag = uuid4().hex[:20].upper()
    status, _, _ = live.request("POST", "/api/ocpp/id-tags/", {"id_tag": id_tag, **columns})
    assert status == 201
    return id_tag


def obeyed(live, entries, update_type="Full", **more):
    """Return (the list as received, the finished task, the version that the charger then has)."""
    with live.charger(charger_id := an_id(), SendLocalList={"status": "Accepted"}) as charger:
        payload = {"updateType": update_type, "localAuthorizationList": entries, **more}
        task = live.finished(live.ask(charger_id, "SendLocalList", payload))
        assert task["outcome"] == "answered"
        listed = json.loads(charger.received[0])[3]["localAuthorizationList"]
    held = live.get(f"/api/ocpp/local-lists/{charger_id}/")["entries"]
    return listed, task, held and {entry["idTag"]: entry["idTagInfo"] for entry in held}


def test_a_full_list_is_completed_with_the_data_of_its_tags(live):
    member = a_tag(live, parent_id_tag="GROUP", expiry_date="2099-01-01T00:00:00Z")
    blocked, own = a_tag(live, status="Blocked"), a_tag(live)
    entries = [{"idTag": member.lower()}, {"idTag": blocked}, {"idTag": own, "idTagInfo": {"status": "Expired"}}]
    listed, task, held = obeyed(live, entries)
    expected = {
        member.lower(): {"status": "Accepted", "parentIdTag": "GROUP", "expiryDate": "2099-01-01T00:00:00.000Z"},
        blocked: {"status": "Blocked"},
        own: {"status": "Expired"},
    }
    assert {entry["idTag"]: entry["idTagInfo"] for entry in listed} == expected == held
    assert task["warning"] == ""


def test_an_unknown_tag_is_sent_as_invalid_and_named_in_a_warning(live):
    unknown, known = uuid4().hex[:20], a_tag(live)
    listed, task, held = obeyed(live, [{"idTag": unknown}, {"idTag": known}])
    accepted, invalid = {"status": "Accepted"}, {"status": "Invalid"}
    assert listed == [{"idTag": unknown, "idTagInfo": invalid}, {"idTag": known, "idTagInfo": accepted}]
    assert held == {unknown: invalid, known: accepted}
    assert unknown in task["warning"]
    assert known not in task["warning"]


def test_a_tag_without_data_is_removed_by_a_differential_list(live):
    entries = [{"idTag": a_tag(live)}, {"idTag": a_tag(live), "idTagInfo": {"status": "Blocked"}}]
    assert obeyed(live, entries, "Differential", listVersion=2)[0] == entries
