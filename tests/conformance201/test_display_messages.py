"""Display messages (O): the cases for a central system."""

from datetime import UTC, datetime, timedelta

from core.ocpp.timestamps import parse, to_rfc3339

TEXT = {"format": "UTF8", "language": "en", "content": "Closed at 20:00"}
UNKNOWN = {"status": "Unknown"}


def in_an_hour():
    return to_rfc3339(datetime.now(UTC) + timedelta(hours=1))


def set_message(station, answer=None, **members):
    """SetDisplayMessage: (message at the wire, task). Without an id the system gives one."""
    message = {"priority": "NormalCycle", "message": TEXT, **members}
    request, task = station.obeys("SetDisplayMessage", {"message": message}, answer)
    assert request["message"] == message | {"id": request["message"]["id"]}
    assert request["message"]["id"] > 0
    return request["message"], task


def stored(station):
    rows = station.live.get(f"/api/ocpp/display-messages/?charger_id={station.path}")["results"]
    return {row["message_id"]: row for row in rows}


def is_stored(station, message):
    row = stored(station)[message["id"]]
    assert (row["priority"], row["state"]) == (message["priority"], message.get("state", ""))
    assert (row["format"], row["language"], row["content"]) == tuple(message["message"].values())
    assert row["transaction_reference"] == message.get("transactionId", "")
    for column, member in (("start_at", "startDateTime"), ("end_at", "endDateTime")):
        assert parse(row[column] or "") == parse(message.get(member, ""))
    assert row["accepted_at"]


def get_messages(station, answer=None, **criteria):
    request, task = station.obeys("GetDisplayMessages", criteria, answer)
    assert request == criteria | {"requestId": request["requestId"]}
    return request["requestId"], task


def notify(station, request_id, *messages, **more):
    body = {"requestId": request_id, "messageInfo": [*messages], **more}
    assert station.call("NotifyDisplayMessages", **body) == {}


def is_refused(station, status, **members):
    message, task = set_message(station, {"status": status}, **members)
    assert task["result"] == {"status": status}
    assert message["id"] not in stored(station)


def charging(station):
    """Reusable state EnergyTransferStarted; the session."""
    station.authorized()
    session = station.session()
    session.start()
    return session


def test_tc_o_01_csms(station):
    """Set Display Message - Success"""
    message, _ = set_message(station, priority="InFront", state="Idle")
    is_stored(station, message)


def test_tc_o_02_csms(station):
    """Get all Display Messages - Success"""
    message, _ = set_message(station)
    request_id, task = get_messages(station)
    others = [message | {"id": message["id"] + n, "priority": "InFront"} for n in (1, 2)]
    notify(station, request_id, message, others[0], tbc=True)
    assert station.live.finished(task)["completed_at"] is None
    notify(station, request_id, others[1])
    task = station.live.finished(task)
    assert ([step["status"] for step in task["progress"]], task["report"]) == (
        ["Part", "Complete"],
        [message, *others],
    )
    assert {row["message_id"] for row in stored(station).values() if row["reported_at"]} == {
        each["id"] for each in (message, *others)
    }


def test_tc_o_03_csms(station):
    """Get all Display Messages - No DisplayMessages configured"""
    set_message(station)
    _, task = get_messages(station, UNKNOWN)
    assert task["completed_at"] == task["finished_at"]
    assert stored(station) == {}


def test_tc_o_04_csms(station):
    """Clear Display Message - Success"""
    message, _ = set_message(station)
    request, _ = station.obeys("ClearDisplayMessage", {"id": message["id"]})
    assert request == {"id": message["id"]}
    assert stored(station) == {}


def test_tc_o_05_csms(station):
    """Clear Display Message - Unknown Key"""
    message, _ = set_message(station)
    _, task = station.obeys("ClearDisplayMessage", {"id": message["id"] + 1}, UNKNOWN)
    assert task["result"] == UNKNOWN
    assert stored(station).keys() == {message["id"]}


def test_tc_o_06_csms(station):
    """Set Display Message - Specific transaction - Success"""
    session = charging(station)
    message, _ = set_message(station, transactionId=session.reference, priority="InFront")
    is_stored(station, message)
    assert not stored(station)[message["id"]]["has_ended"]
    session.end()
    assert stored(station)[message["id"]]["has_ended"]


def is_read(station, message, **criteria):
    """Only the messages that meet the criteria are compared with the report."""
    other, _ = set_message(station, priority="NormalCycle", state="Faulted")
    gone, _ = set_message(station, priority=message["priority"], state=message["state"])
    request_id, task = get_messages(station, **criteria)
    notify(station, request_id, message)
    assert station.live.finished(task)["completed_at"]
    kept = {other["id"], message["id"]} | ({gone["id"]} if "id" in criteria else set())
    assert stored(station).keys() == kept


def test_tc_o_07_csms(station):
    """Get a Specific Display Message - Id"""
    message, _ = set_message(station, priority="InFront", state="Charging")
    is_read(station, message, id=[message["id"]])


def test_tc_o_08_csms(station):
    """Get a Specific Display Message - Priority"""
    message, _ = set_message(station, priority="InFront", state="Charging")
    is_read(station, message, priority="InFront")


def test_tc_o_09_csms(station):
    """Get a Specific Display Message - State"""
    message, _ = set_message(station, priority="InFront", state="Charging")
    is_read(station, message, state="Charging")


def test_tc_o_10_csms(station):
    """Set Display Message - Specific transaction - UnknownTransaction"""
    charging(station)
    former = station.session(evse=2)
    former.start()
    former.end()
    _, task = set_message(station, {"status": "UnknownTransaction"}, transactionId=former.reference)
    assert "has ended" in task["warning"]
    assert stored(station) == {}
    body = {"message": {"priority": "InFront", "message": TEXT, "transactionId": "none-of-its-own"}}
    asked = {"charger_id": station.identity, "action": "SetDisplayMessage", "payload": body}
    status, refused, _ = station.live.request("POST", "/api/ocpp/commands/", asked)
    assert (status, list(refused["fields"])) == (400, ["message.transactionId"])


def test_tc_o_11_csms(station):
    """Get a Specific Display Message - Unknown parameters"""
    message, _ = set_message(station)
    _, task = get_messages(station, UNKNOWN, id=[message["id"] + 1])
    assert task["completed_at"] == task["finished_at"]
    assert stored(station).keys() == {message["id"]}


def test_tc_o_12_csms(station):
    """Set Display Message - Replace DisplayMessage"""
    message, _ = set_message(station)
    text = {"format": "ASCII", "language": "de", "content": "Bis 22 Uhr"}
    newer, _ = set_message(station, id=message["id"], priority="InFront", message=text)
    assert newer["id"] == message["id"]
    is_stored(station, newer)
    assert len(stored(station)) == 1


def test_tc_o_13_csms(station):
    """Set Display Message - Display message at StartTime"""
    message, _ = set_message(station, startDateTime=in_an_hour())
    is_stored(station, message)


def test_tc_o_14_csms(station):
    """Set Display Message - Remove message after EndTime"""
    message, _ = set_message(station, endDateTime=in_an_hour())
    is_stored(station, message)
    assert not stored(station)[message["id"]]["has_ended"]


def test_tc_o_17_csms(station):
    """Set Display Message - NotSupportedPriority"""
    is_refused(station, "NotSupportedPriority", priority="AlwaysFront")


def test_tc_o_18_csms(station):
    """Set Display Message - NotSupportedState"""
    is_refused(station, "NotSupportedState", state="Faulted")


def test_tc_o_19_csms(station):
    """Set Display Message - NotSupportedMessageFormat"""
    is_refused(station, "NotSupportedMessageFormat", message={"format": "HTML", "content": "<b>Closed</b>"})


def test_tc_o_25_csms(station):
    """Set Display Message - Send Specific state"""
    message, _ = set_message(station, state="Charging")
    is_stored(station, message)


def test_tc_o_26_csms(station):
    """Set Display Message - Rejected"""
    is_refused(station, "Rejected", priority="NormalCycle")


def test_tc_o_27_csms(station):
    """Set Display Message - Specific transaction - Display message at StartTime"""
    session = charging(station)
    message, _ = set_message(station, transactionId=session.reference, startDateTime=in_an_hour())
    is_stored(station, message)


def test_tc_o_28_csms(station):
    """Set Display Message - Specific transaction - Remove message after EndTime"""
    session = charging(station)
    message, _ = set_message(
        station, transactionId=session.reference, priority="InFront", state="Charging", endDateTime=in_an_hour()
    )
    is_stored(station, message)
