"""DataTransfer (OCPP 1.6 §4.3): the registry of vendor functions, and the stored transfers."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from chargers.models import DataTransfer
from gateway import vendors
from tests.support.builders import a_charger, tell

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(vendors, "_functions", {})
    vendors.vendor("com.example", "price")(lambda charger_id, data: ("Accepted", f"{charger_id} {data}"))
    vendors.vendor("com.example", "broken")(lambda charger_id, data: 1 / 0)
    vendors.vendor("com.example", "wrong")(lambda charger_id, data: ("Perhaps", 5))
    vendors.vendor("org.example")(lambda charger_id, data: ("Rejected", None))


@pytest.mark.parametrize(
    ("vendor_id", "message_id", "answer"),
    [
        ("net.example", "price", {"status": "UnknownVendorId"}),
        ("com.example", "other", {"status": "UnknownMessageId"}),
        ("com.example", None, {"status": "UnknownMessageId"}),
        ("com.example", "price", {"status": "Accepted", "data": "505 x"}),
        ("com.example", "broken", {"status": "Rejected"}),
        ("com.example", "wrong", {"status": "Rejected"}),
        ("org.example", "whatever", {"status": "Rejected"}),
    ],
)
def test_each_vendor_is_answered_by_its_own_function_and_transfers_are_stored(vendor_id, message_id, answer):
    payload = {"vendorId": vendor_id, "data": "x"} | ({"messageId": message_id} if message_id else {})
    assert tell(a_charger("505"), "DataTransfer", **payload) == answer
    stored = DataTransfer.objects.get()
    assert (stored.vendor_id, stored.data, stored.status) == (vendor_id, "x", answer["status"])
    assert stored.answered_data == answer.get("data", "")


def test_transfers_are_listed_over_rest(api):
    tell(a_charger("505"), "DataTransfer", vendorId="net.example")
    listed = api.get("/api/ocpp/data-transfers/?charger_id=505&status=UnknownVendorId").json()
    assert [row["vendor_id"] for row in listed["results"]] == ["net.example"]


def test_a_module_that_cannot_be_imported_is_named_with_its_setting(settings):
    settings.OCPP_VENDOR_MODULES = ["prices"]
    with pytest.raises(ImproperlyConfigured, match="OCPP_VENDOR_MODULES names prices, .* PYTHONPATH"):
        vendors.load()


def test_a_module_in_a_folder_of_the_python_path_is_loaded(settings, tmp_path, monkeypatch):
    (tmp_path / "tariffs.py").write_text(
        'from gateway.vendors import vendor\n\n\n@vendor("com.example", "tariff")\n'
        'def tariff(charger_id, data):\n    return "Accepted", "0.42"\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    settings.OCPP_VENDOR_MODULES = ["tariffs"]
    vendors.load()
    answer = tell(a_charger("505"), "DataTransfer", vendorId="com.example", messageId="tariff")
    assert answer == {"status": "Accepted", "data": "0.42"}
