"""Behind load balancers and proxies: health checks by address, and URLs below a path."""

import http.client
import json
import os
from urllib.parse import urlsplit

import pytest
import requests
from websockets.sync.client import connect

from tests.support.browser import EXECUTABLE, NONE, launch, playwright
from tests.support.live import an_id, eventually, exchange
from tests.support.products import product
from tests.support.proxy import proxy

PREFIX = "/csms"
PAGES = ["/", "/transactions/", "/commands/", "/batches/", "/messages/", "/refused/", "/admin/", "/api/docs/"]
BOOT = ("1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})


@pytest.fixture(scope="module")
def prefixed():
    """The stack with URL_PREFIX, on a database of its own."""
    settings = {
        "URL_PREFIX": f"{PREFIX}/",
        "ALLOWED_HOSTS": "127.0.0.1",
        "REDIS_URL": os.environ["REDIS_URL"].replace("db=0", "db=3"),
    }
    with product("prefixed", settings) as prefixed:
        yield prefixed


@pytest.fixture(params=["stripped", "passed on"])
def behind(request, prefixed):
    """The URL, without the prefix, of a proxy that serves only paths below the prefix."""
    with proxy(int(prefixed.stack.env["PORT"]), PREFIX, strips=request.param == "stripped") as port:
        yield f"http://127.0.0.1:{port}"


def asked(port, path, host):
    """(status, body) of a GET with this Host header."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


# --- health checks ---------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["10.0.0.7", "10.0.0.7:8000", "lb.internal", "[fd00::7]:8000", "not a host!"])
def test_health_checks_accept_any_host_and_other_paths_do_not(live, host):
    port = int(live.stack.env["PORT"])
    assert asked(port, "/healthz", host) == (200, '{"status": "ok"}')
    assert asked(port, "/readyz", host)[0] == 200
    assert asked(port, "/metrics", host)[0] == asked(port, "/metrics", "127.0.0.1")[0] == 200
    for path in ("/", "/login/", "/api/ocpp/chargers/", "/admin/", "/api/schema/"):
        status, said = asked(port, path, host)
        assert status == 400, path
        assert "ALLOWED_HOSTS" in said, path


def test_health_checks_below_the_prefix_accept_any_host(prefixed):
    port = int(prefixed.stack.env["PORT"])
    for path in ("/healthz", f"{PREFIX}/healthz", f"{PREFIX}/readyz"):
        assert asked(port, path, "10.0.0.7")[0] == 200
    assert asked(port, f"{PREFIX}/login/", "10.0.0.7")[0] == 400


# --- below a path ----------------------------------------------------------------------------


def is_fault(said):
    """Return whether a console entry is an error; a missing icon at the root of the host is none here."""
    return said.type == "error" and not said.location["url"].endswith("/favicon.ico")


@pytest.mark.skipif(EXECUTABLE is None, reason=NONE)
def test_pages_below_a_path_are_complete_and_live(prefixed, behind):
    with playwright.sync_playwright() as started:
        page = launch(started).new_page()
        faults = []
        page.on("console", lambda said: is_fault(said) and faults.append(f"{said.text} {said.location['url']}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("response", lambda answer: answer.status >= 400 and faults.append(f"{answer.status} {answer.url}"))
        page.goto(f"{behind}{PREFIX}/")
        page.get_by_label("User name").fill("admin")
        page.get_by_label("Password").fill(prefixed.stack.password)
        page.get_by_role("button", name="Log in").click()
        playwright.expect(page.locator("#live")).to_have_text("Live")
        assert page.url == f"{behind}{PREFIX}/"
        for path in PAGES:
            page.goto(f"{behind}{PREFIX}{path}", wait_until="networkidle" if path == "/api/docs/" else "load")
            links = page.eval_on_selector_all(
                "a[href^='/'], form[action^='/']",
                "all => all.map(e => e.getAttribute('href') ?? e.getAttribute('action'))",
            )
            assert all(f"{link}/".startswith(f"{PREFIX}/") for link in links), (path, links)
        page.locator(".opblock").nth(5).wait_for()  # Swagger has read the schema, and draws what is in sight
        page.goto(f"{behind}{PREFIX}/")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url(f"{behind}{PREFIX}/login/**")
        assert not faults


def test_redirects_and_cookies_keep_the_path(prefixed, behind):
    answer = requests.get(f"{behind}{PREFIX}/commands/", allow_redirects=False, timeout=10)
    assert answer.headers["Location"] == f"{PREFIX}/login/?next={PREFIX}/commands/"
    form = requests.get(f"{behind}{PREFIX}/login/", timeout=10)
    assert {cookie.path for cookie in form.cookies} == {PREFIX}
    assert requests.get(f"{behind}{PREFIX}", timeout=10).status_code == 200


def test_commands_are_submitted_and_polled_below_the_path(prefixed, behind):
    charger_id = an_id()
    with connect(f"{behind.replace('http', 'ws')}{PREFIX}/ws/ocpp/{charger_id}", subprotocols=["ocpp1.6"]) as charger:
        assert exchange(charger, *BOOT)[2]["status"] == "Accepted"
        answer = requests.post(f"{behind}{PREFIX}/api/ocpp/start/{charger_id}/", timeout=10)
        task_url = answer.json()["task_url"]
        assert task_url.startswith(f"{PREFIX}/api/ocpp/tasks/")
        assert answer.headers["Location"] == task_url
        call = json.loads(charger.recv(timeout=10))
        charger.send(json.dumps([3, call[1], {"status": "Accepted"}]))
        task = requests.get(f"{behind}{task_url}?wait=10", timeout=20).json()
        assert task["outcome"] == "answered"
        assert task["task_url"] == task_url
    for _ in range(2):
        requests.post(f"{behind}{PREFIX}/api/ocpp/start/{charger_id}/", timeout=10)
    page = requests.get(f"{behind}{PREFIX}/api/ocpp/commands/?page_size=1", timeout=10).json()
    assert page["next"].startswith(f"{behind}{PREFIX}/api/ocpp/commands/?cursor=")
    assert requests.get(page["next"], timeout=10).status_code == 200
    schema = requests.get(f"{behind}{PREFIX}/api/schema/?format=json", timeout=10).json()
    assert schema["servers"] == [{"url": PREFIX}]


@pytest.mark.parametrize("path", ["/ws/ocpp", f"{PREFIX}/ws/ocpp"])
def test_chargers_connect_with_and_without_the_prefix(prefixed, path):
    url = f"ws://127.0.0.1:{prefixed.stack.env['PORT']}{path}/{an_id()}"
    with connect(url, subprotocols=["ocpp1.6"]) as charger:
        assert exchange(charger, *BOOT)[2]["status"] == "Accepted"


def test_ids_with_a_slash_are_found_below_the_prefix(prefixed, behind):
    charger_id = f"A/{an_id()}"
    made = requests.post(f"{behind}{PREFIX}/api/ocpp/chargers/", json={"charger_id": charger_id}, timeout=10)
    assert made.status_code == 201
    quoted = charger_id.replace("/", "%2F")
    assert requests.get(f"{behind}{PREFIX}/api/ocpp/chargers/{quoted}/", timeout=10).status_code == 200


# --- files -----------------------------------------------------------------------------------


def test_upload_urls_are_below_the_path(prefixed, behind):
    charger_id = an_id()
    with prefixed.charger(charger_id, GetDiagnostics={"fileName": "log"}) as charger:
        body = {"charger_id": charger_id, "action": "GetDiagnostics", "payload": {}}
        requests.post(f"{behind}{PREFIX}/api/ocpp/commands/", json=body, timeout=10).raise_for_status()
        location = json.loads(eventually(lambda: charger.received)[0])[3]["location"]
    path = urlsplit(location).path
    assert path.startswith(f"{PREFIX}/files/uploads/")
    answer = requests.put(f"{behind}{path}log.txt", data=b"log", timeout=10)
    assert answer.status_code == 201, answer.text
