"""The sweep restarts orphaned commands from the database."""

from datetime import UTC, datetime, timedelta

import pytest

from chargers.services import presence
from chargers.services.presence import Presence
from commands.models import FINISHED, SENT, Command
from commands.services import mailbox
from commands.services import sweep as sweeping
from commands.services.sweep import sweep
from core.redis.connections import sync_redis
from tests.support.builders import a_charger, a_command
from tests.support.live import an_id, eventually

RESET = {"type": "Soft"}


def old(command, seconds=4.5):
    created_at = datetime.now(UTC) - timedelta(seconds=seconds)
    Command.objects.filter(pk=command.pk).update(created_at=created_at)
    return command


@pytest.mark.django_db
def test_the_sweep_restarts_the_first_unfinished_command_of_each_charger():
    charger = a_charger()
    old(a_command(charger, state=FINISHED, outcome="answered"))
    present(charger)
    first, _behind, _absent = old(a_command(charger)), old(a_command(charger)), old(a_command())
    sent_to_absent = old(a_command(state=SENT))
    _young = a_command()
    assert {command.pk for command in sweep()} == {first.pk, sent_to_absent.pk}
    assert sweep() == []  # they wait in the broker


@pytest.mark.django_db
def test_the_sweep_ends_an_expired_command_to_an_absent_charger():
    first, behind = old(a_command(), 31), a_command()
    Command.objects.filter(pk=behind.pk).update(charger=first.charger, timeout=1)
    old(behind)
    assert {command.pk for command in sweep()} == {first.pk, behind.pk}


def test_a_failing_step_does_not_prevent_the_others():
    taken = []

    def fails():
        raise KeyError("no")

    sweeping._take_turn(sweeping.Turn(an_id(), 1, (fails, lambda: taken.append("next"))))
    assert taken == ["next"]


@pytest.mark.django_db
def test_a_command_with_a_lease_is_not_restarted():
    command = old(a_command())
    present(command.charger)
    leased = [mailbox.acquire_lease(command.task_id, command.charger.identity)[0] for _ in range(2)]
    assert leased == [True, False]
    assert sweep() == []


@pytest.mark.django_db
def test_an_expired_command_ends_although_it_is_not_the_first(settings):
    first = old(a_command())
    mailbox.acquire_lease(first.task_id, first.charger.identity)
    overdue = old(a_command(first.charger), settings.OCPP_QUEUE_TIMEOUT + 1)
    assert sweep() == [overdue]


def present(charger):
    sync_redis().set(presence.key(charger.identity), Presence("channel", "session", "ocpp1.6").dumps(), ex=60)


def the_worker(live):
    return next(child for child in live.stack.children if child.name.startswith("worker"))


def restart(live, worker):
    worker.start()
    worker.wait_until(lambda: worker.logged(" ready."))


def test_a_killed_worker_loses_no_command(live):
    worker = the_worker(live)
    with live.charger(an_id(), Reset=None) as silent, live.charger(an_id(), Reset=12) as slow:
        ends, answers = (live.ask(c.identity, "Reset", RESET, timeout=25) for c in (silent, slow))
        eventually(lambda: silent.received and slow.received)
        worker.process.kill()
        worker.process.wait()
        restart(live, worker)
        assert live.finished(answers)["outcome"] == "answered"
        ended = live.finished(ends)
        assert (ended["outcome"], ended["simulated"]) == ("timed_out", True)
        assert len(silent.received) == len(slow.received) == 1


def test_a_command_whose_task_the_broker_lost_is_carried_out(live):
    worker = the_worker(live)
    worker.stop()
    with live.charger(an_id(), Reset={"status": "Accepted"}) as charger:
        tasks = [live.ask(charger.identity, "Reset", RESET) for _ in range(2)]
        assert sync_redis().delete("celery", *(f"ocpp:{{{task['task_id']}}}:enqueued" for task in tasks))
        restart(live, worker)
        assert [live.finished(task)["outcome"] for task in tasks] == ["answered", "answered"]
