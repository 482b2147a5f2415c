"""What a charger's answers change of what is known of it, and what they don't (OCPP 1.6 §5.2, §5.3, §5.8, §5.10)."""

import pytest

from chargers.models import Charger
from commands.actions.table import ACTIONS
from tests.builders import a_charger, a_command, tell

pytestmark = pytest.mark.django_db


def answered(charger, action, payload, response):
    ACTIONS[action].answered(a_command(charger, action, payload, response=response))


def configuration(charger):
    return dict(charger.configuration.values_list("key", "value"))


def read(charger, keys=None, unknown=(), **values):
    told = [{"key": key, "readonly": False, "value": value} for key, value in values.items()]
    payload = {"key": keys} if keys else {}
    answered(charger, "GetConfiguration", payload, {"configurationKey": told, "unknownKey": list(unknown)})
    return configuration(charger)


def test_the_whole_configuration_replaces_what_was_known():
    charger = a_charger()
    assert read(charger, A="1", B="2") == {"A": "1", "B": "2"}
    assert read(charger, B="3", C="4") == {"B": "3", "C": "4"}


def test_some_keys_leave_the_others_and_unknown_ones_go():
    charger = a_charger()
    read(charger, A="1", B="2", C="3")
    assert read(charger, keys=["A", "B"], unknown=["B"], A="9") == {"A": "9", "C": "3"}


def test_a_charger_that_shows_its_key_is_not_believed_to_have_meant_it():
    assert read(a_charger(), AuthorizationKey="secret", A="1") == {"A": "1"}


def change(charger, status, key="A", value="9"):
    answered(charger, "ChangeConfiguration", {"key": key, "value": value}, {"status": status})
    return configuration(charger)


@pytest.mark.parametrize("status", ["Rejected", "NotSupported"])
def test_a_change_that_is_refused_changes_nothing(status):
    charger = a_charger()
    read(charger, A="1")
    assert change(charger, status) == {"A": "1"}


def test_a_change_that_needs_a_reboot_is_shown_as_such_until_then():
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
def test_a_scheduled_availability_is_shown_until_it_comes_true(kind, status):
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
def test_a_list_version_is_what_the_charger_says(version, known):
    charger = a_charger(local_list_version=5)
    answered(charger, "GetLocalListVersion", {}, {"listVersion": version})
    assert Charger.objects.get().local_list_version == known
