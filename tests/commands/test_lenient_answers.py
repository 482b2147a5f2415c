"""Answers to commands that break the schema are used as far as possible."""

import json

import pytest

from tests.support.live import eventually


def answered(charger, action, request, response):
    """The finished task of a command that the charger answers with `response`."""
    task = charger.live.ask(charger.identity, action, request)
    _, message_id, *_ = json.loads(charger.socket.recv(timeout=15))
    text = response if isinstance(response, str) else json.dumps(response)
    charger.socket.send(f'[3,"{message_id}",{text}]')
    return charger.live.finished(task)


KEYS = """{"configurationKey":[
    {"key":"HeartbeatInterval","readonly":false,"value":"300"},
    {"key":"Long","readonly":false,"value":"%s"},
    {"key":"Null","readonly":false,"value":null},
    {"key":"AsText","readonly":"true","value":"x"},
    {"key":"Nul","readonly":false,"value":"a\\u0000"},
    {"key":"Number","readonly":false,"value":7},
    {"readonly":false,"value":"nameless"},
    "nonsense"]}"""


def test_an_odd_configuration_value_does_not_affect_other_keys(charger):
    task = answered(charger, "GetConfiguration", {}, KEYS % ("x" * 551))
    assert (task["outcome"], task["simulated"]) == ("answered", False)
    keys = eventually(lambda: {key["key"]: key for key in charger.shown["configuration"]})
    assert {name: key["value"] for name, key in keys.items()} == {
        "HeartbeatInterval": "300",
        "Long": "x" * 551,
        "Null": None,
        "AsText": "x",
        "Nul": "a",
        "Number": "7",
    }
    assert keys["AsText"]["readonly"] is True
    action = "GetConfigurationResponse"
    assert charger.found(action, "configurationKey.value", "too_long")
    kinds = {kind for found, _, kind in charger.findings if found == action}
    assert kinds == {"too_long", "null", "wrong_type", "unreadable", "missing", "bad_item"}


@pytest.mark.parametrize(
    ("response", "field", "kind"),
    [
        ({"status": "accepted"}, "status", "unknown_value"),
        ({"status": "Accepted", "more": 1}, "more", "unknown_field"),
        ({"status": "Accepted", "statusInfo": None}, "statusInfo", "unknown_field"),
    ],
)
def test_an_odd_answer_is_accepted_with_a_finding(charger, response, field, kind):
    task = answered(charger, "Reset", {"type": "Soft"}, response)
    assert (task["outcome"], task["response"]) == ("answered", {"status": "Accepted"})
    assert charger.found("ResetResponse", field, kind)


@pytest.mark.parametrize("response", [{}, {"status": None}, {"status": "Perhaps"}, [], "text"])
def test_an_answer_without_its_essential_member_is_invalid(charger, response):
    response = json.dumps(response)
    task = answered(charger, "Reset", {"type": "Soft"}, response)
    assert (task["outcome"], task["simulated"]) == ("invalid_response", False)


def test_an_odd_answer_of_a_strict_charger_is_invalid(strict):
    task = answered(strict, "Reset", {"type": "Soft"}, {"status": "Accepted", "more": 1})
    assert (task["outcome"], task["error"]["code"]) == ("invalid_response", "FormationViolation")
