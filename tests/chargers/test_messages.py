"""The message log: what passes is kept as each charger is switched, told to who watches, and holds up nobody."""

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import psycopg
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.urls import reverse
from websockets.exceptions import ConnectionClosed

from chargers import gateway, message_log, metrics
from chargers import live as listening
from chargers.models import Charger, ChargerGroup, Message
from chargers.models.messages import MAX_FRAME_LENGTH
from commands.housekeeping import keep_house
from tests.builders import a_charger
from tests.live import an_id, eventually, exchange

KEY = "0011223344556677889900aabbccddeeff001122"
COLUMNS = "direction, kind, action, message_id, is_error"
KEPT = f"SELECT {COLUMNS} FROM chargers_message m JOIN chargers_charger c ON c.id = m.charger_id "
LIST = "/api/ocpp/messages/"


def kept(live, charger_id, least=1):
    """What is kept of a charger, once there are `least` rows, as they passed."""
    statement = KEPT + "WHERE c.charger_id = %s ORDER BY at, m.id"
    return eventually(lambda: len(rows := live.rows(statement, charger_id)) >= least and rows)


def frames(live, charger_id):
    joined = "SELECT frame FROM chargers_message m JOIN chargers_charger c ON c.id = m.charger_id "
    return [frame for (frame,) in live.rows(joined + "WHERE c.charger_id = %s ORDER BY at", charger_id)]


def switched(live, level):
    """The id of a new charger with `level`."""
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id, "message_log": level})
    return charger_id


def switch(live, charger_id, level):
    assert live.request("PATCH", f"/api/ocpp/chargers/{charger_id}/", {"message_log": level})[0] == 200


# --- over real sockets -----------------------------------------------------------------------


def test_both_directions_are_kept_with_the_action_that_an_answer_answers(live):
    charger_id = switched(live, "all")
    with live.charger(charger_id, Reset={"status": "Accepted"}) as charger:
        task = live.finished(live.ask(charger_id, "Reset", {"type": "Soft"}))
        assert task["outcome"] == "answered"
        assert charger.received
    task_id = task["task_id"]
    assert kept(live, charger_id, 2) == [
        ("out", "call", "Reset", task_id, False),
        ("in", "result", "Reset", task_id, False),
    ]


def test_a_charger_that_is_not_switched_is_logged_as_the_setting_says(live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "Heartbeat", {})
        assert kept(live, charger_id, 2) == [
            ("in", "call", "Heartbeat", "1", False),
            ("out", "result", "Heartbeat", "1", False),
        ]


REFUSED = [
    ("in", "call", "Nonsense", "2", True),
    ("out", "error", "Nonsense", "2", True),
    ("in", "other", "", "", True),
    ("in", "other", "", "", True),
    ("in", "call", "Heartbeat", "3", True),
    ("out", "error", "Heartbeat", "3", True),
]


def bring_trouble(socket):
    exchange(socket, "1", "Heartbeat", {})
    exchange(socket, "2", "Nonsense", {})
    socket.send("hello")
    socket.send(b"[2]")
    exchange(socket, "3", "Heartbeat", "none")


def test_errors_are_what_was_refused_and_what_it_was_answered(live):
    charger_id = switched(live, "errors")
    with live.socket(charger_id) as socket:
        bring_trouble(socket)
        exchange(socket, "4", "Heartbeat", {})
        assert kept(live, charger_id, len(REFUSED)) == REFUSED


def test_all_is_what_was_refused_too(live):
    charger_id = switched(live, "all")
    with live.socket(charger_id) as socket:
        bring_trouble(socket)
        rows = kept(live, charger_id, len(REFUSED) + 2)
    assert rows[2:] == REFUSED and not rows[0][-1] and not rows[1][-1]


def test_nothing_is_kept_of_a_charger_that_is_switched_off(live):
    charger_id, other = switched(live, "off"), switched(live, "all")
    with live.socket(charger_id) as socket, live.socket(other) as beside:
        bring_trouble(socket)
        exchange(beside, "1", "Heartbeat", {})
        kept(live, other, 2)
    assert frames(live, charger_id) == []


def test_a_frame_that_closed_its_socket_is_told(live):
    charger_id = switched(live, "errors")
    with live.socket(charger_id) as socket:
        with pytest.raises(ConnectionClosed):
            socket.send("x" * (8 * 2**20 + 1))
            socket.recv(timeout=10)
        assert kept(live, charger_id) == [("in", "other", "", "", True)]
    assert frames(live, charger_id)[0].startswith("closed with 1009")


def test_a_connected_charger_is_switched_at_once(live):
    charger_id = switched(live, "off")
    with live.socket(charger_id) as socket:

        def is_kept():
            """Whether the next frame is."""
            message_id = an_id()
            exchange(socket, message_id, "Heartbeat", {})
            time.sleep(2 * message_log.PAUSE)
            return any(message_id in frame for frame in frames(live, charger_id))

        assert not is_kept()
        switch(live, charger_id, "all")
        eventually(is_kept)
        switch(live, charger_id, "errors")
        eventually(lambda: not is_kept())


def test_a_key_that_is_sent_or_told_is_masked(live):
    charger_id = switched(live, "all")
    told = {"configuration_key": [{"key": "AuthorizationKey", "readonly": False, "value": KEY}]}
    with live.charger(charger_id, ChangeConfiguration={"status": "Accepted"}, GetConfiguration=told):
        live.finished(live.ask(charger_id, "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}))
        live.finished(live.ask(charger_id, "GetConfiguration", {}))
    assert len(kept(live, charger_id, 4)) == 4
    assert not any(KEY in frame for frame in frames(live, charger_id))


def test_answers_keep_coming_while_the_log_can_not_be_written(live):
    charger_id = switched(live, "all")
    with live.socket(charger_id) as socket, psycopg.connect(live.database_url) as lock:
        lock.execute("LOCK TABLE chargers_message IN ACCESS EXCLUSIVE MODE")
        for number in range(200):
            assert exchange(socket, str(number), "Heartbeat", {})[0] == 3
            time.sleep(0.005)
        lock.rollback()
        assert len(kept(live, charger_id, 400)) == 400


def test_frames_are_told_live_while_somebody_watches_and_only_then(live):
    charger_id = switched(live, "off")
    with live.socket(charger_id) as socket:
        [(pk,)] = live.rows("SELECT id FROM chargers_charger WHERE charger_id = %s", charger_id)
        told, after = asyncio.run(_watched(Charger(pk=pk, charger_id=charger_id), socket))
    assert [(m["direction"], m["kind"], m["action"]) for m in told[:2]] == [
        ("in", "call", "DataTransfer"),
        ("out", "result", "DataTransfer"),
    ]
    assert KEY not in told[0]["frame"] and datetime.fromisoformat(told[0]["at"]).tzinfo
    assert {"before", after}.isdisjoint(message["message_id"] for message in told)
    assert frames(live, charger_id) == []


async def _watched(charger, socket):
    """(what is told, the message id of a frame that was not told any more)."""

    async def told_of(message_id):
        await asyncio.to_thread(exchange, socket, message_id, "DataTransfer", {"vendorId": "V", "data": f"pwd={KEY}"})
        return await listener.next(4 * message_log.PAUSE) or []

    async with listening.hub().listening(message_log.channel(charger.pk)) as listener:
        assert await told_of("before") == []
        await gateway.watch(charger, 3)
        ids = (str(number) for number in count())
        while len(told := await told_of(next(ids))) < 2:  # it may be watched from the answer on
            continue
        while more := await told_of(after := next(ids)):
            told += more
    return told, after


# --- the thread that writes ------------------------------------------------------------------


def a_frame(charger, text='[2,"1","Heartbeat",{}]', **known):
    said = {"kind": "call", "message_id": "1", "action": "Heartbeat", "is_error": False} | known
    return message_log.LoggedFrame(charger.pk, time.time(), "in", text, is_kept=True, is_watched=False, **said)


@pytest.mark.django_db(transaction=True)
def test_what_can_not_be_written_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(message_log, "MOST_WAITING", 10)
    charger, log, counted = (
        a_charger(),
        message_log.MessageLogWriter(),
        metrics.messages_dropped.labels("too_many")._value.get(),
    )
    with psycopg.connect(_database()) as lock:
        lock.execute("LOCK TABLE chargers_message IN ACCESS EXCLUSIVE MODE")
        log.put(a_frame(charger))
        eventually(lambda: not log.waiting)  # it is being written, and waits for the lock
        for _ in range(15):
            log.put(a_frame(charger))
        assert (log.written, log.dropped) == (0, 5)
        assert metrics.messages_dropped.labels("too_many")._value.get() - counted == 5
    eventually(lambda: log.written == 11)
    assert Message.objects.of(charger).count() == 11


@pytest.mark.django_db(transaction=True)
def test_long_frames_are_dropped_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(message_log, "MOST_TEXT", 1000)
    charger, log = a_charger(), message_log.MessageLogWriter()
    for _ in range(5):
        log.put(a_frame(charger, "x" * 600))
    eventually(lambda: log.written + log.dropped == 5)
    assert log.dropped >= 1


WAITS = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY chargers_message%'"


@pytest.mark.django_db(transaction=True)
def test_what_a_lost_connection_did_not_write_is_written_over_the_next():
    charger, log = a_charger(), message_log.MessageLogWriter()
    with psycopg.connect(_database()) as lock, psycopg.connect(_database(), autocommit=True) as other:
        lock.execute("LOCK TABLE chargers_message IN ACCESS EXCLUSIVE MODE")
        log.put(a_frame(charger))
        eventually(lambda: other.execute(f"SELECT pg_terminate_backend(pid) {WAITS}").fetchall())
    eventually(lambda: log.written == 1)
    assert log.dropped == 0 and Message.objects.of(charger).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "text", ['[2,"\\u0000","A\\tB\\n",{}]', "\0\\N\t\n", '[2,"' + "y" * 99 + '","x"]', "é" * 20_000]
)
def test_whatever_came_is_kept(text):
    charger, log = a_charger(), message_log.MessageLogWriter()
    log.put(a_frame(charger, text, kind="", message_id="", action=""))
    eventually(lambda: log.written == 1)
    message = Message.objects.get(charger=charger)
    assert 0 < len(message.frame) <= MAX_FRAME_LENGTH and len(message.message_id) <= 36


def _database():
    told = connection.get_connection_params()
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{told['dbname']}"


# --- kept for a time, and found --------------------------------------------------------------


def a_message(charger, **columns):
    said = {"direction": "in", "kind": "call", "action": "Heartbeat", "message_id": "1", "frame": '[2,"1"]'}
    return Message.objects.create(charger=charger, **{"at": datetime.now(UTC), "is_error": False} | said | columns)


def where(message):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM chargers_message WHERE id = %s", [message.pk])
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_messages_go_by_whole_days(settings):
    charger, now = a_charger(), datetime.now(UTC)
    keep_house()
    young = a_message(charger)
    assert where(young) == f"chargers_message_{now:%Y_%m_%d}"
    settings.OCPP_MESSAGES_RETENTION = 3
    assert keep_house(now + timedelta(days=3))["partitions of messages dropped"] == []
    assert keep_house(now + timedelta(days=4))["partitions of messages dropped"] == [
        f"chargers_message_{now:%Y_%m_%d}"
    ]
    assert not Message.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, "ABC"),
        ({"charger_id": "NEAR"}, "AB"),
        ({"charger_id": "NOBODY"}, ""),
        ({"charger_id": "NEAR", "direction": "out"}, "B"),
        ({"charger_id": "NEAR", "kind": "error"}, "B"),
        ({"charger_id": "NEAR", "action": "Reset"}, "B"),
        ({"charger_id": "NEAR", "message_id": "A"}, "A"),
        ({"charger_id": "NEAR", "search": "SOFT"}, "B"),
        ({"is_error": "true"}, "B"),
        ({"is_error": "true", "kind": "call"}, ""),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T12:00:00Z", "message_id": "A"}, "A"),
        ({"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z", "kind": "call"}, "A"),
        ({"until": "2026-01-02T00:00:00Z"}, "AB"),
    ],
)
def test_messages_are_found_over_rest(api, asked, found):
    near, far = a_charger("NEAR"), a_charger("FAR")
    a_message(near, message_id="A", at="2026-01-01T00:00:00Z")
    out = {"direction": "out", "kind": "error", "action": "Reset", "is_error": True, "frame": "soft"}
    a_message(near, message_id="B", at="2026-01-01T12:00:00Z", **out)
    a_message(far, message_id="C", at="2026-01-02T00:00:00Z")
    shown = api.get(LIST, asked).json()["results"]
    assert "".join(message["message_id"] for message in shown) == found[::-1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "asked",
    [{"search": "x"}, {"kind": "call", "is_error": "false"}, {"message_id": "A", "since": "2026-01-01T00:00:00Z"}],
)
def test_what_has_no_index_is_looked_for_in_a_part_only(api, asked):
    answer = api.get(LIST, asked)
    assert answer.status_code == 400 and "charger_id" in str(answer.json()["fields"])


@pytest.mark.django_db
def test_a_page_leads_to_the_next_and_a_made_up_cursor_nowhere(api):
    charger = a_charger()
    for number in range(5):
        a_message(charger, message_id=str(number), at=f"2026-01-01T00:00:0{number // 2}Z")
    seen, page = [], f"{LIST}?page_size=2"
    while page:
        answer = api.get(page).json()
        seen += [message["message_id"] for message in answer["results"]]
        page = answer["next"]
    assert seen == list("43210")
    for cursor in ("x", "cD14", "cD0yMDI2LTAxLTAx"):
        assert api.get(LIST, {"cursor": cursor}).status_code == 404


@pytest.mark.django_db
def test_only_messages_of_ones_chargers_are_shown(client):
    near, far = a_charger("NEAR"), a_charger("FAR")
    a_message(near), a_message(far)
    user = User.objects.create_user("bob")
    client.force_login(user)
    assert client.get(LIST).status_code == 403
    user.groups.add(Group.objects.get(name="Viewers"))
    group = ChargerGroup.objects.create(name="North")
    group.chargers.add(near), group.users.add(user)
    assert [message["charger_id"] for message in client.get(LIST).json()["results"]] == ["NEAR"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, 3),
        ({"q": "NEAR"}, 2),
        ({"q": "NEAR soft"}, 1),
        ({"q": "soft"}, 1),
        ({"kind": "call"}, 1),
        ({"is_error": 1}, 1),
    ],
)
def test_messages_are_found_in_the_admin(api, asked, found):
    near, far = a_charger("NEAR"), a_charger("FAR")
    a_message(near, kind="error", is_error=True, frame="Soft")
    a_message(near, at="2026-01-01T00:00:00Z", frame="old")
    a_message(far, frame="none")
    listed = api.get(reverse("admin:chargers_message_changelist"), asked)
    assert len(listed.context["cl"].result_list) == found


@pytest.mark.django_db
def test_each_way_to_find_messages_has_its_index():
    charger, others, now = a_charger(), [a_charger() for _ in range(20)], datetime.now(UTC)
    said = {"direction": "in", "kind": "call", "frame": "[]"}
    Message.objects.bulk_create(
        Message(charger=other, at=now - timedelta(minutes=n), is_error=n == 7, **said)
        for other in others
        for n in range(100)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chargers_message")
    recent = Message.objects.filter(at__gte=now - timedelta(minutes=1))
    ways = {
        "charger_id_at": Message.objects.of(charger),
        "_at_idx": recent,
        "_at_idx1": Message.objects.filter(is_error=True),
    }
    plans = {name: rows.order_by("-at", "-id")[:100].explain() for name, rows in ways.items()}
    assert [
        name
        for name, plan in plans.items()
        if f"chargers_message_default{'' if name[0] == '_' else '_'}{name}" not in plan
    ] == []
