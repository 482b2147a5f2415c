"""Batches and repeated commands, through real processes and in the database."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, User

from chargers.models import AuditEntry, ChargerGroup
from commands.models import Batch, BatchItem, ChargingProfile, Command
from commands.services import batches
from tests.support.builders import a_charger, a_command
from tests.support.live import an_id, eventually, until_connected

ACCEPTED = {"status": "Accepted"}
RESET = {"action": "Reset", "payload": {"type": "Soft"}}
PATH = "/api/ocpp/batches/"


def asked(live, chargers, **more):
    status, batch, headers = live.request("POST", PATH, RESET | {"chargers": chargers} | more)
    assert status == 202, batch
    assert headers["Location"] == batch["url"]
    return batch


def over(live, batch, seconds=30):
    return eventually(lambda: (shown := live.get(batch["url"]))["finished_at"] and shown, seconds)


def commands(live, batch, **wanted):
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    return {row["charger_id"]: row for row in live.get(f"{batch['url']}commands/?{query}")["results"]}


def test_each_charger_of_a_batch_has_its_own_outcome(live):
    with ExitStack() as stack:
        good, bad, silent = (
            stack.enter_context(live.charger(an_id(), Reset=answer))
            for answer in (ACCEPTED, {"status": "Rejected"}, None)
        )
        batch = asked(live, [good.identity, bad.identity, silent.identity], timeout=5)
        shown = over(live, batch)
    rows = commands(live, batch)
    assert rows[bad.identity]["result"] == {"status": "Rejected"}
    ends = [rows[charger.identity]["finished_at"] for charger in (good, bad, silent)]
    assert max(ends[:2]) < ends[2]  # the silent one delays no other
    assert (shown["progress"], shown["simulated"], shown["state"]) == (1.0, 1, "finished")
    assert shown["outcomes"] == {"answered": 2, "timed_out": 1}
    last = commands(live, batch, simulated="true")[silent.identity]
    assert last["result"] == ACCEPTED
    assert live.get(last["task_url"])["outcome"] == "timed_out"


def test_commands_of_a_batch_are_distributed_over_its_spread(live):
    with ExitStack() as stack:
        ids = [stack.enter_context(live.charger(an_id(), Reset=ACCEPTED)).identity for _ in range(3)]
        batch = asked(live, ids, spread_seconds=6)
        over(live, batch)
    rows = commands(live, batch)
    for row in rows.values():
        assert row["sent_at"] >= row["due_at"]
    due = [datetime.fromisoformat(rows[charger_id]["due_at"]) for charger_id in ids]
    assert [(later - due[0]).total_seconds() for later in due] == [0, 2, 4]


def test_a_cancelled_batch_ends_only_unsent_commands(live):
    with live.charger(an_id(), Reset=3) as slow, live.charger(an_id(), Reset=ACCEPTED) as never:
        before = live.ask(slow.identity, "ClearCache", {}, timeout=60)  # nobody answers: what follows is queued
        batch = asked(live, [slow.identity, never.identity], spread_seconds=3600)
        eventually(lambda: live.get(batch["url"])["states"]["queued"] == 1)
        assert live.request("POST", f"{batch['url']}cancel/")[0] == 200
        shown = over(live, batch)
        assert live.request("POST", f"{batch['url']}cancel/")[0] == 409
    assert (shown["state"], shown["states"]["cancelled"], shown["outcomes"]) == ("cancelled", 1, {"cancelled": 1})
    assert not never.received
    assert live.get(before["task_url"])["task_id"] == before["task_id"]


def test_an_absent_charger_is_not_connected_or_left_out(live):
    with live.charger(an_id(), Reset=ACCEPTED) as there, live.socket(away := an_id()):
        pass
    with live.charger(there.identity, Reset=ACCEPTED):
        until_connected(live, there.identity)
        both = asked(live, [there.identity, away], timeout=1)
        assert asked(live, [there.identity, away], only_connected=True)["total"] == 1
        assert over(live, both)["outcomes"] == {"answered": 1, "not_connected": 1}


def test_a_batch_is_completed_after_its_worker_was_killed(live):
    with ExitStack() as stack:
        chargers = [stack.enter_context(live.charger(an_id(), Reset=ACCEPTED)) for _ in range(12)]
        batch = asked(live, [charger.identity for charger in chargers], spread_seconds=4)
        eventually(lambda: live.get(batch["url"])["states"]["finished"] > 1)
        worker = next(child for child in live.stack.children if child.name.startswith("worker"))
        worker.process.kill()
        worker.process.wait()
        worker.start()
        worker.wait_until(lambda: worker.logged(" ready."))
        assert over(live, batch, 60)["outcomes"] == {"answered": 12}
    assert {len(charger.received) for charger in chargers} == {1}


def test_a_finished_command_is_retried_as_a_new_one(live):
    with live.charger(an_id(), Reset=ACCEPTED) as charger:
        first = live.finished(live.ask(charger.identity, "Reset", {"type": "Hard"}))
        status, second, _ = live.request("POST", f"{first['task_url']}retry/")
        assert (status, second["payload"]) == (202, {"type": "Hard"})
        assert second["task_id"] != first["task_id"]
        assert live.finished(second)["result"] == ACCEPTED


# --- in the database -------------------------------------------------------------------------


def post(api, path, body=None, **headers):
    answer = api.post(f"/api/ocpp/{path}", body or {}, "application/json", headers=headers)
    return answer.status_code, answer.json()


def a_batch(api, *chargers, **more):
    status, batch = post(api, "batches/", RESET | {"chargers": [str(charger) for charger in chargers]} | more)
    assert status == 202, batch
    return Batch.objects.get(pk=batch["id"])


@pytest.mark.django_db
def test_an_unfinished_command_is_not_retried(api):
    assert post(api, f"tasks/{a_command().task_id}/retry/")[0] == 409


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"chargers": ["505", "nobody"]}, "chargers"),
        ({"chargers": ["505"], "payload": {"type": "Weak"}}, "type"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"vendor": "nobody"}}, "filter"),
        ({"chargers": []}, "chargers"),
        ({"chargers": ["505"], "spred_seconds": 600}, "spred_seconds"),
    ],
)
def test_an_invalid_batch_is_refused_and_nothing_is_stored(api, body, field):
    a_charger("505")
    status, reply = post(api, "batches/", RESET | body)
    assert (status, list(reply["fields"])) == (400, [field])
    assert not Batch.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("order", [1, -1])
def test_each_charger_of_a_mixed_fleet_gets_the_intent_as_its_version_encodes_it(api, order):
    known, new, other = a_charger(ocpp_version="ocpp1.6"), a_charger(), a_charger(ocpp_version="ocpp2.0.1")
    listed = [str(charger) for charger in (known, new, other)][::order]
    status, shown = post(api, "batches/", {"intent": "reset", "payload": {"is_immediate": True}, "chargers": listed})
    assert (status, shown["intent"], shown["action"]) == (202, "reset", "")
    assert shown["payload"] == {"is_immediate": True}
    assert batches.release() == 3
    sent = {command.charger: (command.action, command.payload) for command in Command.objects.all()}
    hard = dict.fromkeys((known, new), ("Reset", {"type": "Hard"}))
    assert sent == hard | {other: ("Reset", {"type": "Immediate"})}


@pytest.mark.django_db
def test_an_action_of_one_version_is_refused_for_the_chargers_of_another(api):
    old, other = a_charger(), a_charger(ocpp_version="ocpp2.0.1")
    payload = {"key": "WifiPassword", "value": "Zq-s3cret"}
    batch = a_batch(api, other, old, action="ChangeConfiguration", payload=payload)
    assert batch.payload["value"] == "(hidden)"
    assert batches.release() == 2
    assert batch.items.get(charger=other).reason.endswith("which has no command ChangeConfiguration.")
    assert Command.objects.get().charger == old


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "version", "another"), [("Soft", "ocpp1.6", "ocpp2.0.1"), ("OnIdle", "ocpp2.0.1", "ocpp1.6")]
)
def test_a_payload_of_one_version_is_refused_for_the_chargers_of_another(api, kind, version, another):
    fits, other = a_charger(ocpp_version=version), a_charger(ocpp_version=another)
    batch = a_batch(api, other, fits, action="Reset", payload={"type": kind})
    assert batches.release() == 2
    reason = batch.items.get(charger=other).reason
    assert f"This is a payload of {version}, and the charger speaks {another}." in reason
    assert Command.objects.get().charger == fits


@pytest.mark.django_db
def test_a_payload_that_fits_every_version_goes_to_all(api):
    chargers = [a_charger(ocpp_version=version) for version in ("ocpp1.6", "ocpp2.0.1")]
    a_batch(api, *chargers, action="ClearCache", payload={})
    assert batches.release() == 2
    assert {command.ocpp_version for command in Command.objects.all()} == {"ocpp1.6", "ocpp2.0.1"}


@pytest.mark.django_db
@pytest.mark.parametrize("wanted", [RESET, {"action": "GetConfiguration"}])
def test_a_batch_that_no_version_of_its_chargers_can_express_is_refused(api, wanted):
    status, reply = post(api, "batches/", wanted | {"chargers": [str(a_charger(ocpp_version="ocpp2.0.1"))]})
    assert (status, "ocpp2.0.1" in reply["error"]) == (400, True)
    assert not Batch.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({}, "action"),
        (RESET | {"intent": "reset"}, "action"),
        ({"intent": "Reset"}, "intent"),
        ({"intent": "reset", "payload": {"is_immediate": 1}}, "is_immediate"),
        ({"intent": "unlock"}, "evse_id"),
        ({"intent": "start", "payload": {"id_tag": "A" * 21}}, "idTag"),
    ],
)
def test_an_invalid_intent_is_refused(api, wanted, field):
    status, reply = post(api, "batches/", wanted | {"chargers": [str(a_charger())]})
    assert (status, list(reply["fields"])) == (400, [field])
    assert not Batch.objects.exists()


@pytest.mark.django_db
def test_one_authorization_key_is_not_sent_to_many_chargers(api):
    body = {"action": "ChangeConfiguration", "chargers": [str(a_charger())]}
    body["payload"] = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
    assert post(api, "batches/", body)[0] == 400
    del body["payload"]["value"]
    assert post(api, "batches/", body)[0] == 202


@pytest.mark.django_db
def test_a_password_of_a_batch_is_masked_and_sent_in_plain(api):
    payload = {"key": "WifiPassword", "value": "Zq-s3cret"}
    batch = a_batch(api, a_charger(), action="ChangeConfiguration", payload=payload)
    batches.release()
    paths = [f"batches/{batch.pk}/", "batches/", f"batches/{batch.pk}/commands/", "commands/", "audit/"]
    shown = [api.get(f"/api/ocpp/{path}").content.decode() for path in paths]
    shown += [api.get(f"/batches/{batch.pk}/").content.decode(), api.get("/commands/").content.decode()]
    shown.append(api.get(f"/admin/commands/batch/{batch.pk}/change/").content.decode())
    assert "Zq-s3cret" not in "".join(shown)
    assert Command.objects.get().payload.opened() == payload


@pytest.mark.django_db
def test_the_mask_of_a_secret_is_refused_as_a_value(api):
    body = {"action": "ChangeConfiguration", "chargers": [str(a_charger())]}
    shown = {"payload": {"key": "WifiPassword", "value": "(hidden)"}}
    assert post(api, "batches/", body | shown)[0] == 400
    single = {"charger_id": body["chargers"][0], "action": "ChangeConfiguration", **shown}
    assert post(api, "commands/", single)[0] == 400


@pytest.mark.django_db
def test_a_batch_is_released_in_several_transactions(api):
    chargers = [a_charger() for _ in range(batches.MAX_PER_TRANSACTION + 1)]
    a_batch(api, *chargers, action="ChangeConfiguration", payload={"key": "AuthorizationKey"})
    assert (batches._release_some(), batches._release_some()) == (batches.MAX_PER_TRANSACTION, 1)


@pytest.mark.django_db
def test_a_repeated_idempotency_key_and_body_return_the_same_batch(api):
    body = RESET | {"chargers": [str(a_charger())]}
    first = post(api, "batches/", body, **{"Idempotency-Key": "a"})[1]["id"]
    assert post(api, "batches/", body, **{"Idempotency-Key": "a"})[1]["id"] == first
    for other in (body | {"note": "x"}, {"intent": "reset", "chargers": body["chargers"]}):
        assert post(api, "batches/", other, **{"Idempotency-Key": "a"})[0] == 409


@pytest.mark.django_db
def test_a_repeated_idempotency_key_needs_the_same_parameters_of_the_intent(api):
    body = {"intent": "reset", "chargers": [str(a_charger())]}
    first = post(api, "batches/", body, **{"Idempotency-Key": "a"})[1]["id"]
    assert post(api, "batches/", body, **{"Idempotency-Key": "a"})[1]["id"] == first
    other = body | {"payload": {"is_immediate": True}}
    assert post(api, "batches/", other, **{"Idempotency-Key": "a"})[0] == 409


@pytest.mark.django_db
def test_a_filter_combines_its_conditions(api):
    wanted = a_charger(vendor="V", firmware_version="1")
    a_charger(vendor="V", firmware_version="2"), a_charger(vendor="W", firmware_version="1")
    status, batch = post(api, "batches/", RESET | {"filter": {"vendor": "V", "firmware_version": "1"}})
    assert status == 202
    assert [item.charger for item in BatchItem.objects.filter(batch=batch["id"])] == [wanted]


@pytest.mark.django_db
def test_a_batch_contains_only_chargers_within_reach(client):
    ours, theirs = a_charger(), a_charger()
    bob = User.objects.create_user("bob")
    bob.groups.set(Group.objects.filter(name="Operators"))
    group = ChargerGroup.objects.create(name="North")
    group.chargers.set([ours]), group.users.set([bob])
    client.force_login(bob)
    assert post(client, "batches/", RESET | {"chargers": [str(theirs)]})[0] == 400
    assert post(client, "batches/", RESET | {"filter": {}})[1]["total"] == 1


@pytest.mark.django_db
def test_batches_of_others_are_not_found(api, client):
    batch = a_batch(api, a_charger())
    bob = User.objects.create_user("bob")
    bob.groups.set(Group.objects.filter(name="Operators"))
    client.force_login(bob)
    assert post(client, f"batches/{batch.pk}/cancel/")[0] == 404


@pytest.mark.django_db
def test_due_items_are_released_once(api):
    batch = a_batch(api, a_charger(), a_charger(), spread_seconds=600)
    assert (batches.release(), batches.release()) == (1, 0)
    assert Command.objects.get().requested_by == "alice"
    assert batch.counted()["states"] | {"waiting": 1, "queued": 1} == batch.counted()["states"]
    assert [entry.kind for entry in AuditEntry.objects.filter(action="submitted")] == ["batch"]


@pytest.mark.django_db
def test_a_refused_item_has_its_reason_and_delays_no_other(api):
    batch = a_batch(api, a_charger(registration_status="Rejected"), a_charger())
    assert batches.release() == 2
    assert batch.items.get(state="refused").reason and batch.counted()["states"]["queued"] == 1


@pytest.mark.django_db
@pytest.mark.parametrize("lost", [{"is_active": False}, {"is_superuser": False}])
def test_items_are_refused_after_their_user_lost_the_permission(api, lost):
    batch = a_batch(api, a_charger())
    User.objects.update(**lost)
    assert batches.release() == 1
    assert not Command.objects.exists()
    assert "may no longer send commands" in batch.items.get().reason


@pytest.mark.django_db
def test_an_error_of_one_item_delays_no_other(api):
    batch = a_batch(api, a_charger(), a_charger())
    [unreadable] = ChargingProfile.objects.bulk_create([ChargingProfile(description="d", profile=5)])
    request = {"connectorId": 1, "csChargingProfiles": {"chargingProfileId": unreadable.pk}}
    Batch.objects.filter(pk=batch.pk).update(action="SetChargingProfile", payload=request)
    assert batches.release() == 2
    assert batches.release() == 0
    assert batch.items.first().reason.startswith("An internal error")


@pytest.mark.django_db
def test_a_batch_with_a_later_start_waits(api):
    batch = a_batch(api, a_charger(), start_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert batches.release() == 0
    assert batch.state == "waiting"
