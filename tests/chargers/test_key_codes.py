"""An idToken of type KeyCode is a PIN: it is in no log, no finding and no list (OCPP 2.0.1 C04.FR.04)."""

from uuid import uuid4

import pytest

from tests.support.live import eventually
from tests.support.station import Admin
from tests.support.station201 import Station201


@pytest.fixture
def station(live):
    with Station201(live, validation="") as station:
        yield station.connect().booted()


@pytest.fixture
def admin(live):
    return Admin(live)


def shown(live, *resources, charger):
    """The text of what the API lists about the charger."""
    return "".join(str(live.get(f"/api/ocpp/{name}/?charger_id={charger.path}")) for name in resources)


def test_a_key_code_is_shown_nowhere(live, station, admin):
    code, token = f"Zq{uuid4().hex[:10]}", {"type": "KeyCode"}
    station.call("Authorize", idToken=token | {"idToken": code})
    session = station.session()
    session.start(token | {"idToken": code})
    session.end(idToken=token | {"idToken": code})
    task = live.ask(station.identity, "RequestStartTransaction", {"idToken": token | {"idToken": code}})
    assert station.receive("RequestStartTransaction")["idToken"]["idToken"] == code  # as it was submitted
    station.answer(status="Rejected")
    assert code not in str(live.finished(task))
    too_long = code + "9" * 40
    station.send("Authorize", {"idToken": token | {"idToken": too_long}})
    assert station.found("Authorize", "idToken.idToken", "too_long")
    names = ("messages", "findings", "transactions", "commands", "unknown-id-tags", "events")
    eventually(lambda: "RequestStartTransaction" in shown(live, "messages", charger=station))
    assert code not in shown(live, *names, charger=station)
    assert session.shown["id_tag"] == "(hidden)"
    number = session.shown["transaction_id"]
    assert code not in str(live.get(f"/api/ocpp/transactions/{station.path}/{number}/events/"))
    pages = "/transactions/", f"/transactions/{number}/", "/admin/transactions/transaction/"
    pages += f"/admin/transactions/transaction/{number}/change/", f"/chargers/{station.path}/"
    for page in pages:
        assert code not in admin.open(page), page
    logs = (live.stack.run_dir / "logs").iterdir()
    assert not any(code in path.read_text(errors="replace") for path in logs)
