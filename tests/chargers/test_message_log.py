"""The message log stores frames by the level of each charger, publishes them to watchers, and delays no answer."""

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

from chargers import metrics
from chargers.models import Charger, ChargerGroup, Message
from chargers.models.messages import MAX_FRAME_LENGTH
from chargers.services import control
from commands.services.maintenance import maintain
from core.redis import listening as listening
from gateway import message_log
from tests.support.builders import a_charger
from tests.support.live import an_id, eventually, exchange

KEY = "0011223344556677889900aabbccddeeff001122"
COLUMNS = "direction, kind, action, message_id, is_error"
STORED = f"SELECT {COLUMNS} FROM chargers_message m JOIN chargers_charger c ON c.id = m.charger_id "
LIST = "/api/ocpp/messages/"


def stored(live, charger_id, least=1):
    """Return the stored rows of a charger in order of time, after waiting for `least` rows."""
    statement = STORED + "WHERE c.identity = %s ORDER BY at, m.id"
    return eventually(lambda: len(rows := live.rows(statement, charger_id)) >= least and rows)


def frames(live, charger_id):
    joined = "SELECT frame FROM chargers_message m JOIN chargers_charger c ON c.id = m.charger_id "
    return [frame for (frame,) in live.rows(joined + "WHERE c.identity = %s ORDER BY at", charger_id)]


def create_with_level(live, level):
    """Create a charger with `level`, and return its id."""
    charger_id = an_id()
    live.post("/api/ocpp/chargers/", {"charger_id": charger_id, "message_log": level})
    return charger_id


def set_level(live, charger_id, level):
    assert live.request("PATCH", f"/api/ocpp/chargers/{charger_id}/", {"message_log": level})[0] == 200


# --- over real sockets -----------------------------------------------------------------------


def test_both_directions_are_stored_and_an_answer_has_the_action_of_its_call(live):
    charger_id = create_with_level(live, "all")
    with live.charger(charger_id, Reset={"status": "Accepted"}) as charger:
        task = live.finished(live.ask(charger_id, "Reset", {"type": "Soft"}))
        assert task["outcome"] == "answered"
        assert charger.received
    task_id = task["task_id"]
    assert stored(live, charger_id, 2) == [
        ("out", "call", "Reset", task_id, False),
        ("in", "result", "Reset", task_id, False),
    ]


def test_a_charger_without_a_level_is_logged_by_the_setting(live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "Heartbeat", {})
        assert stored(live, charger_id, 2) == [
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


def send_refused_frames(socket):
    exchange(socket, "1", "Heartbeat", {})
    exchange(socket, "2", "Nonsense", {})
    socket.send("hello")
    socket.send(b"[2]")
    exchange(socket, "3", "Heartbeat", "none")


def test_level_errors_stores_refused_frames_and_their_answers(live):
    charger_id = create_with_level(live, "errors")
    with live.socket(charger_id) as socket:
        send_refused_frames(socket)
        exchange(socket, "4", "Heartbeat", {})
        assert stored(live, charger_id, len(REFUSED)) == REFUSED


def test_level_all_stores_refused_frames_too(live):
    charger_id = create_with_level(live, "all")
    with live.socket(charger_id) as socket:
        send_refused_frames(socket)
        rows = stored(live, charger_id, len(REFUSED) + 2)
    assert rows[2:] == REFUSED
    assert not rows[0][-1]
    assert not rows[1][-1]


def test_level_off_stores_nothing(live):
    charger_id, other = create_with_level(live, "off"), create_with_level(live, "all")
    with live.socket(charger_id) as socket, live.socket(other) as beside:
        send_refused_frames(socket)
        exchange(beside, "1", "Heartbeat", {})
        stored(live, other, 2)
    assert frames(live, charger_id) == []


def test_a_frame_that_closed_its_socket_is_stored(live):
    charger_id = create_with_level(live, "errors")
    with live.socket(charger_id) as socket:
        with pytest.raises(ConnectionClosed):
            socket.send("x" * (8 * 2**20 + 1))
            socket.recv(timeout=10)
        assert stored(live, charger_id) == [("in", "other", "", "", True)]
    assert frames(live, charger_id)[0].startswith("closed with 1009")


def test_a_new_level_applies_to_an_open_socket_at_once(live):
    charger_id = create_with_level(live, "off")
    with live.socket(charger_id) as socket:

        def stores_next():
            """Send a frame, and return whether it is stored."""
            message_id = an_id()
            exchange(socket, message_id, "Heartbeat", {})
            time.sleep(2 * message_log.BATCH_INTERVAL_S)
            return any(message_id in frame for frame in frames(live, charger_id))

        assert not stores_next()
        set_level(live, charger_id, "all")
        eventually(stores_next)
        set_level(live, charger_id, "errors")
        eventually(lambda: not stores_next())


def test_a_key_in_a_command_or_an_answer_is_masked(live):
    charger_id = create_with_level(live, "all")
    answer = {"configurationKey": [{"key": "AuthorizationKey", "readonly": False, "value": KEY}]}
    with live.charger(charger_id, ChangeConfiguration={"status": "Accepted"}, GetConfiguration=answer):
        live.finished(live.ask(charger_id, "ChangeConfiguration", {"key": "AuthorizationKey", "value": KEY}))
        live.finished(live.ask(charger_id, "GetConfiguration", {}))
    assert len(stored(live, charger_id, 4)) == 4
    assert not any(KEY in frame for frame in frames(live, charger_id))


def test_chargers_are_answered_while_the_log_cannot_be_written(live):
    charger_id = create_with_level(live, "all")
    with live.socket(charger_id) as socket, psycopg.connect(live.database_url) as lock:
        lock.execute("LOCK TABLE chargers_message IN ACCESS EXCLUSIVE MODE")
        for number in range(200):
            assert exchange(socket, str(number), "Heartbeat", {})[0] == 3
            time.sleep(0.005)
        lock.rollback()
        assert len(stored(live, charger_id, 400)) == 400


def test_frames_are_published_only_while_they_are_watched(live):
    charger_id = create_with_level(live, "off")
    with live.socket(charger_id) as socket:
        [(pk,)] = live.rows("SELECT id FROM chargers_charger WHERE identity = %s", charger_id)
        published, after = asyncio.run(_watched(Charger(pk=pk, identity=charger_id), socket))
    assert [(m["direction"], m["kind"], m["action"]) for m in published[:2]] == [
        ("in", "call", "DataTransfer"),
        ("out", "result", "DataTransfer"),
    ]
    assert KEY not in published[0]["frame"]
    assert datetime.fromisoformat(published[0]["at"]).tzinfo
    assert {"before", after}.isdisjoint(message["message_id"] for message in published)
    assert frames(live, charger_id) == []


async def _watched(charger, socket):
    """Return (the published frames, the message id of a frame that was not published any more)."""

    async def published_after(message_id):
        await asyncio.to_thread(exchange, socket, message_id, "DataTransfer", {"vendorId": "V", "data": f"pwd={KEY}"})
        return await listener.next(4 * message_log.BATCH_INTERVAL_S) or []

    async with listening.hub().listening(message_log.channel(charger.pk)) as listener:
        assert await published_after("before") == []
        await control.watch(charger, 3)
        ids = (str(number) for number in count())
        while len(published := await published_after(next(ids))) < 2:  # the watch may begin after the first frame
            continue
        while more := await published_after(after := next(ids)):
            published += more
    return published, after


# --- the thread that writes ------------------------------------------------------------------


def a_frame(charger, text='[2,"1","Heartbeat",{}]', **known):
    fields = {"kind": "call", "message_id": "1", "action": "Heartbeat", "is_error": False} | known
    return message_log.LoggedFrame(charger.pk, time.time(), "in", text, is_stored=True, is_watched=False, **fields)


@pytest.mark.django_db(transaction=True)
def test_frames_beyond_the_queue_are_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(message_log, "MAX_QUEUED_FRAMES", 10)
    charger, log, counted = (
        a_charger(),
        message_log.MessageLogWriter(),
        metrics.messages_dropped.labels("too_many")._value.get(),
    )
    with psycopg.connect(_database()) as lock:
        lock.execute("LOCK TABLE chargers_message IN ACCESS EXCLUSIVE MODE")
        log.record(a_frame(charger))
        eventually(lambda: not log.queue)  # it is being written, and waits for the lock
        for _ in range(15):
            log.record(a_frame(charger))
        assert (log.written, log.lost) == (0, 5)
        assert metrics.messages_dropped.labels("too_many")._value.get() - counted == 5
    eventually(lambda: log.written == 11)
    assert Message.objects.of(charger).count() == 11


@pytest.mark.django_db(transaction=True)
def test_long_frames_are_dropped_before_they_fill_the_memory(monkeypatch):
    monkeypatch.setattr(message_log, "MAX_QUEUED_CHARACTERS", 1000)
    charger, log = a_charger(), message_log.MessageLogWriter()
    for _ in range(5):
        log.record(a_frame(charger, "x" * 600))
    eventually(lambda: log.written + log.lost == 5)
    assert log.lost >= 1


WAITS = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY chargers_message%'"


@pytest.mark.django_db(transaction=True)
def test_frames_are_written_by_a_new_connection_after_one_was_lost():
    charger, log = a_charger(), message_log.MessageLogWriter()
    with psycopg.connect(_database()) as lock, psycopg.connect(_database(), autocommit=True) as other:
        lock.execute("LOCK TABLE chargers_message IN ACCESS EXCLUSIVE MODE")
        log.record(a_frame(charger))
        eventually(lambda: other.execute(f"SELECT pg_terminate_backend(pid) {WAITS}").fetchall())
    eventually(lambda: log.written == 1)
    assert log.lost == 0
    assert Message.objects.of(charger).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "text", ['[2,"\\u0000","A\\tB\\n",{}]', "\0\\N\t\n", '[2,"' + "y" * 99 + '","x"]', "é" * 20_000]
)
def test_any_text_is_stored(text):
    charger, log = a_charger(), message_log.MessageLogWriter()
    log.record(a_frame(charger, text, kind="", message_id="", action=""))
    eventually(lambda: log.written == 1)
    message = Message.objects.get(charger=charger)
    assert 0 < len(message.frame) <= MAX_FRAME_LENGTH
    assert len(message.message_id) <= 36


def _database():
    parameters = connection.get_connection_params()
    return f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{parameters['dbname']}"


# --- retention and search --------------------------------------------------------------------


def a_message(charger, **columns):
    default = {"direction": "in", "kind": "call", "action": "Heartbeat", "message_id": "1", "frame": '[2,"1"]'}
    default |= {"at": datetime.now(UTC), "is_error": False}
    return Message.objects.create(charger=charger, **default | columns)


def where(message):
    with connection.cursor() as cursor:
        cursor.execute("SELECT tableoid::regclass::text FROM chargers_message WHERE id = %s", [message.pk])
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_messages_are_deleted_by_whole_days(settings):
    charger, now = a_charger(), datetime.now(UTC)
    maintain()
    young = a_message(charger)
    assert where(young) == f"chargers_message_{now:%Y_%m_%d}"
    settings.OCPP_MESSAGES_RETENTION = 3
    assert maintain(now + timedelta(days=3))["partitions of messages dropped"] == []
    assert maintain(now + timedelta(days=4))["partitions of messages dropped"] == [f"chargers_message_{now:%Y_%m_%d}"]
    assert not Message.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "found"),
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
def test_messages_are_found_over_rest(api, query, found):
    near, far = a_charger("NEAR"), a_charger("FAR")
    a_message(near, message_id="A", at="2026-01-01T00:00:00Z")
    out = {"direction": "out", "kind": "error", "action": "Reset", "is_error": True, "frame": "soft"}
    a_message(near, message_id="B", at="2026-01-01T12:00:00Z", **out)
    a_message(far, message_id="C", at="2026-01-02T00:00:00Z")
    shown = api.get(LIST, query).json()["results"]
    assert "".join(message["message_id"] for message in shown) == found[::-1]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [{"search": "x"}, {"kind": "call", "is_error": "false"}, {"message_id": "A", "since": "2026-01-01T00:00:00Z"}],
)
def test_a_search_without_an_index_needs_a_charger(api, query):
    answer = api.get(LIST, query)
    assert answer.status_code == 400
    assert "charger_id" in str(answer.json()["fields"])


@pytest.mark.django_db
def test_a_page_links_to_the_next_and_an_invalid_cursor_is_not_found(api):
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
def test_only_messages_of_chargers_within_reach_are_listed(client):
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
    ("query", "found"),
    [
        ({}, 3),
        ({"q": "NEAR"}, 2),
        ({"q": "NEAR soft"}, 1),
        ({"q": "soft"}, 1),
        ({"kind": "call"}, 1),
        ({"is_error": 1}, 1),
    ],
)
def test_messages_are_found_in_the_admin(api, query, found):
    near, far = a_charger("NEAR"), a_charger("FAR")
    a_message(near, kind="error", is_error=True, frame="Soft")
    a_message(near, at="2026-01-01T00:00:00Z", frame="old")
    a_message(far, frame="none")
    listed = api.get(reverse("admin:chargers_message_changelist"), query)
    assert len(listed.context["cl"].result_list) == found


@pytest.mark.django_db
def test_each_search_for_messages_uses_its_index():
    charger, others, now = a_charger(), [a_charger() for _ in range(20)], datetime.now(UTC)
    columns = {"direction": "in", "kind": "call", "frame": "[]"}
    Message.objects.bulk_create(
        Message(charger=other, at=now - timedelta(minutes=n), is_error=n == 7, **columns)
        for other in others
        for n in range(100)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE chargers_message")
    recent = Message.objects.filter(at__gte=now - timedelta(minutes=1))
    searches = {
        "charger_id_at": Message.objects.of(charger),
        "_at_idx": recent,
        "_at_idx1": Message.objects.filter(is_error=True),
    }
    plans = {name: rows.order_by("-at", "-id")[:100].explain() for name, rows in searches.items()}
    assert [
        name
        for name, plan in plans.items()
        if f"chargers_message_default{'' if name[0] == '_' else '_'}{name}" not in plan
    ] == []
