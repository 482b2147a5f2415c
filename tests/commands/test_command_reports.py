"""Reports of commands: their totals equal the counts of the rows, also after these were deleted."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from commands.models import Batch, Command, CommandDayTotal, CommandMonthTotal, DeletedCommands, StaleCommandDay
from commands.models.command_totals import COUNTS
from commands.services import batches, maintenance
from commands.services.command_totals import COMMANDS, merge_deleted
from tests.support.builders import a_charger, a_command
from tests.support.sessions import a_site

pytestmark = pytest.mark.django_db
REPORT = "/api/ocpp/reports/commands/"
OCTOBER = {"from": "2025-10-01", "to": "2025-10-31"}  # summer time ends in Berlin on the 26th
BERLIN = ZoneInfo("Europe/Berlin")


def sent(charger, at, action="Reset", outcome="answered", response=None, **columns):
    """A finished command that was submitted `at`; an answer is Accepted unless `response` says otherwise."""
    if outcome == "answered":
        columns["response"] = {"status": "Accepted"} if response is None else response
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return a_command(charger, action, state="finished", outcome=outcome, created_at=at, **columns)


def report(api, **query):
    answer = api.get(REPORT, OCTOBER | query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def by(api, group_by, member="commands", **query):
    name = {"site": "site_name", "charger": "charger_id"}.get(group_by, group_by)
    return {row[name]: row[member] for row in report(api, group_by=group_by, **query)["results"]}


def test_every_command_is_counted_by_how_it_ended(api):
    charger = a_charger()
    for outcome in ("call_error", "invalid_response", "failed", "timed_out", "connection_lost", "not_connected"):
        sent(charger, "2025-10-02T12:00:00Z", outcome=outcome, simulated=outcome == "timed_out")
    sent(charger, "2025-10-02T12:00:00Z", outcome="cancelled")
    sent(charger, "2025-10-02T12:00:00Z", confirmation="confirmed")
    sent(charger, "2025-10-02T12:00:00Z", confirmation="confirmed", response={"status": "Scheduled"})
    sent(charger, "2025-10-02T12:00:00Z", confirmation="not_seen", response={"configurationKey": []})
    sent(charger, "2025-10-02T12:00:00Z", response={"status": "Rejected"})
    a_command(charger, created_at=datetime(2025, 10, 2, 12, tzinfo=UTC))  # under way
    assert report(api)["totals"] == {
        "commands": 11, "accepted": 3, "refused": 1, "failed": 3, "timed_out": 2, "not_connected": 1, "cancelled": 1,
        "simulated": 1, "confirmed": 2, "not_seen": 1, "success_percent": "30.00", "confirmed_percent": "66.67",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("response", "accepted"),
    [
        ({"setVariableResult": [{"attributeStatus": "Accepted"}, {"attributeStatus": "RebootRequired"}]}, 1),
        ({"setVariableResult": [{"attributeStatus": "Accepted"}, {"attributeStatus": "Rejected"}]}, 0),
        ({"status": 7, "list": ["attributeStatus"]}, 0),
        ({"status": None}, 1),
        ({"setVariableResult": [{"attributeStatus": None}, {"attributeStatus": False}]}, 0),
        ([{"status": "Rejected"}], 1),
        ({}, 1),
    ],
)
def test_the_statuses_of_an_answer(api, response, accepted):
    charger = a_charger()
    command = sent(charger, "2025-10-02T12:00:00Z", response=response)
    assert report(api)["totals"]["accepted"] == accepted
    batch = Batch.objects.create(action="Reset", payload={}, chosen={}, total=1, start_at=command.created_at)
    batch.items.create(charger=charger, command=command, state="created", due_at=command.created_at)
    assert list(batches.failed(batch)) == ([] if accepted else [charger.identity])


def test_a_command_counts_on_the_local_day_of_its_submission(api):
    charger = a_charger("A", site=a_site())
    for at in ("2025-10-25T21:59:59Z", "2025-10-25T22:00:00Z", "2025-10-26T22:59:59Z", "2025-10-26T23:00:00Z"):
        sent(charger, at)
    assert by(api, "day") == {"2025-10-25": 1, "2025-10-26": 2, "2025-10-27": 1}
    assert report(api)["time_zone"] == "Europe/Berlin"


def test_the_groups_and_filters_of_a_report(api):
    north, south = a_site("North"), a_site("South")
    a, b, loose = a_charger("A", site=north), a_charger("B", site=south), a_charger("C")
    sent(a, "2025-10-01T12:00:00Z", "Reset")
    sent(b, "2025-10-02T12:00:00Z", "Reset", "timed_out")
    sent(b, "2025-11-02T12:00:00Z", "ClearCache")
    sent(loose, "2025-10-02T12:00:00Z", "ClearCache")
    period = {"to": "2025-11-30"}
    assert by(api, "site", **period) == {"North": 1, "South": 2, None: 1}
    assert by(api, "charger", "accepted", **period) == {"A": 1, "B": 1, "C": 1}
    assert by(api, "action", "success_percent", **period) == {"ClearCache": "100.00", "Reset": "50.00"}
    assert by(api, "month", **period) == {"2025-10": 3, "2025-11": 1}
    assert by(api, "charger", action="Reset", **period) == {"A": 1, "B": 1}
    assert by(api, "day", action="Reset", site="South", **period) == {"2025-10-02": 1}
    assert by(api, "action", charger_id="B", **period) == {"ClearCache": 1, "Reset": 1}
    assert report(api, site="Nowhere", **period)["totals"]["success_percent"] is None
    assert api.get(REPORT, {"group_by": "id_tag"}).status_code == 400
    assert api.get(REPORT, {"id_tag": "X"}).status_code == 400


def test_only_chargers_within_reach_are_counted(api):
    near, far = a_charger("N", site=a_site("Near")), a_charger("F", site=a_site("Far"))
    for charger in (near, far):
        sent(charger, "2025-10-02T12:00:00Z")
    bob = User.objects.create_user("bob")
    bob.groups.set(Group.objects.filter(name="Viewers"))
    near.site.users.add(bob)
    client = Client()
    client.force_login(bob)
    assert by(client, "charger") == {"N": 1}
    assert report(client, charger_id="F")["totals"]["commands"] == 0
    bob.groups.clear()
    assert client.get(REPORT).status_code == 403


def test_a_command_is_counted_when_it_finishes_and_when_its_effect_is_seen(api):
    command = a_command(created_at=datetime(2025, 10, 2, 12, tzinfo=UTC))
    one = Command.objects.filter(pk=command.pk)
    assert report(api)["totals"]["commands"] == 0
    one.update(state="sent")
    one.update(state="finished", outcome="answered", response={}, confirmation="pending")
    assert report(api)["totals"]["accepted"] == 1
    one.update(progress=[{"status": "Installed"}])
    assert not StaleCommandDay.objects.exists()
    one.update(confirmation="confirmed")
    assert report(api)["totals"]["confirmed"] == 1


def test_deleted_commands_stay_counted_in_the_zone_of_their_site(api, settings):
    settings.OCPP_COMMANDS_RETENTION = 30
    charger = a_charger("A", site=a_site("Kathmandu", "Asia/Kathmandu"))  # 5:45 before UTC
    for at in ("2025-10-02T18:14:59Z", "2025-10-02T18:15:00Z", "2025-10-02T18:29:00Z"):
        sent(charger, at, confirmation="confirmed")
    maintenance.maintain()
    assert not Command.objects.exists()
    assert by(api, "day", "confirmed") == {"2025-10-02": 1, "2025-10-03": 2}
    charger.site.time_zone = "UTC"
    charger.site.save()
    assert by(api, "day") == {"2025-10-02": 3}
    charger.site = a_site("Tokyo", "Asia/Tokyo")
    charger.save()
    assert by(api, "day") == {"2025-10-03": 3}


def test_counts_of_deleted_commands_are_merged_to_one_row_a_quarter(api, monkeypatch):
    monkeypatch.setattr("commands.services.command_totals.MAX_ROWS_PER_TRANSACTION", 2)
    charger = a_charger("A", site=a_site())

    def delete(*times, **columns):
        for at in times:
            sent(charger, f"2025-10-02T{at}Z", **columns)
            Command.objects.all().delete()

    delete("12:00:00", "12:07:00", "12:14:59", confirmation="confirmed")
    delete("12:15:00", outcome="timed_out")
    delete("12:00:00", action="ClearCache")
    before = report(api, group_by="day")
    assert maintenance.maintain()["counts of deleted commands merged"] == 5
    assert DeletedCommands.objects.count() == 3
    delete("12:01:00")
    assert maintenance.maintain()["counts of deleted commands merged"] == 1
    assert maintenance.maintain()["counts of deleted commands merged"] == 0
    rows = DeletedCommands.objects.values_list("action", "quarter__minute", "commands", "confirmed", "timed_out")
    assert set(rows) == {("Reset", 0, 4, 3, 0), ("Reset", 15, 1, 0, 1), ("ClearCache", 0, 1, 0, 0)}
    totals = before["totals"] | {"commands": 6, "accepted": 5, "success_percent": "83.33"}
    assert report(api, group_by="day")["totals"] == totals
    charger.site.time_zone = "Asia/Tokyo"
    charger.site.save()
    assert report(api, group_by="day")["totals"] == totals


def test_the_counts_of_a_charger_are_deleted_with_it(api):
    charger = a_charger()
    sent(charger, "2025-10-02T12:00:00Z")
    sent(charger, "2025-10-02T12:30:00Z")
    Command.objects.all().delete()
    report(api)
    sent(charger, "2025-10-02T13:30:00Z")
    Command.objects.all().delete()
    assert api.delete(f"/api/ocpp/chargers/{charger.identity}/").status_code == 204
    maintenance.maintain()
    for model in (DeletedCommands, CommandDayTotal, CommandMonthTotal, StaleCommandDay):
        assert not model.objects.exists(), model


def stored():
    days = CommandDayTotal.objects.values_list("day", "charger", "action", *COUNTS)
    months = CommandMonthTotal.objects.values_list("month", "charger", "action", *COUNTS)
    return set(days), set(months)


@pytest.mark.parametrize("seed", range(2))
def test_totals_equal_the_counts_of_the_rows(api, settings, seed):
    """While summer time ends, chargers move between sites and commands are deleted."""
    settings.TIME_ZONE_DISPLAY = "Europe/Berlin"
    chance = random.Random(seed)
    sites = [a_site("B"), a_site("L", "America/Los_Angeles"), a_site("N", "Asia/Kathmandu"), None]
    chargers = [a_charger(f"C{seed}-{n}", site=site) for n, site in enumerate(sites)]
    begin, known = datetime(2025, 10, 24, tzinfo=UTC), []
    for _ in range(80):
        at = begin + timedelta(seconds=chance.randrange(0, 9 * 86400))
        outcome = chance.choice(["answered", "answered", "timed_out", "cancelled"])
        status = chance.choice(["Accepted", "Rejected"])
        charger, action = chance.choice(chargers), chance.choice(["Reset", "ClearCache"])
        sent(charger, at, action, outcome, {"status": status})
        known.append((charger, at, action, outcome == "answered" and status == "Accepted"))
        match chance.randrange(6):
            case 0:
                charger.site = chance.choice(sites)
                charger.save()
            case 1:
                Command.objects.filter(created_at__lt=at).delete()
            case 2:
                COMMANDS.update()
                merge_deleted()
    assert DeletedCommands.objects.exists()

    def day(charger, at):
        return at.astimezone(charger.site.time_zone if charger.site else BERLIN).date()

    groups = {
        "day": lambda charger, at, action: str(day(charger, at)),
        "month": lambda charger, at, action: f"{day(charger, at):%Y-%m}",
        "charger": lambda charger, at, action: charger.identity,
        "site": lambda charger, at, action: charger.site and charger.site.name,
        "action": lambda charger, at, action: action,
    }
    for group_by, group in groups.items():
        counted = Counter(group(charger, at, action) for charger, at, action, _ in known)
        accepted = Counter(group(charger, at, action) for charger, at, action, is_accepted in known if is_accepted)
        assert by(api, group_by, to="2025-11-30") == counted, group_by
        assert +Counter(by(api, group_by, "accepted", to="2025-11-30")) == accepted, group_by
    incremental = stored()
    CommandDayTotal.objects.all().delete()
    CommandMonthTotal.objects.all().delete()
    out = StringIO()
    call_command("rebuild_reports", stdout=out, stderr=out)
    assert stored() == incremental
    assert "commands of 4 of 4 chargers" in out.getvalue()


@pytest.mark.parametrize("group_by", ["site", "charger", "action", "day", "month"])
def test_the_number_of_queries_does_not_depend_on_the_commands(api, group_by):
    counts = []
    for name in ("A", "B"):
        for n in range(3):
            sent(a_charger(f"{name}{n}", site=a_site(f"{name}{n}")), "2025-10-02T12:00:00Z", f"{name}{n}")
        COMMANDS.update()
        with CaptureQueriesContext(connection) as captured:
            report(api, group_by=group_by)
        counts.append(len(captured))
    assert counts[0] == counts[1] <= 7
