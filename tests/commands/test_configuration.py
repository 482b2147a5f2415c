"""Changes of a charger by its answers to configuration commands (OCPP 1.6 §5.2, §5.3, §5.8, §5.10)."""

from base64 import b64encode

import pytest

from chargers.api.serializers.chargers import ChargerSerializer
from chargers.models import Charger
from chargers.services import keys
from commands.actions.ocpp16.table import ACTIONS
from commands.fields import Payload
from core.ocpp import schemas
from gateway import handshake
from gateway.credentials import HandshakeRequest
from tests.support.builders import a_charger, a_command, tell

pytestmark = pytest.mark.django_db


def answered(charger, action, payload, response):
    ACTIONS[action].answered(a_command(charger, action, payload, response=response))


def configuration(charger):
    return dict(charger.configuration.values_list("variable", "value"))


def read(charger, keys=None, unknown=(), **values):
    body = [{"key": key, "readonly": False, "value": value} for key, value in values.items()]
    payload = {"key": keys} if keys else {}
    answered(charger, "GetConfiguration", payload, {"configurationKey": body, "unknownKey": list(unknown)})
    return configuration(charger)


def test_a_complete_configuration_replaces_the_stored_one():
    charger = a_charger()
    assert read(charger, A="1", B="2") == {"A": "1", "B": "2"}
    assert read(charger, B="3", C="4") == {"B": "3", "C": "4"}


def test_a_partial_configuration_keeps_other_keys_and_deletes_unknown_ones():
    charger = a_charger()
    read(charger, A="1", B="2", C="3")
    assert read(charger, keys=["A", "B"], unknown=["B"], A="9") == {"A": "9", "C": "3"}


def test_a_reported_authorization_key_is_not_stored():
    assert read(a_charger(), AuthorizationKey="secret", A="1") == {"A": "1"}


def change(charger, status, key="A", value="9"):
    answered(charger, "ChangeConfiguration", {"key": key, "value": value}, {"status": status})
    return configuration(charger)


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_a_change_that_is_refused_changes_nothing(status):
    charger = a_charger()
    read(charger, A="1")
    assert change(charger, status) == {"A": "1"}


def test_a_change_that_needs_a_reboot_is_marked_until_the_boot():
    charger = a_charger()
    assert change(charger, "RebootRequired") == {"A": "9"}
    assert charger.configuration.get().reboot_required
    tell(charger, "BootNotification", chargePointVendor="V", chargePointModel="M")
    assert not charger.configuration.get().reboot_required


def scheduled(charger):
    return list(charger.connectors.values_list("scheduled_availability", flat=True))


def say(charger, status, connector=1):
    tell(charger, "StatusNotification", connectorId=connector, errorCode="NoError", status=status)


@pytest.mark.parametrize(("kind", "status"), [("Inoperative", "Unavailable"), ("Operative", "Available")])
def test_a_scheduled_availability_is_shown_until_it_takes_effect(kind, status):
    charger = a_charger()
    say(charger, "Charging" if kind == "Inoperative" else "Unavailable")
    payload = {"connectorId": 0, "type": kind}
    answered(charger, "ChangeAvailability", payload, {"status": "Rejected"})
    assert scheduled(charger) == [""]
    answered(charger, "ChangeAvailability", payload, {"status": "Scheduled"})
    assert scheduled(charger) == [kind]
    say(charger, status)
    assert scheduled(charger) == [""]


@pytest.mark.parametrize(("version", "known"), [(-1, 5), (0, 0), (7, 7)])
def test_the_list_version_is_the_reported_one(version, known):
    charger = a_charger(local_list_version=5)
    answered(charger, "GetLocalListVersion", {}, {"listVersion": version})
    assert Charger.objects.get().local_list_version == known


# --- the key for Basic auth --------------------------------------------------------------------------

K0, K1, K2 = ("0" * 32, "1" * 32, "2" * 32)
ROW = ACTIONS["ChangeConfiguration"]


def opens(charger, key):
    credentials = b64encode(f"{charger}:{key}".encode())
    (outcome,) = handshake.admit([HandshakeRequest(charger.identity, b"Basic " + credentials)])
    return isinstance(outcome, handshake.ConnectedCharger)


def ask_for_key(charger, value, key="AuthorizationKey", **columns):
    command = a_command(charger, "ChangeConfiguration", {"key": key, "value": value}, **columns)
    ROW.submitted(command)
    return command


def a_charger_with_key():
    return a_charger(authorization_key_hash=keys.hashed(K0))


def test_an_accepted_key_replaces_the_former_one_while_others_are_pending():
    charger = a_charger_with_key()
    first, _ = ask_for_key(charger, K1), ask_for_key(charger, K2)
    first.response = {"status": "Accepted"}
    ROW.answered(first)
    assert [opens(charger, key) for key in (K0, K1, K2)] == [False, True, True]


def test_a_key_whose_answer_was_lost_is_admitted_while_another_is_pending():
    charger = a_charger_with_key()
    for value in (K1, K2):
        ask_for_key(charger, value)
    assert opens(charger, K1)
    assert opens(charger, K2)
    assert not opens(charger, K0)
    assert not opens(charger, K1)


@pytest.mark.parametrize(
    "columns",
    [{"outcome": "call_error", "sent_at": "2026-01-01T00:00Z"}, {"outcome": "not_connected", "simulated": True}],
)
def test_a_key_that_was_refused_or_never_sent_is_not_admitted(columns):
    charger = a_charger_with_key()
    ROW.not_answered(ask_for_key(charger, K1, **columns))
    assert not opens(charger, K1)
    assert opens(charger, K0)


def test_the_old_key_is_valid_until_the_reboot():
    charger = a_charger_with_key()
    ROW.answered(ask_for_key(charger, K1, response={"status": "RebootRequired"}))
    assert opens(charger, K0)
    assert opens(charger, K1)
    assert not opens(charger, K0)


@pytest.mark.parametrize("name", ["AuthorizationKey", "authorizationkey", "AUTHORIZATIONKEY"])
def test_a_key_is_masked_under_any_spelling_of_its_name(name):
    charger = a_charger_with_key()
    command = ask_for_key(charger, K1, name, response={"status": "Accepted"})
    ROW.answered(command)
    assert opens(charger, K1)
    assert configuration(charger) == {}
    assert command.payload == {"key": name, "value": "(hidden)"}
    body = {"configurationKey": [{"key": name, "readonly": False, "value": K1}]}
    assert K1 not in str(Payload().hide_in(body))


def test_accepted_or_reported_passwords_are_not_stored():
    charger, rows = a_charger(), ACTIONS["GetConfiguration"]
    changed = ask_for_key(charger, "Zq", "WifiPassword", response={"status": "Accepted"})
    ROW.answered(changed)
    body = {"configurationKey": [{"key": "ApnPass", "readonly": False, "value": "Zq"}], "unknownKey": []}
    rows.answered(a_command(charger, "GetConfiguration", {"key": ["ApnPass"]}, response=body))
    assert configuration(charger) == {"WifiPassword": "(hidden)", "ApnPass": "(hidden)"}
    assert "Zq" not in str(Payload().hide_in(body)) + str(changed.payload)
    shown = Payload.of({"location": "ftp://me:Zq@host/x?X-Amz-Signature=Zq&y=1"})
    assert shown == {"location": "ftp://(hidden)@host/x?X-Amz-Signature=(hidden)&y=1"}


def test_names_of_configuration_keys_ignore_case():
    charger = a_charger()
    read(charger, HeartbeatInterval="1")
    assert change(charger, "Accepted", "heartbeatinterval") == {"HeartbeatInterval": "9"}


@pytest.mark.parametrize(("profile", "wanted", "refused"), [(2, "1", True), (2, "3", False), (None, "1", False)])
@pytest.mark.parametrize("name", ["SecurityProfile", "securityprofile"])
def test_a_security_profile_is_never_lowered_over_ocpp(profile, wanted, refused, name):
    charger = a_charger(security_profile=profile)
    payload = {"key": name, "value": wanted}
    if refused:
        with pytest.raises(schemas.Violation):
            list(ROW.check(payload, charger))
    else:
        assert list(ROW.check(payload, charger)) == []


def test_a_late_acceptance_does_not_lower_the_security_profile():
    charger = a_charger(security_profile=3, authorization_key_hash=keys.hashed(K0))
    change(charger, "Accepted", "SecurityProfile", "1")
    assert not opens(charger, K0)


def test_a_charger_without_a_profile_gets_the_one_it_connects_with():
    charger = a_charger_with_key()
    change(charger, "Accepted", "SecurityProfile", "1")
    assert opens(charger, K0)
    charger.refresh_from_db()
    assert (charger.security_profile, charger.next_security_profile) == (1, None)


def test_the_first_key_is_required_after_its_first_use():
    charger = a_charger()
    ROW.answered(ask_for_key(charger, K1, response={"status": "RebootRequired"}))
    assert opens(charger, K1)
    assert not opens(charger, K2)


def test_an_accepted_key_is_valid_although_an_operator_has_set_another(api):
    charger = a_charger_with_key()
    command = ask_for_key(charger, K1, response={"status": "Accepted"})
    api.patch(f"/api/ocpp/chargers/{charger}/", {"authorization_key": K2}, "application/json")
    ROW.answered(command)
    assert [opens(charger, key) for key in (K0, K1, K2)] == [False, True, False]


def test_a_change_of_one_column_keeps_concurrent_changes_of_others(api):
    charger = a_charger()
    serializer = ChargerSerializer(charger, {"description": "d"}, partial=True, context={"connected": set()})
    assert serializer.is_valid()
    Charger.objects.update(registration_status="Accepted")
    serializer.save()
    charger.refresh_from_db()
    assert (charger.description, charger.registration_status) == ("d", "Accepted")
