"""Events are recorded once, in order, listed and published."""

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
import redis
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction

from chargers.models import Charger, ChargerGroup, Event
from chargers.services import connections, events, presence, presence_reconciliation
from commands.models import Command
from commands.services.lifecycle import run
from commands.services.submission import submit
from core.ocpp.timestamps import to_rfc3339
from core.redis.connections import sync_redis
from tests.support.builders import NOON, a_call, a_charger, a_transaction, open_socket, settle, tell

pytestmark = pytest.mark.django_db
READING = {"timestamp": NOON, "sampledValue": [{"value": "1500"}, {"value": "7", "measurand": "SoC"}]}


def kinds(charger):
    return list(Event.objects.filter(charger=charger).order_by("pk").values_list("kind", flat=True))


def test_a_session_has_events_from_connecting_to_its_stop():
    charger = a_charger()
    open_socket(charger)
    tell(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Preparing")
    session = a_transaction(charger)
    tell(charger, "StopTransaction", transactionId=session.pk, meterStop=5000, timestamp=NOON)
    assert kinds(charger) == ["charger.online", "connector.status", "transaction.started", "transaction.stopped"]
    answer = Event.objects.get(charger=charger, kind="transaction.stopped").body
    assert (answer["transaction_id"], answer["energy_wh"]) == (session.pk, 4000)


def test_a_call_that_is_refused_leaves_no_event():
    charger = a_charger()
    with pytest.raises(Exception, match="connectorId"):
        settle_nonsense(charger)
    assert kinds(charger) == []


def settle_nonsense(charger):
    with events.batched_events():
        events.record_event("connector.status", charger.pk, connector_id=1)
        raise ValueError("connectorId makes no sense")


@pytest.mark.parametrize("join", ["nestloop", "hashjoin", "mergejoin"])
def test_events_are_numbered_in_the_order_of_recording_by_every_plan(join):
    chargers = [a_charger() for _ in range(5)]
    with connection.cursor() as cursor:
        for other in {"nestloop", "hashjoin", "mergejoin"} - {join}:
            cursor.execute(f"SET LOCAL enable_{other} = off")
    with transaction.atomic(), events.batched_events():
        for number in range(500):
            events.record_event("connector.status", chargers[-number % 5].pk, number=number)
    numbers = Event.objects.order_by("pk").values_list("body__number", flat=True)
    assert list(numbers) == list(range(500))


def test_a_late_status_causes_no_event():
    now = datetime.now(UTC)
    charger = a_charger(disconnected_at=now - timedelta(hours=3), connected_at=now - timedelta(hours=1))
    for timestamp in (to_rfc3339(now), to_rfc3339(now - timedelta(hours=2))):
        answer = {"connectorId": 1, "errorCode": "NoError", "status": "Faulted", "timestamp": timestamp}
        tell(charger, "StatusNotification", **answer)
    assert kinds(charger) == ["connector.status"]


def test_the_end_of_an_old_socket_causes_no_offline_event_after_a_reconnect():
    charger = a_charger()
    old = open_socket(charger)
    new = open_socket(charger)
    connections.close_sockets([connections.ConnectionClosed(charger.pk, old)])
    assert "charger.offline" not in kinds(charger)
    connections.close_sockets([connections.ConnectionClosed(charger.pk, new)])
    assert kinds(charger)[-1] == "charger.offline"


def test_a_killed_web_process_causes_offline_events_of_its_chargers():
    charger = a_charger()
    Charger.objects.filter(pk=charger.pk).update(connected_at=datetime.now(UTC) - timedelta(minutes=5))
    sync_redis().set(presence_reconciliation.CHECKS_KEY, 100)
    presence_reconciliation.mark_lost_offline()
    assert kinds(charger) == ["charger.offline"]
    assert not Charger.objects.get(pk=charger.pk).is_online


def test_a_charger_that_was_wrongly_marked_offline_gets_an_online_event():
    charger, ago = a_charger(), datetime.now(UTC) - timedelta(minutes=5)
    Charger.objects.filter(pk=charger.pk).update(connected_at=ago - timedelta(minutes=5), disconnected_at=ago)
    presence_reconciliation.mark_present_online()
    assert kinds(charger) == []
    sync_redis().set(presence.key(charger.identity), '["channel", "session", "ocpp1.6"]', ex=60)
    presence_reconciliation.mark_present_online()
    assert kinds(charger) == ["charger.online"]
    assert Charger.objects.get(pk=charger.pk).is_online


def test_an_emptied_redis_causes_no_offline_events():
    charger = a_charger()
    Charger.objects.filter(pk=charger.pk).update(connected_at=datetime.now(UTC) - timedelta(minutes=5))
    sync_redis().delete(presence_reconciliation.CHECKS_KEY)
    assert presence_reconciliation.mark_lost_offline() == 0
    assert kinds(charger) == []


def test_a_charger_with_an_open_socket_is_not_marked_offline():
    charger = a_charger()
    Charger.objects.filter(pk=charger.pk).update(connected_at=datetime.now(UTC) - timedelta(minutes=5))
    sync_redis().set(presence_reconciliation.CHECKS_KEY, 100)
    sync_redis().set(presence.key(charger.identity), '["channel", "session", "ocpp1.6"]', ex=60)
    presence_reconciliation.mark_lost_offline()
    assert kinds(charger) == []


@pytest.mark.django_db(transaction=True)
def test_the_event_of_a_simulated_result_is_marked():
    command = submit(a_charger(), "ClearCache", {})
    Command.objects.update(created_at=datetime.now(UTC) - timedelta(hours=1))
    run(command.task_id, command.charger.identity)
    answer = Event.objects.get(charger=command.charger, kind="command.finished").body
    assert (answer["task_id"], answer["simulated"]) == (command.task_id, True)
    assert answer["outcome"] != "answered"


def test_readings_are_published_live_and_stored_only_for_a_webhook(api):
    session = a_transaction()
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=[READING])
    assert "transaction.updated" not in kinds(session.charger)
    asked = {"name": "w", "url": "http://127.0.0.1:9/", "kinds": ["transaction.updated"]}
    assert api.post("/api/ocpp/webhooks/", asked, content_type="application/json").status_code == 201
    tell(session.charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=[READING])
    answer = Event.objects.get(charger=session.charger, kind="transaction.updated").body
    assert answer["soc_percent"] == 7
    assert answer["energy_wh"] == 500


def test_a_user_of_a_group_lists_only_events_of_its_chargers(client):
    seen, unseen = a_charger(), a_charger()
    open_socket(seen)
    open_socket(unseen)
    bob = User.objects.create_user("bob")
    bob.user_permissions.add(Permission.objects.get(codename="view_event"))
    group = ChargerGroup.objects.create(name="site")
    group.chargers.add(seen)
    group.users.add(bob)
    client.force_login(bob)
    answer = client.get("/api/ocpp/events/").json()["results"]
    assert {event["charger_id"] for event in answer} == {seen.identity}
    assert client.get(f"/api/ocpp/events/?after={answer[0]['id']}").json()["count"] == 0


def test_each_call_of_a_batch_has_its_event():
    charger = a_charger()
    settle(*(a_status(charger, number) for number in range(1, 6)))
    assert kinds(charger) == ["connector.status"] * 5


def a_status(charger, connector):
    return a_call(charger, "StatusNotification", connectorId=connector, errorCode="NoError", status="Available")


def test_live_events_are_serialised_only_for_listeners(monkeypatch):
    publish, of_this_thread = redis.Redis.publish, []

    def counted(*arguments, **options):
        if threading.current_thread() is threading.main_thread():  # others may publish events of earlier tests
            of_this_thread.append(arguments)
        return publish(*arguments, **options)

    monkeypatch.setattr(redis.Redis, "publish", counted)
    answer = [{"kind": "charger.online", "id": 1}]
    events.publish(answer)
    assert not of_this_thread
    with sync_redis().pubsub(ignore_subscribe_messages=True) as listening:
        listening.subscribe(events.CHANNEL)
        listening.get_message(timeout=5)
        events.publish(answer)
        assert json.loads(listening.get_message(timeout=5)["data"]) == answer
