"""Schedules create a batch once, at an interval, or by crontab."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from chargers.models import AuditEntry
from commands.models import Batch, Schedule
from commands.services import schedules
from tests.support.builders import a_charger
from tests.support.live import an_id, eventually

BODY = {"action": "Reset", "payload": {"type": "Soft"}}


def soon(seconds=1):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def made(api, **columns):
    body = {"name": an_id(), **BODY, "filter": {}, **columns}
    answer = api.post("/api/ocpp/schedules/", body, "application/json")
    assert answer.status_code == 201, answer.json()
    return Schedule.objects.get(pk=answer.json()["id"])


def due(schedule, seconds=5):
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    Schedule.objects.filter(pk=schedule.pk).update(next_run_at=moment)
    return schedule


def test_a_one_time_schedule_creates_one_batch_at_its_time(live):
    with live.charger(an_id(), Reset={"status": "Accepted"}) as charger:
        body = {"name": an_id(), **BODY, "chargers": [charger.identity], "at": soon(2)}
        schedule = live.post("/api/ocpp/schedules/", body)
        path = f"/api/ocpp/batches/?schedule={schedule['id']}"
        eventually(lambda: any(batch["finished_at"] for batch in live.get(path)["results"]), 30)
        assert live.get(path)["count"] == 1
        assert len(charger.received) == 1
    shown = live.get(f"/api/ocpp/schedules/{schedule['id']}/")
    assert shown["next_run_at"] is None
    assert shown["last_run_at"] == schedule["at"]


def test_beat_has_the_periodic_tasks_of_the_settings(live):
    wanted = "SELECT name FROM django_celery_beat_periodictask WHERE name LIKE 'built-in: %%'"
    assert {name for (name,) in eventually(lambda: live.rows(wanted))} == set(settings.CELERY_BEAT_SCHEDULE)


@pytest.mark.django_db
def test_a_moment_creates_one_batch_however_often_it_runs(api):
    a_charger()
    schedule = due(made(api, every_seconds=60))
    assert schedules.run(schedule.pk)
    assert schedules.run(schedule.pk) is None
    assert schedules.run_overdue() == []
    assert Batch.objects.count() == 1
    schedule.refresh_from_db()
    assert schedule.next_run_at > datetime.now(UTC)


@pytest.mark.django_db
def test_a_schedule_runs_an_intent_until_it_is_changed_to_an_action(api):
    charger = a_charger()
    schedule = due(made(api, action="", intent="availability", payload={"is_operative": False}, every_seconds=60))
    batch = schedules.run(schedule.pk)
    assert (batch.intent, batch.action, batch.payload) == ("availability", "", {"is_operative": False, "evse_id": 0})
    path = f"/api/ocpp/schedules/{schedule.pk}/"
    assert api.patch(path, {"payload": {}}, "application/json").status_code == 400
    changed = api.patch(path, {"action": "ClearCache", "payload": {}}, "application/json").json()
    assert (changed["intent"], changed["action"]) == ("", "ClearCache")
    assert schedules.run(due(schedule).pk).items.get().charger == charger
    entry = AuditEntry.objects.get(action="changed", kind="schedule", before__intent="availability")
    assert (entry.after["intent"], entry.after["action"]) == ("", "ClearCache")


@pytest.mark.django_db
def test_a_missed_moment_is_run_later_unless_it_is_long_past(api):
    a_charger()
    due(made(api, every_seconds=60))
    late = due(made(api, every_seconds=60), 3600)
    assert len(schedules.run_overdue()) == 1
    late.refresh_from_db()
    assert "missed" in late.note
    assert late.next_run_at > datetime.now(UTC)


@pytest.mark.django_db
def test_a_clock_that_was_set_back_does_not_lengthen_an_interval(api):
    schedule, other = due(made(api, every_seconds=600), -4200), made(api, every_seconds=7200)
    planned = other.next_run_at
    assert schedules.run_overdue() == []
    schedule.refresh_from_db(), other.refresh_from_db()
    assert schedule.next_run_at <= datetime.now(UTC) + timedelta(seconds=600)
    assert other.next_run_at == planned


@pytest.mark.django_db
def test_a_crontab_uses_its_time_zone(api):
    schedule = made(api, crontab="30 3 * * *", timezone="Asia/Tokyo")
    assert (schedule.next_run_at.hour, schedule.next_run_at.minute) == (18, 30)
    assert datetime.now(UTC) < schedule.next_run_at < datetime.now(UTC) + timedelta(days=1, minutes=1)


@pytest.mark.django_db
@pytest.mark.parametrize("when", [{}, {"crontab": "x"}, {"crontab": "0 0 31 2 *"}, {"crontab": "61 * * * *"}])
def test_a_schedule_that_never_runs_is_refused(api, when):
    a_charger()
    body = {"name": "never", **BODY, "filter": {}, **when}
    assert api.post("/api/ocpp/schedules/", body, "application/json").status_code == 400


@pytest.mark.django_db
def test_a_secret_of_one_charger_is_refused_in_a_schedule(api):
    payload = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
    body = {"name": "key", "action": "ChangeConfiguration", "payload": payload, "filter": {}, "every_seconds": 60}
    assert api.post("/api/ocpp/schedules/", body, "application/json").status_code == 400
    assert not Schedule.objects.exists()


@pytest.mark.django_db
def test_a_schedule_stops_when_its_owner_loses_the_permission(client):
    a_charger()
    bob = User.objects.create_user("bob")
    bob.groups.set(Group.objects.filter(name__in=["Operators", "Every charger"]))
    client.force_login(bob)
    schedule = due(made(client, every_seconds=60))
    bob.groups.clear()
    assert schedules.run(schedule.pk) is None
    assert not Batch.objects.exists()
    schedule.refresh_from_db()
    assert "owner" in schedule.note


@pytest.mark.django_db
def test_switching_a_schedule_does_not_change_its_reach(api, client, django_user_model):
    schedule = made(api, every_seconds=60)
    client.force_login(carol := django_user_model.objects.create_superuser("carol"))
    path = f"/api/ocpp/schedules/{schedule.pk}/"
    for body, owner in (({"is_enabled": False, "name": "other"}, "alice"), ({"every_seconds": 90}, str(carol))):
        assert client.patch(path, body, "application/json").json()["requested_by"] == owner


@pytest.mark.django_db
def test_a_schedule_without_an_owner_belongs_to_the_user_who_saves_it(client, django_user_model):
    a_charger()
    bob = django_user_model.objects.create_superuser("bob")
    client.force_login(bob)
    schedule = due(made(client, every_seconds=60))
    django_user_model.objects.filter(pk=bob.pk).update(is_active=False)
    assert schedules.run(schedule.pk) is None
    client.force_login(django_user_model.objects.create_superuser("carol"))
    path = f"/api/ocpp/schedules/{schedule.pk}/"
    assert client.patch(path, {"is_enabled": True}, "application/json").json()["requested_by"] == "carol"
    assert schedules.run(due(schedule).pk)


@pytest.mark.django_db
def test_the_audit_entry_of_a_changed_secret_is_masked(api):
    a_charger()
    payload = {"key": "WifiPassword", "value": "Zq-one"}
    schedule = made(api, action="ChangeConfiguration", payload=payload, every_seconds=60)
    path = f"/api/ocpp/schedules/{schedule.pk}/"
    assert api.patch(path, {"payload": payload | {"value": "Zq-two"}}, "application/json").status_code == 200
    noted = AuditEntry.objects.filter(kind="schedule", action="changed").latest("pk")
    assert noted.after["payload"]["value"] == "(hidden)"


@pytest.mark.django_db
def test_a_failing_schedule_does_not_delay_others(api):
    a_charger()
    broken, other = due(made(api, every_seconds=60)), due(made(api, every_seconds=60))
    Schedule.objects.filter(pk=broken.pk).update(crontab="nonsense", every_seconds=None)
    with pytest.raises(ExceptionGroup):
        schedules.run_overdue()
    assert [batch.schedule for batch in Batch.objects.all()] == [other]
    broken.refresh_from_db()
    assert "See the log" in broken.note


@pytest.mark.django_db
def test_duplicate_crontabs_of_celery_beat_are_accepted(api):
    for _ in range(2):
        CrontabSchedule.objects.create(minute="30", hour="3")
    assert made(api, crontab="30 3 * * *").next_run_at


@pytest.mark.django_db
@pytest.mark.parametrize("at", ["2020-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_moment_too_far_away_is_refused(api, at):
    a_charger("505")
    whom = {"chargers": ["505"], "action": "Reset", "payload": {"type": "Soft"}, "spread_seconds": 60}
    for path, when in (("schedules", {"name": "far", "at": at}), ("batches", {"start_at": at})):
        answer = api.post(f"/api/ocpp/{path}/", whom | when, "application/json")
        assert answer.status_code == 400
        assert set(answer.json()["fields"]) <= {"at", "start_at"}


@pytest.mark.django_db
def test_the_periodic_task_follows_changes_of_its_schedule(api):
    schedule = made(api, every_seconds=60)
    task = PeriodicTask.objects.get(name=f"schedule {schedule.pk}")
    assert task.enabled and task.interval.every == 60
    path = f"/api/ocpp/schedules/{schedule.pk}/"
    assert api.patch(path, {"is_enabled": False}, "application/json").json()["next_run_at"] is None
    task.refresh_from_db()
    assert not task.enabled
    assert api.delete(path).status_code == 204
    assert not PeriodicTask.objects.filter(pk=task.pk).exists()


@pytest.mark.django_db
def test_the_periodic_task_has_the_time_of_its_schedule():
    schedule = Schedule(name="nightly", action="ClearCache", payload={}, chosen={"filter": {}}, crontab="30 3 * * *")
    schedule.save()
    assert schedule.periodic_task.schedule.hour == {3}
    assert schedule.periodic_task.enabled
