"""A charger is made known: refused handshakes, factory keys, `manage.py create_charger`."""

import base64
import io

import pytest
import websockets
from django.core.management import CommandError, call_command

from chargers.models import AuditEntry, Charger
from tests.builders import a_charger
from tests.live import an_id

FACTORY_KEY = "A1b2C3d4e5"


def basic(charger_id, key):
    return {"Authorization": "Basic " + base64.b64encode(f"{charger_id}:{key}".encode()).decode()}


# --- factory keys ----------------------------------------------------------------------------


def test_a_factory_key_of_10_characters_opens_the_door_where_an_operator_insists(live):
    charger_id = an_id()
    body = {"charger_id": charger_id, "security_profile": 1, "authorization_key": FACTORY_KEY}
    status, refused, _ = live.request("POST", "/api/ocpp/chargers/", body)
    assert status == 400 and "allow_short_key" in refused["fields"]["authorization_key"][0]
    status, made, _ = live.request("POST", "/api/ocpp/chargers/", body | {"allow_short_key": True})
    assert status == 201 and "10 characters" in made["warning"] and "allow_short_key" not in made
    with live.socket(charger_id, additional_headers=basic(charger_id, FACTORY_KEY)):
        pass
    with pytest.raises(websockets.InvalidStatus):
        live.socket(charger_id, additional_headers=basic(charger_id, FACTORY_KEY[:-1]))
    audited = live.get(f"/api/ocpp/audit/?charger_id={charger_id}&kind=charger")["results"]
    assert any("10 characters" in ((entry["after"] or {}).get("warning") or "") for entry in audited)
    assert "warning" not in live.get(f"/api/ocpp/chargers/{charger_id}/")


@pytest.mark.django_db
@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_short_key_of_a_known_charger_needs_the_confirmation_too(api, method):
    charger = a_charger()
    change = getattr(api, method)
    path, body = f"/api/ocpp/chargers/{charger.charger_id}/", {"authorization_key": "12345678"}
    refused = change(path, body, "application/json")
    assert refused.status_code == 400 and "allow_short_key" in refused.json()["error"]
    taken = change(path, body | {"allow_short_key": True}, "application/json")
    assert taken.status_code == 200 and "8 characters" in taken.json()["warning"]
    charger.refresh_from_db()
    assert charger.has_key("12345678")


@pytest.mark.django_db
def test_a_key_under_8_characters_is_never_taken(api):
    body = {"charger_id": "CP-7", "authorization_key": "1234567", "allow_short_key": True}
    assert api.post("/api/ocpp/chargers/", body, "application/json").status_code == 400
    with pytest.raises(CommandError, match="16 to 40"):
        call_command("create_charger", "CP-7", "--key", "1234567", "--allow-short-key")
    assert not Charger.objects.filter(charger_id="CP-7").exists()


@pytest.mark.django_db
def test_the_admin_takes_a_short_key_with_its_box_ticked(client, django_user_model):
    client.force_login(django_user_model.objects.create_superuser("root"))
    charger = a_charger()
    path = f"/admin/chargers/charger/{charger.pk}/change/"
    inlines = ("connectors", "configuration", "installed_profiles", "installed_certificates")
    form = {f"{prefix}-{name}": "0" for prefix in inlines for name in ("TOTAL_FORMS", "INITIAL_FORMS")}
    form |= {"boot_policy": "Accepted", "new_authorization_key": FACTORY_KEY}
    assert "Allow short key" in client.post(path, form).content.decode()
    charger.refresh_from_db()
    assert not charger.authorization_key_hash
    said = client.post(path, form | {"allow_short_key": "on"}, follow=True).content.decode()
    charger.refresh_from_db()
    assert charger.has_key(FACTORY_KEY) and "can be guessed" in said
    entries = AuditEntry.objects.filter(charger=charger, after__has_key="warning")
    assert "10 characters" in entries.get().after["warning"]


# --- manage.py create_charger ----------------------------------------------------------------


def created(*arguments):
    """(what it printed, its warnings) of `manage.py create_charger` with `arguments`."""
    out, err = io.StringIO(), io.StringIO()
    call_command("create_charger", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


@pytest.mark.django_db
def test_create_charger_takes_a_factory_key_with_allow_short_key():
    with pytest.raises(CommandError, match="--allow-short-key"):
        created("CP-1", "--key", FACTORY_KEY)
    _, warned = created("CP-1", "--key", FACTORY_KEY, "--allow-short-key")
    assert "can be guessed" in warned and Charger.objects.get(charger_id="CP-1").has_key(FACTORY_KEY)


@pytest.mark.django_db
def test_create_charger_changes_a_known_charger_with_force_only():
    charger = a_charger(security_profile=1)
    key = charger.make_key()
    with pytest.raises(CommandError, match=r"to 2 \(now 1\) and replace its key.*--force"):
        created(charger.charger_id, "--security-profile", "2", "--new-key")
    with pytest.raises(CommandError, match="nothing would be changed"):
        created(charger.charger_id)
    charger.refresh_from_db()
    assert charger.security_profile == 1 and charger.has_key(key)
    printed, _ = created(charger.charger_id, "--security-profile", "2", "--new-key", "--force")
    charger.refresh_from_db()
    assert charger.security_profile == 2 and charger.has_key(printed.strip()) and not charger.has_key(key)
