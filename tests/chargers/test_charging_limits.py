"""NotifyChargingLimit and ClearedChargingLimit of OCPP 2.0.1 (K11 to K13)."""

import pytest

from chargers.models import ChargingLimit, InstalledProfile
from tests.support.builders import a_call, settle, tell
from tests.support.charging201 import a_profile, a_schedule, a_station, install
from tests.support.station201 import Station201

pytestmark = pytest.mark.django_db(transaction=True)
EXTERNAL = "ChargingStationExternalConstraints"


@pytest.fixture
def charger():
    return a_station()


def notify(charger, source="EMS", **members):
    assert tell(charger, "NotifyChargingLimit", chargingLimit={"chargingLimitSource": source}, **members) == {}


def active():
    return sorted(ChargingLimit.objects.filter(cleared_at=None).values_list("source", "evse_id"))


def test_a_limit_is_listed_until_it_is_cleared(api, charger):
    notify(charger, evseId=1, chargingSchedule=[a_schedule((0, 10))])
    listed = f"/api/ocpp/charging-limits/?charger_id={charger.identity}&is_active=true"
    (shown,) = api.get(listed).json()["results"]
    assert (shown["evse_id"], shown["source"], shown["is_grid_critical"]) == (1, "EMS", None)
    assert shown["schedules"] == [a_schedule((0, 10))]
    assert tell(charger, "ClearedChargingLimit", chargingLimitSource="EMS", evseId=1) == {}
    assert api.get(listed).json()["results"] == []
    assert api.get(listed.replace("true", "false")).json()["results"][0]["cleared_at"]


def test_a_new_limit_replaces_the_one_of_its_source_on_its_evse(charger):
    for source, members in (("EMS", {}), ("SO", {}), ("EMS", {"evseId": 1}), ("EMS", {"chargingSchedule": []})):
        notify(charger, source, **members)
    notify(charger, "EMS", chargingSchedule=[a_schedule((0, 8))])
    assert active() == [("EMS", 0), ("EMS", 1), ("SO", 0)]
    assert ChargingLimit.objects.count() == 4


def test_a_repeated_limit_changes_nothing(charger):
    for _ in range(2):
        notify(charger, chargingSchedule=[a_schedule((0, 8))])
    assert ChargingLimit.objects.count() == 1


def test_a_release_without_an_evse_ends_all_limits_of_its_source(charger):
    install(charger, 0, a_profile(EXTERNAL, id=-1), source="EMS")
    install(charger, 0, a_profile(EXTERNAL, id=-2), source="SO")
    for source, evse in (("EMS", 1), ("EMS", 2), ("SO", 1)):
        notify(charger, source, evseId=evse)
    tell(charger, "ClearedChargingLimit", chargingLimitSource="EMS")
    assert active() == [("SO", 1)]
    assert InstalledProfile.objects.get().charging_profile_id == -2


def test_a_release_of_an_unknown_limit_is_stored(charger):
    tell(charger, "ClearedChargingLimit", chargingLimitSource="SO", evseId=2)
    limit = ChargingLimit.objects.get()
    assert (limit.source, limit.evse_id, limit.cleared_at) == ("SO", 2, limit.received_at)


def test_limits_of_many_chargers_are_stored_in_one_batch(charger):
    other = a_station()
    calls = [
        a_call(one, "NotifyChargingLimit", chargingLimit={"chargingLimitSource": "EMS"}) for one in (charger, other)
    ]
    assert settle(*calls) == [{}, {}]
    assert active() == [("EMS", 0)] * 2


def test_what_a_limit_lacks_is_accepted_leniently(live):
    with Station201(live, validation="") as station:
        station.connect().booted()
        assert station.send("NotifyChargingLimit", {"chargingLimit": {"isGridCritical": "yes"}})[0] == 3
        assert station.send("ClearedChargingLimit", {"chargingLimitSource": "Grid"})[0] == 3
        found = station.live.get(f"/api/ocpp/charging-limits/?charger_id={station.path}")["results"]
        assert {(limit["source"], limit["is_active"]) for limit in found} == {("", True), ("Grid", False)}
        assert station.found("NotifyChargingLimit", "chargingLimit.chargingLimitSource", "missing")
