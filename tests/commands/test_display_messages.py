"""Messages on displays: what a command warns of, and what is stored of them."""

from datetime import UTC, datetime, timedelta

import pytest

from chargers.models import Variable
from commands.actions.ocpp201.table import ACTIONS
from commands.models import Command, DisplayMessage, ReportPart
from commands.services import display_messages
from commands.services.display_messages import Criteria, Shown
from commands.services.lifecycle import _finish
from core.ocpp import schemas, tolerance
from core.ocpp.timestamps import to_rfc3339
from core.ocpp.versions import OCPP201
from tests.support.builders import a_call, a_charger, a_command, a_transaction, settle, tell
from transactions.models import Transaction

pytestmark = pytest.mark.django_db(transaction=True)
TEXT = {"format": "UTF8", "content": "Closed at 20:00"}
NOW = datetime.now(UTC)


@pytest.fixture
def charger():
    return a_charger(ocpp_version="ocpp2.0.1")


def warnings(charger, **members):
    """The warnings about a valid SetDisplayMessage."""
    payload = {"message": {"priority": "InFront", "message": TEXT, **members}}
    action = ACTIONS["SetDisplayMessage"]
    action.complete(payload, charger)
    OCPP201.schemas.check_request("SetDisplayMessage", payload, formats=True)
    return list(action.check(payload, charger))


def supports(charger, variable, value, component="DisplayMessageCtrlr"):
    Variable.objects.create(charger=charger, component=component, variable=variable, value=value)


def an_answer(charger, action, payload, answer):
    """The finished command, which `charger` has answered."""
    command = a_command(charger, action, payload, state="sent", sent_at=datetime.now(UTC))
    ACTIONS[action].submitted(command)
    return _finish(Command.objects.get(pk=command.pk), "answered", response=answer)


def accepted(charger, number, **members):
    message = {"id": number, "priority": "NormalCycle", "message": TEXT, **members}
    an_answer(charger, "SetDisplayMessage", {"message": message}, {"status": "Accepted"})


def read(charger, request_id=7, answer="Accepted", **criteria):
    return an_answer(charger, "GetDisplayMessages", {"requestId": request_id, **criteria}, {"status": answer})


def ids(charger):
    return set(charger.display_messages.values_list("message_id", flat=True))


def test_a_message_that_the_charger_can_show_needs_no_warning(charger):
    assert warnings(charger) == []
    supports(charger, "SupportedPriorities", "InFront, NormalCycle")
    supports(charger, "SupportedFormats", "UTF8,ASCII")
    supports(charger, "Enabled", "true")
    later = to_rfc3339(NOW + timedelta(hours=1))
    assert warnings(charger, state="Idle", endDateTime=later, display={"name": "DisplayMessageCtrlr"}) == []


@pytest.mark.parametrize(
    ("variable", "value", "members", "warned"),
    [
        ("SupportedPriorities", "AlwaysFront", {}, "without InFront"),
        ("SupportedStates", "Charging,Faulted", {"state": "Idle"}, "without Idle"),
        ("SupportedFormats", "ASCII", {}, "without UTF8"),
        ("Available", "false", {}, "shows no messages"),
        ("Enabled", "true", {"display": {"name": "Display"}}, "no component Display"),
    ],
)
def test_the_client_is_warned_of_what_the_charger_does_not_support(charger, variable, value, members, warned):
    supports(charger, variable, value)
    (warning,) = warnings(charger, **members)
    assert warned in warning


@pytest.mark.parametrize("times", [(None, -1), (2, 1), (1, 1)])
def test_the_client_is_warned_of_a_message_that_is_never_shown(charger, times):
    names = ("startDateTime", "endDateTime")
    members = {name: to_rfc3339(NOW + timedelta(hours=h)) for name, h in zip(names, times, strict=True) if h}
    assert "never shown" in warnings(charger, **members)[0]


def test_a_message_belongs_to_a_transaction_of_its_charger(charger):
    other, own = a_transaction(), a_transaction()
    Transaction.objects.filter(pk=own.pk).update(charger=charger, own_reference="a-uuid")
    assert warnings(charger, transactionId="a-uuid") == []
    for unknown in (str(other.pk), "none"):
        with pytest.raises(schemas.Violation) as violation:
            warnings(charger, transactionId=unknown)
        assert violation.value.field == "message.transactionId"
    Transaction.objects.filter(pk=own.pk).update(stop_received_at=NOW)
    assert "has ended" in warnings(charger, transactionId="a-uuid")[0]


def test_a_new_message_gets_an_id_that_its_charger_does_not_use(charger, monkeypatch):
    accepted(charger, 5)
    numbers = iter([5, 6])
    monkeypatch.setattr("commands.actions.ocpp201.display_messages.next_request_id", lambda: next(numbers))
    payload = {"message": {"priority": "InFront", "message": TEXT}}
    ACTIONS["SetDisplayMessage"].complete(payload, charger)
    assert payload["message"]["id"] == 6


def test_a_message_that_is_always_in_front_replaces_the_other_one(charger):
    for number, priority in enumerate(["AlwaysFront", "InFront", "AlwaysFront"]):
        accepted(charger, number, priority=priority)
    assert ids(charger) == {1, 2}


def test_a_whole_report_replaces_what_is_stored(charger):
    accepted(charger, 1)
    accepted(charger, 2)
    read(charger)
    reported = {"id": 2, "priority": "InFront", "message": TEXT | {"content": "Free today"}}
    for _ in range(2):  # a repetition changes nothing
        tell(charger, "NotifyDisplayMessages", requestId=7, messageInfo=[reported])
    assert ids(charger) == {2}
    row = DisplayMessage.objects.get()
    assert (row.priority, row.content, row.accepted_at is None) == ("InFront", "Free today", False)
    assert Command.objects.get(request_id=7).completed_at


def test_a_message_that_was_accepted_after_the_request_stays(charger):
    read(charger)
    accepted(charger, 1)
    tell(charger, "NotifyDisplayMessages", requestId=7, messageInfo=[{"id": 2, "priority": "", "message": TEXT}])
    assert ids(charger) == {1, 2}


def test_a_report_that_nobody_requested_deletes_nothing(charger):
    accepted(charger, 1)
    for more in ({}, {"requestId": 99}):
        tell(charger, "NotifyDisplayMessages", messageInfo=[{"id": 2}], **more)
    assert ids(charger) == {1, 2}
    assert ReportPart.objects.get().request_id == 99


def test_a_report_with_missing_and_unknown_members_is_stored():
    odd = {"id": 3, "priority": "Blinking", "message": {"content": "Hi"}}
    sent = {"messageInfo": [odd, {"id": 4}, {"priority": "InFront"}]}
    reading = tolerance.read_request(OCPP201, "NotifyDisplayMessages", sent)
    charger = a_charger(ocpp_version="ocpp2.0.1")
    tell(charger, "NotifyDisplayMessages", **reading.payload)
    rows = {row.message_id: (row.priority, row.format, row.content) for row in DisplayMessage.objects.all()}
    assert rows == {3: ("Blinking", "", "Hi"), 4: ("", "", "")}
    with pytest.raises(schemas.Violation):
        tolerance.read_request(OCPP201, "NotifyDisplayMessages", sent, lenient=False)


def test_a_charger_has_a_limited_number_of_messages(charger, monkeypatch):
    monkeypatch.setattr(display_messages, "MAX_MESSAGES", 2)
    call = a_call(charger, "NotifyDisplayMessages", messageInfo=[{"id": n} for n in range(4)])
    settle(call)
    assert call.findings == {("messageInfo", "out_of_range"): 2}
    tell(charger, "NotifyDisplayMessages", messageInfo=[{"id": 1, "state": "Idle"}, {"id": 9}])
    assert set(charger.display_messages.values_list("message_id", "state")) == {(0, ""), (1, "Idle")}


def test_only_messages_that_meet_every_criterion_are_deleted(charger):
    shown = [Shown(1, "InFront", "Idle"), Shown(2, "InFront", "Faulted"), Shown(3, "NormalCycle", "Idle")]
    display_messages.report([(charger.pk, shown)], {charger.pk: NOW})
    display_messages.remove(charger.pk, Criteria((1, 2), "InFront", "Idle"), NOW)
    assert ids(charger) == {2, 3}


def test_messages_are_listed_by_charger_and_column(api, charger):
    accepted(charger, 1, state="Idle", display={"name": "Display", "evse": {"id": 2}})
    accepted(a_charger(ocpp_version="ocpp2.0.1"), 2)
    (row,) = api.get(f"/api/ocpp/display-messages/?charger_id={charger}").json()["results"]
    assert (row["message_id"], row["component"], row["evse_id"], row["has_ended"]) == (1, "Display", 2, False)
    assert [r["message_id"] for r in api.get("/api/ocpp/display-messages/?state=Idle").json()["results"]] == [1]
    assert api.get("/api/ocpp/display-messages/?colour=red").status_code == 400
