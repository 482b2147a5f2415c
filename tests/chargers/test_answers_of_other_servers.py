"""Messages whose handlers need the answers of other servers."""

import asyncio
import logging
import threading
from datetime import UTC, datetime
from itertools import count

import pytest

from chargers.services import budgets
from core.ocpp.calls import Call
from gateway import lookups
from gateway.common import Lookup
from gateway.ocpp201 import LOOKUPS

_chargers = count(900_000)  # of which no other test has spent the budget


def a_call(charger=None):
    return Call(charger or next(_chargers), "1", "GetCertificateStatus", {}, datetime.now(UTC))


def run(request, call=None):
    return asyncio.run(lookups.run(Lookup(lambda payload: True, request), call or a_call(), "CP-1"))


def test_the_answer_is_that_of_the_function():
    assert run(lambda call, charger_id: (call.action, charger_id)) == ("GetCertificateStatus", "CP-1")


def test_the_event_loop_goes_on_meanwhile():
    answered, others = threading.Event(), []

    async def both():
        lookup = Lookup(lambda payload: True, lambda call, charger_id: answered.wait(10))
        task = asyncio.create_task(lookups.run(lookup, a_call(), "CP-1"))
        await asyncio.sleep(0)
        others.append("answered")
        answered.set()
        return await task

    assert asyncio.run(both()) is True
    assert others == ["answered"]


def test_an_error_is_no_answer(caplog):
    def request(call, charger_id):
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        assert run(request) is None
    assert "CP-1: the request to another server for GetCertificateStatus failed" in caplog.text


def test_a_server_that_is_too_slow_is_not_waited_for(monkeypatch, caplog):
    monkeypatch.setattr(lookups, "TIMEOUT_S", 0.05)
    answered = threading.Event()
    assert run(lambda call, charger_id: answered.wait(10)) is None
    answered.set()
    assert "CP-1: GetCertificateStatus waited too long for another server" in caplog.text


def test_no_request_is_sent_beyond_the_budget(settings):
    settings.OCPP_CERTIFICATE_CHECKS_PER_HOUR = 2
    charger = next(_chargers)
    account = budgets.ledger.of(charger)  # referenced, as by a socket
    calls = [a_call(charger) for _ in range(4)]
    assert [run(lambda call, charger_id: "good", call) for call in calls] == ["good", "good", None, None]
    assert list(calls[-1].findings) == [("budget.certificate_checks", "out_of_range")]
    assert "certificate_checks" in account.buckets


@pytest.mark.parametrize(
    ("payload", "needed"),
    [
        ({"idToken": {"idToken": "A", "type": "ISO14443"}}, False),
        ({"idToken": {"idToken": "A", "type": "eMAID"}, "certificate": "PEM"}, True),
        ({"idToken": {"idToken": "A", "type": "eMAID"}, "iso15118CertificateHashData": [{}]}, True),
        ({"idToken": {"idToken": "A", "type": "eMAID"}, "iso15118CertificateHashData": []}, False),
    ],
)
def test_an_authorize_without_a_contract_waits_for_nobody(payload, needed):
    assert LOOKUPS["Authorize"].is_needed(payload) is needed
