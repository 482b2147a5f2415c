"""Messages with any repairable fault are answered, never stored with a wrong number, and keep the socket open."""

import copy
import json
import time
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.ocpp import tolerance
from core.ocpp.versions import OCPP16
from gateway.ocpp16 import HANDLERS
from tests.support import negatives
from tests.support.field_charger import FieldCharger

BOUNDED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
ACTIONS = sorted(HANDLERS)
# Without these a message has no fact in it; StopTransaction keeps one as long as it has its time.
FACTS = {
    "Authorize": {"idTag"},
    "DiagnosticsStatusNotification": {"status"},
    "FirmwareStatusNotification": {"status"},
    "LogStatusNotification": {"status"},
    "MeterValues": {"connectorId", "meterValue"},
    "SecurityEventNotification": {"type"},
    "SignCertificate": {"csr"},
    "SignedFirmwareStatusNotification": {"status"},
    "StartTransaction": {"connectorId", "idTag"},
    "StatusNotification": {"connectorId", "status"},
}


# --- every single fault of every member ------------------------------------------------------

# The kinds of finding that tell of a fault. What is too deep to be JSON text of a member is another type, too.
KINDS = {
    "missing": {"missing", "bad_item"},
    "null": {"null", "bad_item"},
    "wrong type": {"wrong_type", "bad_item"},
    "deep nesting": {"wrong_type", "bad_item"},
    "too long": {"too_long"},
    "below range": {"out_of_range"},
    "above range": {"out_of_range"},
    "bad enum": {"unknown_value"},
    "unknown member": {"unknown_field"},
    "too few": {"missing"},
}
CONVERTED = {  # a wrong type of a fact from which it can still be read
    ("MeterValues", "connectorId", "wrong type"),
    ("MeterValues", "meterValue", "wrong type"),
    ("StartTransaction", "connectorId", "wrong type"),
    ("StatusNotification", "connectorId", "wrong type"),
}


def is_fatal(case):
    """Return whether the fault removes an essential member."""
    facts = FACTS.get(case.name, ())
    if case.path not in facts or case.fault in ("too long", "bad enum", "too few"):
        return False
    if case.name == "MeterValues" and case.path == "connectorId":
        return False  # it names its transaction
    tree = OCPP16.schemas.by_name[case.name].tree["properties"].get(case.path, {})
    if case.fault == "wrong type" and tree.get("type", "string") == "string":
        return False  # a number is taken as text
    if case.fault == "deep nesting" and case.path in ("type", "csr"):
        return False  # kept as its JSON text
    if (case.name, case.path, case.fault) == ("MeterValues", "meterValue", "deep nesting"):
        return False  # one bad item, kept as text
    return (case.name, case.path, case.fault) not in CONVERTED


@pytest.mark.parametrize("action", ACTIONS)
def test_every_fault_that_leaves_a_fact_is_answered_and_found(live, action):
    sent = []
    for case in negatives.cases(action):
        with FieldCharger(live) as charger:
            sent.append((case, charger, charger.send(action, case.payload)[0]))
    wrong = wrongly_taken(sent)
    deadline = time.monotonic() + 3  # findings are written within a second, by each process
    while wrong and time.monotonic() < deadline:
        time.sleep(0.2)
        wrong = wrongly_taken(sent)
    assert wrong == []


def wrongly_taken(sent):
    return [f"{case}: {kind}: {charger.findings}" for case, charger, kind in sent if not is_good(case, charger, kind)]


def is_good(case, charger, kind):
    path = ".".join(step for step in case.path.split(".") if not step.isdecimal())
    if is_fatal(case):
        return kind == 4 and (case.name, path, "rejected") in charger.findings
    return kind == 3 and any(found in KINDS[case.fault] for _, _, found in charger.findings)


# --- several faults at a time ----------------------------------------------------------------

FREE = object()


@st.composite
def broken(draw):
    """(action, payload) with up to four repairable faults, and the numbers that must come out of it."""
    action = draw(st.sampled_from(ACTIONS))
    payload = copy.deepcopy(negatives.sample(action))
    members = [(path, member, required) for path, member, required in negatives.members(action) if len(path) == 1]
    spoilt = {}
    for (name,), member, required in draw(st.lists(st.sampled_from(members), max_size=4)) if members else ():
        faults = list(REPAIRABLE.get(member["type"], ()))
        is_fact = name in FACTS.get(action, ()) or (action, name) == ("StopTransaction", "transactionId")
        if not required:
            faults.append(lambda value: None)
        elif not is_fact and (action, name) != ("StopTransaction", "timestamp"):
            faults.append(lambda value: FREE)
        if not faults or name in spoilt:
            continue
        spoilt[name] = payload[name]
        changed = draw(st.sampled_from(faults))(payload[name])
        if changed is FREE:
            del payload[name]
        else:
            payload[name] = changed
    if draw(st.booleans()):
        payload[draw(st.sampled_from(["extra", "vendorErrorCodes", "x" * 300]))] = draw(JUNK)
    return action, payload


JUNK = st.sampled_from([None, 1, "x", [], {}, [None], {"a": {"b": 1}}, 2**80, 1e300])
REPAIRABLE = {
    "string": (lambda value: value + "y" * 300, lambda value: 12345, lambda value: 1.5, lambda value: f"{value}é"),
    "integer": (float, str, lambda value: f" {value} "),
    "array": (lambda value: value[0], lambda value: [*value, None], lambda value: [*value, "x"]),
}  # fmt: skip


@settings(BOUNDED, max_examples=250)
@given(message=broken())
def test_any_repairable_faults_together_are_answered(live, message):
    action, payload = message
    with FieldCharger(live) as charger:
        answer = charger.send(action, payload)
        assert answer[0] == 3, (action, payload, answer)
        assert charger.send("Heartbeat", {})[0] == 3


# --- numbers ---------------------------------------------------------------------------------

meters = st.one_of(
    st.integers(0, 2**31 - 1),
    st.floats(0, 2**31 - 1, allow_nan=False).map(lambda value: round(value, 3)),
    st.integers(0, 2**31 - 1).map(str),
    st.integers(0, 2**31 - 1).map(lambda value: f" {value}.0 "),
    st.integers(0, 2**31 - 1).map(lambda value: f"{value}."),
    st.sampled_from(["much", "", None, [], {}, True, "1,234", "0x10", "12 Wh 13"]),
)


def plain(sent):
    """Return the number that `sent` is in plain notation, None if it is none."""
    if isinstance(sent, bool) or not isinstance(sent, int | float | str):
        return None
    try:
        return Decimal(str(sent).strip().rstrip("."))
    except ArithmeticError:
        return None


@settings(BOUNDED, max_examples=100)
@given(start=meters, stop=meters, samples=st.lists(meters, max_size=4))
def test_no_number_is_stored_that_was_not_sent(live, start, stop, samples):
    with FieldCharger(live) as charger:
        transaction_id = charger.start(meterStart=start)
        sampled = [{"value": sample, "measurand": "Voltage"} for sample in samples]
        if sampled:
            charger.read(transaction_id, *sampled)
        charger.stop(transaction_id, meterStop=stop)
        session = charger.transaction(transaction_id)
        stored = live.rows(
            "SELECT number FROM transactions_metervalue WHERE transaction_id = %s ORDER BY id", transaction_id
        )
    for sent, kept in ((start, session["meter_start"]), (stop, session["meter_stop"])):
        number = plain(sent)
        assert kept == (None if number is None else round(number)), (sent, kept)
    assert [number for (number,) in stored] == [plain(sample) for sample in samples], (samples, stored)


def test_a_valid_message_is_not_read_again(live, charger):
    """Only a message that breaks the schema costs more than the schema."""
    for action in ACTIONS:
        payload = negatives.sample(action)
        assert tolerance.read_request(OCPP16, action, payload) is None
        charger.send(action, json.loads(json.dumps(payload)))
    assert not [finding for finding in charger.findings if finding[2] != "clock"]
