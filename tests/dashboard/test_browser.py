"""The pages in a browser, against the running product: their content, and its live updates."""

import csv
import re
from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.support.browser import (
    EXECUTABLE,
    NONE,
    PHONE,
    SERIOUS,
    TOO_WIDE,
    WALL,
    a_page,
    has,
    playwright,
    wait_until,
)
from tests.support.builders import NOON
from tests.support.live import an_id, eventually, exchange
from tests.support.receivers import receiving
from tests.support.socket_sessions import START, meter

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NONE)


@pytest.fixture
def page(browser, live):
    with a_page(browser, live) as opened:
        yield opened


def test_the_fleet_shows_connects_and_disconnects_without_reloading(page, live):
    charger_id = an_id()
    page.goto(f"/?search={charger_id}")
    playwright.expect(page.locator("#live")).to_have_text("Live")
    page.evaluate("window.isTheSame = true")
    with live.charger(charger_id):
        has(page.locator("#grid"), charger_id)
        has(page.locator(".tile .state"), "Available")
    has(page.locator(".tile .state"), "Offline")
    assert page.evaluate("window.isTheSame")


def test_a_page_without_updates_shows_since_when_and_limits_its_retries(page, live):
    sockets = []

    def refuse(socket):  # as while Redis is unavailable
        sockets.append(socket)
        socket.close(code=1012)

    page.route_web_socket(re.compile("/live/"), refuse)
    page.goto("/")
    has(page.locator("#live"), "No updates since")
    page.wait_for_timeout(2500)
    assert len(sockets) < 5
    wait_until(page, lambda: len(sockets) > 1)
    playwright.expect(page.locator("body")).to_have_class("is-stale")


def fulfilled(status):
    return lambda route: route.fulfill(status=status, body="Unavailable.")


@pytest.mark.parametrize(
    "refuse",
    [lambda route: route.abort(), fulfilled(503)],
    ids=["network", "503"],
)
def test_a_page_whose_refresh_fails_is_not_live_until_it_succeeds(browser, live, refuse):
    refreshes, is_failing, charger_id = [], True, an_id()

    def refreshed(route):
        if "x-live" not in route.request.headers or not is_failing:
            route.fallback()
            return
        refreshes.append(route)
        refuse(route)

    with a_page(browser, live, may_fail=True) as page:
        page.goto(f"/?search={charger_id}")
        playwright.expect(page.locator("#live")).to_have_text("Live")
        page.wait_for_load_state("networkidle")
        page.route("**/*", refreshed)
        with live.charger(charger_id):
            has(page.locator("#live"), "No updates since")
            playwright.expect(page.locator("body")).to_have_class("is-stale")
            since = page.locator("#live").inner_text()
            for _ in range(3):  # events during a failure do not cause immediate requests
                exchange_status(live, charger_id)
                page.wait_for_timeout(1100)
            assert 0 < len(refreshes) < 5
            assert page.locator("#live").inner_text() == since
            is_failing = False
            playwright.expect(page.locator("#live")).to_have_text("Live", timeout=15_000)
            has(page.locator("#grid"), charger_id)
            playwright.expect(page.locator("body")).not_to_have_class("is-stale")


def exchange_status(live, charger_id):
    """Cause an event of another charger that the page receives."""
    with live.socket(f"{charger_id}-2") as socket:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        exchange(socket, an_id(), "StatusNotification", status)


def test_a_page_whose_socket_died_silently_is_not_live(page, live):
    connected = []

    def serve(socket):  # the first socket receives nothing more, not even a close frame
        connected.append(socket)
        if len(connected) == 1:
            socket.send('{"listening": true}')
        else:
            socket.connect_to_server()

    page.route_web_socket(re.compile("/live/"), serve)
    page.clock.install()
    page.goto("/")
    playwright.expect(page.locator("#live")).to_have_text("Live")
    page.clock.fast_forward(70_000)
    playwright.expect(page.locator("#live")).to_have_text("Live")
    page.clock.fast_forward(6_000)
    has(page.locator("#live"), "No updates since")
    page.clock.fast_forward(2_000)
    playwright.expect(page.locator("#live")).to_have_text("Live")


def test_a_page_is_not_live_while_its_query_fails(browser, live):
    charger_id = an_id()
    with a_page(browser, live, may_fail=True) as page:
        page.goto(f"/?search={charger_id}")
        playwright.expect(page.locator("#live")).to_have_text("Live")
        live.execute("ALTER TABLE dashboard_fleetminute RENAME TO unavailable")
        try:
            with live.charger(charger_id):
                has(page.locator("#live"), "No updates since")
        finally:
            live.execute("ALTER TABLE unavailable RENAME TO dashboard_fleetminute")
        playwright.expect(page.locator("#live")).to_have_text("Live", timeout=20_000)
        has(page.locator("#grid"), charger_id)


def test_a_page_is_not_live_while_its_chart_cannot_be_fetched(browser, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket, a_page(browser, live, may_fail=True) as page:
        transaction_id = exchange(socket, "1", "StartTransaction", START)[2]["transactionId"]
        meter(socket, transaction_id, 1500, "2025-02-26T12:05:00Z")
        page.route("**/curves/**", fulfilled(503))
        page.goto(f"/transactions/{transaction_id}/")
        has(page.locator("#live"), "No updates since")
        page.unroute("**/curves/**")
        playwright.expect(page.locator(".curve canvas")).to_be_visible(timeout=15_000)
        playwright.expect(page.locator("#live")).to_have_text("Live")


def test_a_command_is_sent_by_its_form_and_its_answer_is_shown_live(page, live):
    charger_id = an_id()
    with live.charger(charger_id, Reset={"status": "Accepted"}):
        page.goto(f"/chargers/{charger_id}/")
        page.get_by_role("link", name="Restart").click()
        page.get_by_role("button", name="Send Restart").click()
        has(page.locator("main"), "This is sent to 1 charger.")
        page.get_by_role("button", name="Send Restart").click()
        has(page.locator(".timeline"), "Answered")
        has(page.locator("h1"), "Accepted")
    has(page.locator("#command"), '"status": "Accepted"')


def test_a_command_without_an_answer_is_marked_as_simulated(page, live):
    charger_id = an_id()
    with live.charger(charger_id, ClearCache=None):
        task = live.ask(charger_id, "ClearCache", {}, timeout=3)
        page.goto(task["task_url"].replace("/api/ocpp/tasks/", "/commands/"))
        has(page.locator(".made-up"), "The charger did not answer")
        has(page.locator(".pill.simulated"), "simulated")
    assert page.get_by_text("Response from charger").count() == 0


def test_a_batch_is_created_and_finishes(page, live):
    answering, silent = an_id(), an_id()
    with live.charger(answering, Reset={"status": "Accepted"}), live.charger(silent, Reset=None):
        page.goto("/batches/")
        page.get_by_role("button", name="Select chargers").click()
        page.get_by_label("Or charger IDs").fill(f"{answering}\n{silent}")
        page.get_by_label("At once").select_option("After sessions have ended in order")
        page.get_by_label("Response timeout").fill("2")
        page.get_by_role("button", name="Continue").click()
        has(page.locator("main"), "This is sent to 2 chargers.")
        page.get_by_role("button", name="Send Restart").click()
        has(page.locator("h1"), "Finished")
    has(page.locator("tr", has_text=answering), "Accepted")
    has(page.locator("tr", has_text=silent), "simulated")
    playwright.expect(page.get_by_role("progressbar")).to_have_attribute("value", "1.0")


def test_a_form_shows_an_error_next_to_its_field(page, live):
    charger_id = an_id()
    with live.charger(charger_id):
        page.goto(f"/chargers/{charger_id}/submit/UnlockConnector/")
        page.get_by_label("connectorId").fill("one")
        page.get_by_role("button", name="Send UnlockConnector").click()
        has(page.locator("label").get_by_role("alert"), '"one" is not of type')
    assert page.get_by_label("connectorId").input_value() == "one"


def test_a_list_field_grows_by_one_item(page, live):
    charger_id = an_id()
    with live.charger(charger_id, GetConfiguration={"configurationKey": [], "unknownKey": ["A", "B"]}):
        page.goto(f"/chargers/{charger_id}/submit/GetConfiguration/")
        for name in ("A", "B"):
            page.get_by_role("button", name="Add key").click()
            page.keyboard.type(name)
        page.get_by_role("button", name="Send GetConfiguration").click()
        has(page.locator("#command"), '"unknownKey"')
    assert re.search(r'"key": \[\s*"A",\s*"B"\s*\]', page.locator("pre").first.inner_text())


def test_messages_are_shown_live_filtered_and_paused(page, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "Heartbeat", {})
        page.goto(f"/chargers/{charger_id}/")
        playwright.expect(page.locator("#live")).to_have_text("Live")
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": NOON}
        sent = page.locator("#console").get_by_text('"sent-')

        def is_shown():
            exchange(socket, f"sent-{an_id()}", "StatusNotification", status)
            return sent.count()

        eventually(is_shown, 20)
        page.get_by_placeholder("Filter").fill("nothing like that")
        playwright.expect(sent.first).to_be_hidden()
    page.get_by_role("button", name="Pause").click()
    playwright.expect(page.get_by_role("button", name="Resume")).to_be_visible()


def test_open_details_and_focus_survive_an_update(page, live):
    charger_id = an_id()
    with live.charger(charger_id, ClearCache=None):
        body = {"action": "ClearCache", "payload": {}, "chargers": [charger_id], "timeout": 8}
        batch = live.post("/api/ocpp/batches/", body)
        page.goto(f"/batches/{batch['id']}/")
        page.get_by_text("Payload and charger selection").click()
        page.evaluate("document.querySelector('#batch').isFormer = true")
        has(page.locator("h1"), "Finished")
    assert page.evaluate("document.querySelector('#batch').isFormer") is None
    playwright.expect(page.locator("details pre").first).to_be_visible()
    assert page.evaluate("document.activeElement.localName") == "summary"


def test_the_chart_of_a_transaction_is_updated(page, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        started = exchange(socket, "1", "StartTransaction", START)
        transaction_id = started[2]["transactionId"]
        meter(socket, transaction_id, 1500, "2025-02-26T12:05:00Z")
        page.goto(f"/transactions/{transaction_id}/")
        playwright.expect(page.locator(".curve canvas")).to_be_visible()
        meter(socket, transaction_id, 4000, "2025-02-26T12:10:00Z")
        has(page.locator(".counts"), "3.00 kWh")


# WRITTEN records texts drawn on a canvas; COLOURED counts its pixels in the colour of each CSS variable.
WRITTEN = """const { fillText } = CanvasRenderingContext2D.prototype;
    window.written = [];
    CanvasRenderingContext2D.prototype.fillText = function (text, ...more) {
        written.push(text);
        fillText.call(this, text, ...more);
    };"""
COLOURED = """(canvas, names) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const probe = document.createElement("i"), style = getComputedStyle(probe);
    document.body.append(probe);
    return names.map((name) => {
        probe.style.color = `var(${name})`;
        const colour = [...style.color.match(/[0-9]+/g).map(Number), 255];
        let count = 0;
        for (let n = 0; n < data.length; n += 4) count += colour.every((value, part) => data[n + part] === value);
        return count;
    });
}"""
MONTHS = re.compile("Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sept|Oct|Nov|Dec")


def test_a_single_reading_is_a_point_on_an_axis_of_minutes_in_the_zone_of_the_server(page, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        transaction_id = exchange(socket, "1", "StartTransaction", START)[2]["transactionId"]
        meter(socket, transaction_id, 1500, "2025-02-26T12:05:00Z")
    page.add_init_script(WRITTEN)
    page.goto(f"/transactions/{transaction_id}/")
    canvas = page.locator(".curve canvas")
    playwright.expect(canvas).to_be_visible()
    written = page.evaluate("window.written")
    assert {text for text in written if MONTHS.search(text)} == {"26 Feb"}
    times = [text for text in written if re.fullmatch("[0-9]+:[0-9]+(:[0-9]+)?", text)]
    assert len(times) > 2
    assert all(text.startswith("13:") for text in times)  # in Berlin, not in Tokyo
    assert all(pixels > 10 for pixels in canvas.evaluate(COLOURED, ["--power", "--energy"]))


def test_times_of_pages_are_in_the_zone_of_the_server_not_of_the_browser(page, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        transaction_id = exchange(socket, "1", "StartTransaction", START)[2]["transactionId"]
        page.goto(f"/transactions/{transaction_id}/")
        has(page.locator("#transaction"), "2025-02-26 13:00:00")
        has(page.locator("footer"), "Europe/Berlin")
        page.goto(f"/chargers/{charger_id}/")
        playwright.expect(page.locator("#live")).to_have_text("Live")
        shown = page.locator("#console li:has-text('sent-') span").first

        def is_shown():
            exchange(socket, f"sent-{an_id()}", "Heartbeat", {})
            return shown.count()

        eventually(is_shown, 20)
        received_at = datetime.fromisoformat(shown.get_attribute("title")).astimezone(ZoneInfo("Europe/Berlin"))
        assert shown.inner_text() == f"{received_at:%H:%M:%S}"


def test_the_list_of_transactions_is_downloaded(page, live):
    charger_id = an_id()
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "StartTransaction", START)
    page.goto(f"/transactions/?charger_id={charger_id}")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="Export CSV").click()
    with open(downloaded.value.path(), newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["charger_id"], row["start_time"]) == (charger_id, "2025-02-26T13:00:00+01:00")
    assert row["time_zone"] == "Europe/Berlin"
    assert re.fullmatch(r"transactions-[0-9-]+-CES?T\.csv", downloaded.value.suggested_filename)


def incident_of(live, charger_id):
    """Return the id of the open incident of the charger, None if there is none."""
    status, body, _ = live.request("GET", f"/api/ocpp/incidents/?charger_id={charger_id}&state=open&kind=fault")
    assert status == 200, body
    return next((row["id"] for row in body["results"]), None)


def a_rule_of(live, url):
    body = {"name": an_id(), "channel": "webhook", "target": url, "kinds": ["fault"]}
    status, made, _ = live.request("POST", "/api/ocpp/notification-rules/", body)
    assert status == 201, made
    return made["id"]


def test_a_fault_is_notified_and_acknowledged_on_a_phone_by_one_tap(browser, live):
    charger_id = an_id()
    with receiving() as receiver:
        rule = a_rule_of(live, receiver.url)
        with live.socket(charger_id) as socket, a_page(browser, live, viewport=PHONE) as page:
            page.goto("/incidents/")
            failing = {"connectorId": 2, "errorCode": "GroundFailure", "status": "Faulted", "timestamp": NOON}
            exchange(socket, "1", "StatusNotification", failing)
            incident = page.locator(".incident", has_text=charger_id)
            has(incident, "GroundFailure")  # the page is live
            sent = eventually(lambda: [body for body in receiver.bodies if body["charger"] == charger_id], 20)
            assert sent[0]["title"] == f"{charger_id}, connector 2: Connector reports a fault (GroundFailure)"
            page.goto(sent[0]["link"])
            page.get_by_role("button", name="Acknowledge").click()
            has(page.locator("#incident"), "Acknowledged")
            exchange(socket, "2", "StatusNotification", failing | {"errorCode": "NoError", "status": "Available"})
            playwright.expect(page.locator("#incident")).to_contain_text("Its cause ended", timeout=40_000)
        assert live.request("DELETE", f"/api/ocpp/notification-rules/{rule}/")[0] == 204


@pytest.fixture(scope="module")
def paths(live):
    """Return paths of pages of each kind, with data on them."""
    charger_id = an_id()
    with live.charger(charger_id, ClearCache={"status": "Accepted"}):
        answered = live.finished(live.ask(charger_id, "ClearCache", {}))
    with live.socket(charger_id) as socket:
        failing = {"connectorId": 1, "errorCode": "GroundFailure", "status": "Faulted", "timestamp": NOON}
        exchange(socket, "1", "StatusNotification", failing)
        transaction_id = exchange(socket, "2", "StartTransaction", START)[2]["transactionId"]
        meter(socket, transaction_id, 1500, "2025-02-26T12:05:00Z")
        meter(socket, transaction_id, 2500, "2025-02-26T12:10:00Z")
        simulated = live.finished(live.ask(charger_id, "ClearCache", {}, timeout=0.5))
    assert simulated["simulated"]
    incident = eventually(lambda: incident_of(live, charger_id))
    rule = a_rule_of(live, "http://127.0.0.1:9/")
    return [
        *("/incidents/", f"/incidents/{incident}/", "/notification-rules/", "/notification-rules/new/"),
        f"/notification-rules/{rule}/",
        *("/", f"/chargers/{charger_id}/", f"/chargers/{charger_id}/submit/SetChargingProfile/"),
        *("/transactions/", f"/transactions/{transaction_id}/", "/commands/", "/messages/"),
        *("/batches/", "/batches/new/reset/", "/batches/settings/", "/limits/", "/limits/new/"),
        f"/limits/new/?charger={charger_id}",
        *(f"/commands/{task['task_id']}/" for task in (answered, simulated)),
    ]


@pytest.mark.parametrize(
    ("scheme", "viewport", "locale"), [("light", PHONE, "en-GB"), ("dark", WALL, "en-GB"), ("light", PHONE, "de-DE")]
)
def test_every_page_is_accessible_and_fits_on_large_screens_and_phones(
    browser, live, paths, scheme, viewport, locale
):
    with a_page(browser, live, scheme, viewport, locale=locale) as page:
        for path in paths:
            page.goto(path)
            page.wait_for_load_state("networkidle")
            found = Axe().run(page).response["violations"]
            serious = [(fault["id"], fault["nodes"][0]["html"]) for fault in found if fault["impact"] in SERIOUS]
            assert not serious, path
            assert page.evaluate(TOO_WIDE) == [], path


def test_scripts_use_the_language_of_the_page_and_a_user_may_choose_another(browser, live):
    charger_id = an_id()
    with live.socket(charger_id), a_page(browser, live, locale="de-DE") as page:
        page.goto(f"/chargers/{charger_id}/")
        page.get_by_role("button", name="Anhalten").click()
        has(page.locator("#console-pause"), "Fortsetzen")
        has(page.locator("#head time").first, re.compile("gerade eben|vor [0-9]+ s"))
        page.get_by_label("Sprache").select_option("English")
        page.get_by_role("button", name="Sprache festlegen").click()
        page.wait_for_url(f"**/chargers/{charger_id}/")
        try:
            has(page.locator("#console-pause"), "Pause")
            has(page.locator("#head time").first, re.compile("just now|[0-9]+ s ago"))
        finally:  # other tests log in as the same user
            page.get_by_label("Language").select_option("As in the browser")
            page.get_by_role("button", name="Set language").click()
        has(page.locator("#console-pause"), "Anhalten")


def test_the_theme_is_stored(page, live):
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Switch between light and dark theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_the_content_is_reached_by_keyboard(page, live):
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_after_logout_a_page_redirects_to_the_login(page, live):
    page.get_by_role("button", name="Log out").click()
    playwright.expect(page.get_by_role("button", name="Log in")).to_be_visible()
    page.goto("/commands/")
    assert urlsplit(page.url).path == "/login/"
