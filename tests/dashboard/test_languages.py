"""Pages are in the language of the user or of the browser; everything else is in English."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import OperationalError
from django.template.loader import render_to_string
from django.utils import translation
from django.utils.translation import ngettext

from chargers.models import Message, Refusal
from chargers.services import variables
from chargers.services.variables import VariableName
from commands.actions.table import NAMES
from commands.models import Campaign, Command, Firmware, PowerLimit, Schedule
from core import sentences
from core.observability import diagnosis
from dashboard import readiness
from dashboard.models import Preference
from dashboard.templatetags.dashboard import ago, between, exact, grouped, kw, kwh, label
from tests.support.builders import NOON, a_charger, a_command, a_transaction, open_socket, tell
from tests.support.catalogues import shown_texts
from tests.support.dashboard import a_station

pytestmark = pytest.mark.django_db
GERMAN = {"HTTP_ACCEPT_LANGUAGE": "de-AT,de;q=0.9,en;q=0.5", "HTTP_ACCEPT": "text/html"}


def text_of(answer):
    return answer.content.decode()


def german(client, path, **more):
    return text_of(client.get(path, **GERMAN, **more))


# --- the choice of the language --------------------------------------------------------------


@pytest.mark.parametrize(
    ("accepted", "language", "heading"),
    [
        ("de", "de", "Befehle"),
        ("de-CH, en;q=0.5", "de", "Befehle"),
        ("en-US,en;q=0.9,de;q=0.8", "en", "Commands"),
        ("fr, de;q=0.2", "de", "Befehle"),
        ("fr", "en", "Commands"),
        ("", "en", "Commands"),
        ("%$§, *", "en", "Commands"),
    ],
)
def test_a_page_is_in_the_language_of_the_browser(api, accepted, language, heading):
    answer = api.get("/commands/", headers={"Accept-Language": accepted})
    assert f"<h1>{heading}</h1>" in text_of(answer) and f'<html lang="{language}"' in text_of(answer)
    assert answer.headers["Content-Language"] == language
    assert "Accept-Language" in answer.headers["Vary"]


def choose(client, language, page="/commands/"):
    return client.post("/language/", {"language": language, "next": page}, **GERMAN)


def test_the_language_that_a_user_has_chosen_takes_precedence_over_the_browser(api):
    assert choose(api, "en").headers["Location"] == "/commands/"
    answer = api.get("/commands/", **GERMAN)
    assert "<h1>Commands</h1>" in text_of(answer) and answer.headers["Content-Language"] == "en"
    assert '<option value="en" lang="en" selected>English</option>' in text_of(answer)
    choose(api, "de")
    assert "<h1>Befehle</h1>" in text_of(api.get("/commands/"))
    choose(api, "")
    assert "<h1>Commands</h1>" in text_of(api.get("/commands/"))
    assert "<h1>Befehle</h1>" in german(api, "/commands/")
    assert Preference.objects.count() == 1


def test_the_choice_of_one_user_is_not_that_of_another(api, client):
    choose(api, "de")
    api.logout()
    client.force_login(User.objects.create_superuser("bob"))
    assert "<h1>Commands</h1>" in text_of(client.get("/commands/"))


def test_an_error_page_is_in_the_language_that_the_user_has_chosen(api):
    choose(api, "de")
    for path in ("/nowhere/", "/commands/none/"):
        answer = api.get(path, HTTP_ACCEPT="text/html")
        assert answer.status_code == 404 and "Seite nicht verfügbar" in text_of(answer)


def test_another_language_is_refused_and_the_form_leads_only_to_own_pages(api):
    refused = choose(api, "fr")
    assert refused.status_code == 400 and text_of(refused) == "Es gibt keine Sprache fr."
    assert choose(api, "de", "https://elsewhere.example/").headers["Location"] == "/"
    assert api.get("/language/").status_code == 405


def test_without_a_login_no_language_can_be_chosen(client):
    assert choose(client, "de").headers["Location"].startswith("/login/")
    assert not Preference.objects.exists()


def test_the_login_is_in_german(client):
    assert "Benutzername" in german(client, "/login/")
    failed = client.post("/login/", {"username": "bob", "password": "wrong"}, **GERMAN)
    assert "Bitte Benutzername und Passwort eingeben." in text_of(failed)


# --- what stays English ----------------------------------------------------------------------


@pytest.mark.parametrize("language", ["de", ""])
def test_rest_is_english_whatever_browser_and_user_prefer(api, language):
    choose(api, language)
    body = {"charger_id": a_charger().identity, "action": "Reset", "payload": {"type": "Gentle"}}
    wrong = api.post("/api/ocpp/commands/", body, "application/json", **GERMAN)
    assert wrong.status_code == 400 and wrong.json()["error"] == 'type: "Gentle" is not one of "Hard" or "Soft"'
    empty = api.post("/api/ocpp/commands/", {}, "application/json", **GERMAN)
    assert "This field is required." in text_of(empty)
    missing = api.get("/api/ocpp/chargers/none/", **GERMAN)
    assert missing.json() == {"error": "Charger not found"}
    assert "Content-Language" not in missing.headers
    filtered = api.get("/api/ocpp/transactions/?connector_id=x", **GERMAN)
    assert "Enter a number." in text_of(filtered)


def test_the_description_of_the_api_is_the_same_in_every_language(api):
    assert api.get("/api/schema/", **GERMAN).content == api.get("/api/schema/", HTTP_ACCEPT="text/html").content


@pytest.mark.parametrize("path", ["/admin/", "/admin/chargers/charger/", "/admin/chargers/charger/add/"])
def test_the_admin_is_english(api, path):
    choose(api, "de")
    answer = text_of(api.get(path, **GERMAN))
    assert "Log out" in answer and "Abmelden" not in answer and 'lang="en"' in answer


@pytest.mark.django_db(transaction=True)
def test_exports_are_the_same_in_every_language(api):
    a_transaction(meterStart=1234567)
    path = "/transactions/export.csv"
    german_file, file = api.get(path, **GERMAN), api.get(path)
    assert whole(german_file) == whole(file) != b""
    assert "Content-Language" not in german_file.headers


@async_to_sync
async def whole(answer):
    return b"".join([part async for part in answer.streaming_content])


def test_what_a_german_page_submits_is_stored_in_english(api):
    charger = a_charger()
    open_socket(charger)
    tell(charger, "StatusNotification", connectorId=1, errorCode="NoError", status="Charging")
    fields = {"connectorId": "1", "expiryDate": "2100-01-01T00:00:00Z", "idTag": "ABC", "reservationId": "9"}
    sent = api.post(f"/chargers/{charger.identity}/submit/ReserveNow/", fields, **GERMAN)
    command = Command.objects.get()
    assert command.warning == "Connector 1 is Charging."
    page = api.get(sent.headers["Location"], **GERMAN)
    assert '<p class="warning">Ladepunkt 1 ist Charging.</p>' in text_of(page)


def test_after_a_german_page_the_process_goes_on_in_english(api):
    german(api, "/")
    assert translation.get_language() == "en"


# --- what is in German -----------------------------------------------------------------------


@pytest.mark.parametrize("language", ["de", "en"])
def test_the_page_without_a_database_is_in_the_language_of_the_browser(client, monkeypatch, language):
    def fail(*_):
        raise OperationalError("connection refused")

    wrong = diagnosis.DATABASE["away"]
    problem = readiness.Problem(
        *("database", "away", wrong.wrong.format(server="PostgreSQL"), "The server that DATABASE_URL names."),
        *(wrong.what_to_do.format(variable="DATABASE_URL"), False, ""),
    )
    monkeypatch.setattr(readiness, "problems", lambda: [problem])
    client.force_login(User.objects.create_superuser("bob"))
    client.raise_request_exception = False
    monkeypatch.setattr("dashboard.languages.chosen", fail)
    answer = client.get("/", HTTP_ACCEPT="text/html", HTTP_ACCEPT_LANGUAGE=language)
    assert answer.status_code == 500 and answer.headers["Content-Language"] == language
    shown = {"de": "PostgreSQL ist nicht erreichbar.</b> Der Server, den DATABASE_URL nennt. Starten Sie den Server"}
    assert shown.get(
        language, "PostgreSQL can&#x27;t be reached.</b> The server that DATABASE_URL names."
    ) in text_of(answer)


def test_pages_say_in_german_which_permission_is_missing(client):
    client.force_login(User.objects.create_user("bob"))
    assert "Sie benötigen die Berechtigung chargers.view_charger." in german(client, "/")


def test_errors_of_forms_and_filters_are_in_german(api):
    charger = a_charger()
    path = f"/chargers/{charger.identity}/submit/Reset/"
    assert "ist keiner der Werte &quot;Hard&quot; oder &quot;Soft&quot;" in text_of(
        api.post(path, {"type": "Gentle"}, **GERMAN)
    )
    assert "siehe Zeile 1, Spalte 2" in text_of(api.post(path, {"written": "{"}, **GERMAN))
    assert "<b>Von</b>: Bitte ein gültiges Datum eingeben." in german(api, "/transactions/?first_day=x")
    assert "<b>Typ</b>: Bitte eine gültige Auswahl treffen." in german(api, "/messages/?kind=X&is_error=true")
    batch = api.post("/batches/new/Reset/", {"type": "Soft", "everyone": "on", "spread_minutes": "-1"}, **GERMAN)
    assert "Verteilen über (Minuten): Der Wert muss größer oder gleich 0 sein." in text_of(batch)
    session = a_transaction(charger)
    tell(charger, "StopTransaction", transactionId=session.pk, meterStop=5000, timestamp=NOON)
    api.post(f"/transactions/{session.pk}/correct/", {"meter_stop": "1"}, **GERMAN)
    shown = german(api, f"/transactions/{session.pk}/")
    assert "Zählerstand Ende (Wh): Der Wert liegt unter dem Beginn von 1000 Wh." in shown


def test_refused_connections_are_in_german(api):
    now = datetime.now(UTC)
    reason = "Charger 'x' is not known here."
    Refusal.objects.create(kind="unknown", status=404, reason=reason, count=1, first_at=now, last_at=now)
    assert "Die Ladestation &#x27;x&#x27; ist hier nicht bekannt." in german(api, "/refused/")


def test_parts_that_a_page_fetches_again_are_in_german(api):
    choose(api, "de")
    assert "Noch keine Ladestationen" in text_of(api.get("/", headers={"X-Live": "1"}))


@pytest.mark.parametrize(("number", "text"), [(0, "0 Ladestationen"), (1, "1 Ladestation"), (2, "2 Ladestationen")])
def test_plurals_are_those_of_german(number, text):
    with translation.override("de"):
        forms = ("%(action)s to %(total)s charger", "%(action)s to %(total)s chargers")
        assert ngettext(*forms, number) % {"action": "Reset", "total": number} == f"Reset an {text}"


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        (
            "en",
            [
                "1,234.6\xa0kW",
                "12,345\xa0MWh",
                "12,345",
                "2025-02-26 12:00:00",
                "1.5 s",
                "3 d ago",
                "in 2 h",
                "Timed out",
            ],
        ),
        (
            "de",
            *(
                [
                    [
                        "1.234,6\xa0kW",
                        "12.345\xa0MWh",
                        "12.345",
                        "26.02.2025 12:00:00",
                        "1,5 s",
                        "vor 3 Tg.",
                        "in 2 h",
                    ]
                    + ["Zeitüberschreitung"]
                ]
            ),
        ),
    ],
)
def test_numbers_and_times_are_in_the_form_of_the_language(language, shown):
    now, noon = datetime.now(UTC), datetime.fromisoformat(NOON)
    with translation.override(language):
        texts = [kw(1_234_560), kwh(12_345_000_000), grouped(12345), re.sub("<[^>]*>", "", exact(noon))]
        texts += [between(noon, noon + timedelta(seconds=1.5)), ago(now - timedelta(days=3))]
        texts += [ago(now + timedelta(hours=2, minutes=1)), str(label("timed_out"))]
    assert [text.replace(",00\xa0MWh", "\xa0MWh").replace(".00\xa0MWh", "\xa0MWh") for text in texts] == shown


def test_numbers_for_scripts_and_forms_have_a_point_in_every_language():
    batch = {
        "counts": {"progress": 0.5, "states": {}, "outcomes": {}, "confirmations": {}},
        "state": "running",
        "total": 2,
    }
    with translation.override("de"):
        html = render_to_string("dashboard/batch_live.html", {"batch": batch | {"created_at": datetime.now(UTC)}})
    assert 'max="1" value="0.5"' in html


# --- sentences of the layers below the pages -------------------------------------------------


@pytest.mark.parametrize(
    ("english", "expected"),
    [
        ("A Recurring profile needs a recurrencyKind.", "Ein Recurring-Profil braucht ein recurrencyKind."),
        ("Connector 2 is Faulted.", "Ladepunkt 2 ist Faulted."),
        ("The charger has reported that X is read-only.", "Die Ladestation hat X als schreibgeschützt gemeldet."),
        ("The message broker can't be reached.", "Der Message-Broker ist nicht erreichbar."),
        (
            "PostgreSQL is read-only. Nothing was submitted; try again.",
            "PostgreSQL ist schreibgeschützt. Nichts wurde übergeben; versuchen Sie es erneut.",
        ),
        (
            "It exceeds its budget of connectors. The status of a further connector is acknowledged and not stored. "
            "Transactions there are stored.",
            "Das Budget ist überschritten: Ladepunkte. Der Status weiterer Ladepunkte wird bestätigt, aber nicht "
            "gespeichert. Ladevorgänge dort werden gespeichert.",
        ),
        ("Connector 1 is Faulted. A vendor said so.", "Ladepunkt 1 ist Faulted. A vendor said so."),
        ("A vendor said so. Connector 1 is Faulted.", "A vendor said so. Ladepunkt 1 ist Faulted."),
        (
            "meter_stop: It is below the start at 5 Wh.",
            "Zählerstand Ende (Wh): Der Wert liegt unter dem Beginn von 5 Wh.",
        ),
        (
            "2026-01-01 03:00:00 UTC: No charger matches the schedule.",
            "2026-01-01 03:00:00 UTC: Keine Ladestation passt zum Zeitplan.",
        ),
        ("Unknown chargers: a, b and 3 more.", "Unbekannte Ladestationen: a, b und 3 weitere."),
        ("{t.x} %s {0}", "{t.x} %s {0}"),
        ("", ""),
    ],
)
def test_a_sentence_is_translated_for_a_page(english, expected):
    with translation.override("de"):
        assert sentences.translated(english) == expected
    assert sentences.translated(english) == english


def test_a_text_of_many_sentences_is_translated():
    with translation.override("de"):
        assert sentences.translated("Nobody knows. " * 1000 + "No charger matches the schedule.").endswith(
            "zum Zeitplan."
        )
        assert sentences.translated("Nobody knows. " * 10_000) == "Nobody knows. " * 10_000


# --- texts that are not marked ---------------------------------------------------------------

# Words that are the same in all languages: of OCPP, of data, units, and names.
SAME = {
    *NAMES,
    *(
        "API",
        "Deutsch",
        "English",
        "UTC",
        "Wh",
        "kWh",
        "kW",
        "Pending",
        "Accepted",
        "Available",
        "Faulted",
        "Charging",
    ),
    *(
        "Unavailable",
        "GroundFailure",
        "alice",
        "min",
        "ms",
        "CALL",
        "CALLRESULT",
        "CALLERROR",
        "vendor",
        "model",
        "ABC",
    ),
    *(
        "CP",
        "status",
        "Rejected",
        "hourly",
        "Heartbeat",
        "StatusNotification",
        "StartTransaction",
        "Local",
        "site",
        "Soft",
    ),
    *("Invalid", "Hard", "connectorId", "errorCode", "MeterValues", "type"),
    *("OCPP", "ISO", "Occupied", "Started", "Trigger", "Central", "ref"),
    *("integer", "Actual", "ReadWrite", "SetVariables"),
}


@pytest.fixture
def only_marked(monkeypatch):
    """Every translated text is in «quotes», and the English text otherwise."""
    trans = translation._trans
    sentences._translated.cache_clear()
    monkeypatch.setattr(trans, "gettext", lambda text: f"«{text}»")
    monkeypatch.setattr(trans, "ngettext", lambda one, many, number: f"«{one if number == 1 else many}»")
    yield
    sentences._translated.cache_clear()


def outside_of_quotes(text):
    depth, kept = 0, []
    for character in text:
        depth += (character == "«") - (character == "»")
        kept.append(" " if depth or character == "»" else character)
    return "".join(kept)


def a_fleet():
    """A charger with all that pages show, and their paths."""
    charger = a_charger(vendor="vendor", model="model", security_profile=1)
    open_socket(charger)
    tell(charger, "StatusNotification", connectorId=1, errorCode="GroundFailure", status="Faulted")
    reading = {"timestamp": NOON, "sampledValue": [{"value": "1500"}]}
    session = a_transaction(charger)
    tell(charger, "MeterValues", connectorId=1, transactionId=session.pk, meterValue=[reading])
    later = a_transaction(charger)
    tell(charger, "StopTransaction", transactionId=later.pk, meterStop=5, timestamp=NOON)
    charger.variables.create(variable="connectorId", value="1")
    now = datetime.now(UTC)
    charger.findings.create(
        kind="too_long", field="type", action="StartTransaction", count=1, first_seen=now, last_seen=now
    )
    Message.objects.create(
        charger=charger, direction="in", kind="call", action="Heartbeat", frame="[]", at=now, is_error=False
    )
    reason = "A client certificate of this charger is required (security profile 3)."
    Refusal.objects.create(
        charger_id="CP", kind="credentials", status=401, reason=reason, count=1, first_at=now, last_at=now
    )
    Schedule.objects.create(
        name="hourly",
        action="Reset",
        payload={},
        every_seconds=3600,
        requested_by="alice",
        note="From 60 seconds to a year.",
    )
    image = Firmware.objects.create(description="2.0", file="firmware/x")
    chosen = {"chargers": [charger.identity]}
    campaign = Campaign.objects.create(
        name="2.0", firmware=image, chosen=chosen, state="stopped", reason="2 updates have failed."
    )
    campaign.items.create(charger=charger, state="failed", reason="The charger did not answer.")
    limit = PowerLimit.objects.create(amount=6, charger=charger, from_time="18:00", until_time="22:00")
    states = [{}, {"state": "sent", "sent_at": now}]
    states += [
        {"state": "finished", "outcome": outcome, "finished_at": now, "sent_at": now}
        for outcome in ("answered", "timed_out")
    ]
    commands = [a_command(charger, warning="Its expiryDate has passed.", **columns) for columns in states]
    return [
        *("/", "/transactions/", "/commands/", "/batches/", "/messages/", "/refused/", "/login/"),
        *(f"/transactions/{row.pk}/" for row in (session, later)),
        *(f"/commands/{command.task_id}/" for command in commands),
        *(f"/chargers/{charger.identity}/{page}" for page in ("", "submit/ClearCache/", "connection/")),
        "/add-charger/",
        *("/batches/new/Reset/", "/batches/settings/", "/limits/", "/limits/new/", "/nowhere/"),
        *("/campaigns/", "/campaigns/new/", f"/campaigns/{campaign.pk}/", f"/campaigns/{campaign.pk}/resume/"),
        *(f"/limits/{limit.pk}/", f"/limits/{limit.pk}/remove/", f"/limits/new/?charger={charger.identity}"),
        *_of_a_station(),
    ]


def _of_a_station():
    """The paths of pages of a charger of OCPP 2.0.1."""
    station = a_station()
    info = {"transactionId": "ref", "chargingState": "Charging"}
    event = {"eventType": "Started", "triggerReason": "Trigger", "seqNo": 1, "timestamp": NOON, "offline": True}
    token = {"idToken": "ABC", "type": "Central"}
    evse = {"id": 1, "connectorId": 2}
    tell(station, "TransactionEvent", **event, transactionInfo=info, evse=evse, idToken=token)
    name = VariableName("connectorId", component="vendor")
    for value in ("1", "2"):
        variables.accept(station.pk, name, value, True, "SetVariables")
    of_station = f"/chargers/{station.identity}/"
    return [
        *(f"/transactions/{station.transactions.get().pk}/", of_station, f"{of_station}variables/"),
        f"{of_station}variables/{station.variables.get().pk}/",
    ]


def test_every_text_of_the_pages_is_marked(api, only_marked):
    unmarked = {}
    for path in a_fleet():
        texts = shown_texts(german(api, path), skipped=("script", "style", "pre", "code", "template"))
        words = {word for text in texts for word in re.findall(r"[^\W\d_]{2,}", outside_of_quotes(text))}
        if words - SAME:
            unmarked[path] = sorted(words - SAME)
    assert not unmarked
