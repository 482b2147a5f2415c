"""Ten daily jobs of operators in a browser. docs/jobs.md has the clicks of each, and none takes more than six."""

import asyncio
import csv
import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
import requests
import websockets
from aiosmtpd.controller import Controller

from tests.support.browser import EXECUTABLE, NARROW, NONE, PHONE, WALL, a_page, check, has, playwright, wait_until
from tests.support.live import an_id, background, eventually, exchange, until_connected
from tests.support.wire import WireCharger
from tools.simulator.charger import Options, SimulatedCharger

pytestmark = pytest.mark.skipif(EXECUTABLE is None, reason=NONE)
MOST_CLICKS = 6
PAGE = Path(__file__).parents[2] / "docs" / "jobs.md"
BOOT = {"chargePointVendor": "ACME", "chargePointModel": "Box"}


class Walk:
    """A page on which clicks are counted: links, buttons, boxes, and choices in lists. Typing is no click."""

    def __init__(self, page):
        self.page, self.clicks = page, 0

    def click(self, role, name, within=None, exact=True):
        """Click the link, button or box `name`."""
        self.clicks += 1
        (within or self.page).get_by_role(role, name=name, exact=exact).click()

    def choose(self, label, value):
        """Choose `value` in the list of the label, which takes one click to open it and one to choose."""
        self.clicks += 2
        self.page.locator("label", has_text=re.compile(f"^{label}")).locator("select").select_option(value)

    def type(self, label, text):
        self.page.get_by_label(re.compile(f"^{label}")).fill(text)

    def open_charger(self, charger_id):
        """Open its page from the fleet's, which shows chargers that need attention first."""
        self.clicks += 1
        self.page.locator(f"a.tile[href='/chargers/{charger_id}/']").click()


@contextmanager
def walk(browser, live, job, viewport=PHONE):
    """Yield a `Walk` that begins at the fleet's page; then compare its clicks with those in the documentation."""
    with a_page(browser, live, viewport=viewport) as page:
        walked = Walk(page)
        yield walked
    assert walked.clicks <= MOST_CLICKS
    assert documented()[job] == walked.clicks


def documented():
    """{job: clicks} of the table in the documentation."""
    rows = re.findall(r"^\| \d+ \| ([^|]+?) \|.*\| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    return {job: int(clicks) for job, clicks in rows}


def find(walked, text):
    """Search the list of the page, as an operator of many chargers does."""
    search = walked.page.get_by_role("searchbox")
    search.fill(text)
    search.press("Enter")
    walked.page.wait_for_url("**search=**")


def a_site(live, **columns):
    status, site, _ = live.request("POST", "/api/ocpp/sites/", {"name": f"Depot {an_id()}", **columns})
    assert status == 201, site
    return site


def faulted(connector=1):
    return {"connectorId": connector, "status": "Faulted", "errorCode": "GroundFailure", "info": "RCD 2"}


def available(connector=1):
    return {"connectorId": connector, "status": "Available", "errorCode": "NoError"}


def test_find_why_a_charger_is_faulted(browser, live):
    charger_id = an_id()
    with live.charger(charger_id) as charger:
        charger.exchange("StatusNotification", faulted())
        with walk(browser, live, "Find why a charger is faulted") as walked:
            find(walked, charger_id)
            has(walked.page.locator(".tile .why"), "GroundFailure (RCD 2)")
            walked.open_charger(charger_id)
            incident = walked.page.locator("#incidents a")
            playwright.expect(incident).to_be_visible(timeout=30_000)
            walked.click("link", "Connector reports a fault")
            has(walked.page.locator("#incident"), "The ground fault protection has tripped.")
            has(walked.page.locator("#incident"), "What to do")
            check(walked.page)


class Mailbox:
    """A handler of aiosmtpd that keeps the mails."""

    def __init__(self):
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
def mailbox(live):
    box = Mailbox()
    server = Controller(box, hostname="127.0.0.1", port=int(live.stack.env["EMAIL_PORT"]))
    server.start()
    yield box
    server.stop()


def a_zone_where_it_is_night():
    """The name of a zone in which it is between two and three o'clock."""
    ahead = (2 - datetime.now(UTC).hour) % 24
    ahead -= 24 if ahead > 14 else 0
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"  # the signs of these names are reversed


def test_get_a_mail_at_night_and_acknowledge_on_a_phone(browser, live, mailbox):
    charger_id = an_id()
    site = a_site(live, time_zone=a_zone_where_it_is_night())
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "site": site["id"]})
    rule = {"name": f"Night {an_id()}", "site": site["id"], "severity": "warning", "channel": "email"}
    rule |= {"target": "ann@example.org", "from_time": "22:00", "until_time": "06:00"}
    status, made, _ = live.request("POST", "/api/ocpp/notification-rules/", rule)
    assert status == 201, made
    with live.charger(charger_id) as charger:
        charger.exchange("StatusNotification", faulted())
        with walk(browser, live, "Get a mail at night, and acknowledge on a phone", NARROW) as walked:
            wait_until(walked.page, lambda: mailbox.mails)
            (mail,) = mailbox.mails
            assert mail["To"] == "ann@example.org"
            assert f"{charger_id}, connector 1" in mail["Subject"]
            (link,) = re.findall(r"^Page: (\S+)", mail.get_content(), re.MULTILINE)
            walked.clicks += 1  # on the link in the mail
            walked.page.goto(urlsplit(link).path)
            check(walked.page)
            walked.click("button", "Acknowledge")
            has(walked.page.locator("#incident"), "Acknowledged")
        found = live.get(f"/api/ocpp/incidents/?charger_id={charger_id}")["results"]
        assert [(each["state"], each["acknowledged_by"]) for each in found] == [("acknowledged", "admin")]


def test_start_for_a_tag_on_connector_2(browser, live):
    charger_id, tag = an_id(), an_id()[:20]
    live.request("POST", "/api/ocpp/id-tags/", {"id_tag": tag, "description": "Van 7"})
    with live.charger(charger_id, RemoteStartTransaction={"status": "Accepted"}) as charger:
        for connector in (1, 2):
            charger.exchange("StatusNotification", available(connector))
        with walk(browser, live, "Start for a tag on connector 2") as walked:
            find(walked, charger_id)
            walked.open_charger(charger_id)
            walked.click("link", "Start charging")
            check(walked.page)
            walked.choose("Connector", "2")
            walked.type("ID tag", tag)
            walked.click("button", "Send Remote start")
            wait_until(walked.page, lambda: any("RemoteStart" in frame for frame in charger.received))
            start = {"connectorId": 2, "idTag": tag, "meterStart": 0, "timestamp": now()}
            charger.exchange("StartTransaction", start)
            playwright.expect(walked.page.locator("#command")).to_contain_text("Confirmed", timeout=30_000)
            check(walked.page)
        (frame,) = [frame for frame in charger.received if "RemoteStart" in frame]
        assert json.loads(frame)[3] == {"connectorId": 2, "idTag": tag}


def now():
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_stop(browser, live):
    charger_id = an_id()
    with live.charger(charger_id, RemoteStopTransaction={"status": "Accepted"}) as charger:
        start = {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": now()}
        transaction_id = charger.exchange("StartTransaction", start)["transactionId"]
        with walk(browser, live, "Stop a session") as walked:
            find(walked, charger_id)
            walked.open_charger(charger_id)
            walked.click("link", "Stop charging")
            has(walked.page.locator("main"), charger_id)
            check(walked.page)
            walked.click("button", "Send Remote stop")
            wait_until(walked.page, lambda: any("RemoteStop" in frame for frame in charger.received))
            stop = {"transactionId": transaction_id, "meterStop": 100, "timestamp": now()}
            charger.exchange("StopTransaction", stop)
            playwright.expect(walked.page.locator("#command")).to_contain_text("Confirmed", timeout=30_000)
        assert any(f'"transactionId":{transaction_id}' in frame for frame in charger.received)


def a_composite_schedule(limit):
    """The answer to GetCompositeSchedule of a charger that is limited to `limit` A for a day."""
    periods = [{"startPeriod": 0, "limit": limit}]
    schedule = {"duration": 86_400, "chargingRateUnit": "A", "chargingSchedulePeriod": periods}
    return {"status": "Accepted", "connectorId": 0, "scheduleStart": now(), "chargingSchedule": schedule}


def test_limit_to_6_a_daily_and_see_it_confirmed(browser, live):
    charger_id = an_id()
    answers = {
        "SetChargingProfile": {"status": "Accepted"},
        "GetCompositeSchedule": a_composite_schedule(6),
        "ClearChargingProfile": {"status": "Accepted"},
    }
    with (
        live.charger(charger_id, **answers),
        walk(browser, live, "Limit to 6 A daily, and see it confirmed", NARROW) as walked,
    ):
        phone = walked.page
        find(walked, charger_id)
        walked.open_charger(charger_id)
        walked.click("link", "Limit power")
        walked.type("At most", "6")
        walked.type("From", "00:00")
        walked.type("Until", "23:59")
        check(phone)
        walked.click("button", "Continue")
        has(phone.locator("main"), "This is sent to 1 charger.")
        check(phone)
        walked.click("button", "Limit power")
        phone.wait_for_url("**/#limits")
        has(phone.locator("#limits"), "daily 00:00–23:59")
        playwright.expect(phone.locator("#limits .curve canvas")).to_be_visible()
        check(phone)
        walked.click("link", "6 A", within=phone.locator("#limits"), exact=False)
        check(phone)
        walked.click("link", "Installed", within=phone.locator("#limit-state"))
        playwright.expect(phone.locator("#command")).to_contain_text("Confirmed", timeout=40_000)
        phone.go_back()
        phone.get_by_role("link", name="Remove limit").click()
        check(phone)
        phone.get_by_role("button", name="Remove limit").click()
        has(phone.locator("#limit-state"), "Ended")


@contextmanager
def simulated(live, *chargers):
    """Let `chargers` live, in the event loop of this process."""
    lives = [asyncio.run_coroutine_threadsafe(charger.run(), background()) for charger in chargers]
    try:
        until_connected(live, *(charger.identity for charger in chargers))
        yield
    finally:
        for each in lives:
            each.cancel()


def an_image(live):
    """The description of a new image of version 2.1.0."""
    made = requests.post(
        f"{live.url}/api/ocpp/firmware/",
        {"description": f"Demo {an_id()}", "version": "2.1.0"},
        files={"file": (f"{an_id()}-2.1.0.bin", b"image")},
        timeout=20,
    )
    assert made.status_code == 201, made.text
    return made.json()["description"]


def test_bring_firmware_to_five_chargers_of_which_one_fails(browser, live):
    site, image = a_site(live), an_image(live)
    versions = ("1.6", "2.0.1", "1.6", "2.0.1", "2.0.1")
    options = [{"ocpp": version, "url": live.stack.ws_url, "pause": 600.0} for version in versions]
    chargers = [SimulatedCharger(an_id(), Options(**each)) for each in options]
    ids = [charger.identity for charger in chargers]
    for charger_id in ids:
        live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "site": site["id"]})
    with (
        simulated(live, *chargers),
        walk(browser, live, "Bring firmware to five chargers, of which one fails", WALL) as walked,
    ):
        page, main = walked.page, walked.page.locator("main")
        walked.click("link", "Campaigns")
        walked.click("link", f"{image} (2.1.0)")
        walked.choose("Site", site["name"])
        check(page)
        walked.click("button", "Continue")
        has(main, "This is sent to 5 chargers.")
        has(main, "Canaries: 1.")
        check(page)
        walked.click("button", "Start campaign")
        has(page.locator("#campaign h1"), "Running")
        number = int(page.url.rstrip("/").rpartition("/")[2])
        # Not the canary, with which the campaign would stop. It may be any, because a filter shuffles its chargers.
        (canary,) = live.get(f"/api/ocpp/campaigns/{number}/items/?is_canary=true")["results"]
        broken = next(charger for charger in chargers if charger.identity != canary["charger_id"])
        broken.installs = False
        page.locator("#campaign .pill", has_text="Finished").wait_for(timeout=90_000)
        failed = page.locator("#list tbody tr").filter(has_text=broken.identity)
        has(failed, "Failed")
        has(failed, "The charger reported InstallationFailed.")
        check(page)
        shown = live.get(f"/api/ocpp/campaigns/{number}/")
        assert (shown["state"], shown["states"]["confirmed"], shown["states"]["failed"]) == ("finished", 4, 1)
        broken.installs = True
        page.set_viewport_size(NARROW)
        repeated = Walk(page)
        repeated.click("link", "Repeat for those that failed", exact=False)
        has(main, "This is sent to 1 charger.")
        check(page)
        repeated.click("button", "Repeat for those that failed")
        assert repeated.clicks == 2
        page.locator("#campaign .pill", has_text="Finished").wait_for(timeout=60_000)
        check(page)
        shown = live.get(f"/api/ocpp/campaigns/{number}/")
        assert (shown["state"], shown["states"]["confirmed"], shown["states"]["failed"]) == ("finished", 5, 0)
        for charger_id in ids:  # each restarts with the version of the image
            path = f"/api/ocpp/chargers/{charger_id}/"
            eventually(lambda path=path: live.get(path)["firmware_version"] == "2.1.0", 20)
        items = live.get(f"/api/ocpp/campaigns/{number}/items/")["results"]
        assert [(item["state"], item["confirmation"]) for item in items] == [("confirmed", "confirmed")] * 5
        assert [item["is_canary"] for item in items] == [True] + [False] * 4


def test_accept_an_unknown_tag(browser, live):
    charger_id, tag = an_id(), an_id()[:20]
    with live.socket(charger_id) as socket:
        exchange(socket, "1", "Authorize", {"idTag": tag})
        with walk(browser, live, "Accept an unknown tag", NARROW) as walked:
            find(walked, charger_id)
            walked.open_charger(charger_id)
            walked.type(f"Group of {tag}", "Fleet")
            check(walked.page)
            walked.click("button", f"Accept {tag}")
            has(walked.page.locator(".notice"), tag)
        assert exchange(socket, "2", "Authorize", {"idTag": tag})[2]["idTagInfo"]["status"] == "Accepted"


BERLIN = ZoneInfo("Europe/Berlin")


def the_last_october():
    """The year of the last October that has ended, and the moment of its change of clocks (01:00 UTC)."""
    year = datetime.now(BERLIN).year - (datetime.now(BERLIN).month < 11)
    last = datetime(year, 10, 31, 1, tzinfo=UTC)
    return year, last - timedelta(days=(last.weekday() + 1) % 7)


def a_session(charger, began, wh):
    """A session of half an hour with `wh` of energy."""
    start = {"connectorId": 1, "idTag": "ABC", "meterStart": 0, "timestamp": began.isoformat()}
    transaction_id = charger.exchange("StartTransaction", start)["transactionId"]
    stop = {"transactionId": transaction_id, "meterStop": wh}
    charger.exchange("StopTransaction", stop | {"timestamp": (began + timedelta(minutes=30)).isoformat()})


def test_export_the_month_of_a_site(browser, live):
    site, charger_id = a_site(live, time_zone="Europe/Berlin"), an_id()
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": charger_id, "site": site["id"]})
    year, change = the_last_october()
    first, last = datetime(year, 10, 1, tzinfo=BERLIN), datetime(year, 11, 1, tzinfo=BERLIN)
    hour = timedelta(hours=1)
    with live.charger(charger_id) as charger:
        # Within October by the clock of Berlin: its first and last hour, and the hour that came twice.
        for moment, wh in ((first, 1000), (change - hour, 200), (change, 30), (last - hour, 4)):
            a_session(charger, moment.astimezone(UTC), wh)
        for moment in (first - hour, last):
            a_session(charger, moment.astimezone(UTC), 50_000)
    with walk(browser, live, "Export the last month of a site", WALL) as walked:
        page = walked.page
        walked.click("link", "Sites")
        find(walked, site["name"])
        walked.click("link", site["name"], within=page.locator("#grid"))
        walked.click("link", "Reports", within=page.locator("main"))
        has(page.locator("main"), "Europe/Berlin")
        walked.clicks += 1
        page.locator(".filters a[rel=prev]").click()
        with page.expect_download() as started:
            walked.click("link", "CSV")
        today = datetime.now(BERLIN)
        former = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m-01")
        assert former in started.value.suggested_filename
        page.goto(f"/reports/?site={site['id']}&period={year}-10")
        wait_until(page, lambda: counts(page, "4"))  # sessions are counted once a minute
        check(page)
        with page.expect_download() as started:
            page.get_by_role("link", name="CSV").click()
        text = Path(started.value.path()).read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [(row["sessions"], row["energy_wh"]) for row in rows] == [("4", "1234")]


def counts(page, sessions):
    """Whether the report shows this number of sessions; else load it again."""
    if page.locator("tfoot td", has_text=re.compile(f"^{sessions}$")).count():
        return True
    page.wait_for_timeout(1000)
    page.reload()
    return False


def test_give_a_colleague_read_access_to_one_site(browser, live):
    site, colleague = a_site(live), f"carol-{an_id()}"
    inside, outside = an_id(), an_id()
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": inside, "site": site["id"]})
    live.request("POST", "/api/ocpp/chargers/", {"charger_id": outside})
    live.execute(
        "INSERT INTO auth_user (username, password, is_active, is_staff, is_superuser, first_name, last_name, email, "
        "date_joined) VALUES (%s, '', true, false, false, '', '', '', now())",
        colleague,
    )
    with walk(browser, live, "Give a colleague read access to one site") as walked:
        page = walked.page
        walked.click("button", "☰ Menu")
        walked.click("link", "Sites")
        find(walked, site["name"])
        walked.click("link", site["name"], within=page.locator("#grid"))
        page.locator("[name=username][list]").fill(colleague)
        check(page)
        walked.click("button", "Give access")
        has(page.locator(".notice"), f"{colleague} is a user of {site['name']} now.")
    roles = live.rows(
        "SELECT g.name FROM auth_user u JOIN auth_user_groups m ON m.user_id = u.id JOIN auth_group g "
        "ON g.id = m.group_id WHERE u.username = %s",
        colleague,
    )
    assert roles == [("Viewers",)]


def test_add_a_new_charger(browser, live):
    charger_id = an_id()
    with walk(browser, live, "Add a new charger", NARROW) as walked:
        page = walked.page
        walked.click("link", "Add charger")
        walked.type("Charger ID", charger_id)
        walked.click("button", "Add charger")
        # A request that named no charger, of another test, may be shown.
        has(page.locator("#connection"), re.compile("Nothing has arrived from this charger yet|Not connected"))
        url = page.get_by_label("URL", exact=True).input_value()
        key = page.get_by_label("Key, as the password").input_value()
        assert url == f"{live.ws_url}/{charger_id}"
        assert page.locator(".qr svg").is_visible()
        check(page)
        for offered, reason in (
            ((b"a wrong key of twenty", "ocpp1.6"), "Enter the key as the password"),
            ((key.encode(), "ocpp0.1"), "the charger offered ocpp0.1"),
        ):
            headers = WireCharger.basic(charger_id, offered[0])
            with pytest.raises(websockets.InvalidStatus):
                live.socket(charger_id, additional_headers=headers, subprotocols=[offered[1]])
            has(page.locator("#connection"), reason)
        offered = {"subprotocols": ["ocpp1.6"], "additional_headers": WireCharger.basic(charger_id, key.encode())}
        with websockets.sync.client.connect(url, **offered) as socket:
            has(page.locator("#connection"), "has not sent BootNotification yet")
            exchange(socket, "1", "BootNotification", BOOT)
            has(page.locator("#connection"), "booted as ACME Box")
            assert page.get_by_label("Key, as the password").input_value() == key


def test_each_documented_job_is_walked():
    text = Path(__file__).read_text()
    jobs = documented()
    assert len(jobs) == 10
    assert [job for job in jobs if f'browser, live, "{job}"' not in text] == []
