"""Each OCPP version encodes every intent as a valid command."""

import pytest

from chargers.services.variables import VariableName
from commands.actions.intents import Availability, Limit, Reset, SetVariable, Start, Stop, Trigger, Unlock
from commands.actions.table import ACTIONS, INTENTS, encode
from core.ocpp.versions import OCPP16
from tests.support.builders import a_charger

EXAMPLES = [
    Start("ABC"),
    Start("ABC", evse_id=2),
    Stop("12"),
    Reset(),
    Reset(is_immediate=True),
    Unlock(1),
    Availability(is_operative=False),
    Trigger("BootNotification"),
    Trigger("StatusNotification", evse_id=1),
    Limit(16.0),
    Limit(11000.0, "W", evse_id=1),
    SetVariable(VariableName("HeartbeatInterval"), "60"),
]


@pytest.mark.parametrize("version", [version for version, actions in ACTIONS.items() if actions], ids=str)
def test_every_intent_has_an_encoder_and_an_example(version):
    assert INTENTS[version].keys() == {type(example) for example in EXAMPLES}


@pytest.mark.django_db
@pytest.mark.parametrize("intent", EXAMPLES, ids=repr)
def test_an_intent_becomes_a_valid_command_of_ocpp_1_6(intent):
    action, payload = encode(OCPP16, intent)
    ACTIONS[OCPP16][action].complete(payload, a_charger())
    OCPP16.schemas.check_request(action, payload, formats=True)
    assert not list(ACTIONS[OCPP16][action].check(payload, a_charger()))
