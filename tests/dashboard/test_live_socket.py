"""The WebSocket of pages: which users receive which events."""

import json
from contextlib import contextmanager

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.live import an_id, eventually, exchange

MAKE = """
from django.contrib.auth.models import Permission, User
from chargers.models import Charger, ChargerGroup
bob = User.objects.create_user({name!r}, password={password!r})
bob.user_permissions.set(Permission.objects.filter(codename__in=["view_charger", "view_message"]))
group = ChargerGroup.objects.create(name={name!r})
group.users.add(bob)
group.chargers.add(Charger.objects.get(identity={mine!r}))
"""


@contextmanager
def listening(live, query, session=None, **options):
    """A socket of /live/ that receives events from now on."""
    cookie = "; ".join(f"{name}={value}" for name, value in session.cookies.items()) if session else ""
    url = f"{live.stack.ws_url}/live/?{query}"
    with connect(url, additional_headers={"Cookie": cookie}, origin=live.url, **options) as socket:
        assert json.loads(socket.recv(timeout=5)) == {"listening": True}
        yield socket


def logged_in(live, name, password):
    session = requests.Session()
    session.get(f"{live.url}/login/", timeout=10)
    form = {"username": name, "password": password, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    assert session.post(f"{live.url}/login/?next=/", form, timeout=10, allow_redirects=False).status_code == 302
    return session


def a_charger(live):
    charger_id = an_id()
    with live.socket(charger_id):
        ((pk,),) = eventually(lambda: live.rows("SELECT id FROM chargers_charger WHERE identity = %s", charger_id))
    return charger_id, pk


def status(live, charger_id):
    payload = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
    with live.socket(charger_id) as socket:
        exchange(socket, an_id(), "StatusNotification", payload)


def chargers_of(socket, wanted):
    """The chargers of the events up to that of `wanted`."""
    received = set()
    while wanted not in received:
        received |= set(json.loads(socket.recv(timeout=10))["chargers"])
    return received


WITHOUT = "from django.contrib.auth.models import User; User.objects.create_user({name!r}, password={password!r})"


def test_a_socket_without_a_login_receives_a_login_request(live):
    with pytest.raises(ConnectionClosed) as closed, listening(live, "kinds=charger"):
        pytest.fail("it was accepted")
    assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1"])
def test_a_page_of_another_site_is_refused(live, origin):
    with pytest.raises(InvalidStatus) as refused:
        connect(f"{live.stack.ws_url}/live/?kinds=charger", origin=origin)
    assert refused.value.response.status_code == 403


def test_a_socket_receives_events_of_the_requested_kinds_and_charger(live):
    (one, pk), (other, _) = a_charger(live), a_charger(live)
    session = logged_in(live, "admin", live.stack.password)
    with listening(live, f"kinds=connector&charger={pk}", session) as socket:
        status(live, other)
        status(live, one)
        event = json.loads(socket.recv(timeout=10))
    assert (event["kinds"], event["chargers"]) == (["connector.status"], [pk])


def test_a_user_of_a_group_receives_events_only_of_its_chargers(live):
    (mine, pk), (other, other_pk) = a_charger(live), a_charger(live)
    name, password = an_id(), an_id()
    live.stack.manage("A user", "shell", "-c", MAKE.format(name=name, password=password, mine=mine))
    with listening(live, "kinds=connector", logged_in(live, name, password)) as socket:
        status(live, other)
        status(live, mine)
        assert chargers_of(socket, pk) == {pk}
    query = f"kinds=none&charger={other_pk}&frames=1"
    with pytest.raises(ConnectionClosed) as closed, listening(live, query, logged_in(live, name, password)):
        pytest.fail("it was accepted")
    assert closed.value.rcvd.code == 4403


def test_a_user_receives_no_events_without_the_permission(live):
    name, password = an_id(), an_id()
    live.stack.manage("A user", "shell", "-c", WITHOUT.format(name=name, password=password))
    for query in ("kinds=connector,transaction", "kinds=command", "kinds="):
        with pytest.raises(ConnectionClosed) as closed, listening(live, query, logged_in(live, name, password)):
            pytest.fail("it was accepted")
        assert closed.value.rcvd.code == 4403


def test_a_page_receives_no_events_after_the_logout_of_its_user(live):
    here, elsewhere = (logged_in(live, "admin", live.stack.password) for _ in range(2))
    with listening(live, "kinds=charger", here) as socket:
        form = {"csrfmiddlewaretoken": elsewhere.cookies["csrftoken"]}
        assert elsewhere.post(f"{live.url}/logout/", form, timeout=10).status_code == 200
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=5)
    assert closed.value.rcvd.code == 1012  # so that pages with another session reconnect
    with listening(live, "kinds=charger", here):
        pass
    with pytest.raises(ConnectionClosed) as closed, listening(live, "kinds=charger", elsewhere):
        pytest.fail("it was accepted")
    assert closed.value.rcvd.code == 4401
