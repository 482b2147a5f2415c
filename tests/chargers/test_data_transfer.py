"""DataTransfer (OCPP 1.6 §4.3): a registry of vendors' functions, and a record of what was said."""

import pytest

from chargers import vendors
from chargers.models import DataTransfer
from tests.builders import a_charger, tell

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
def test_each_vendor_is_answered_by_its_own_function_and_all_is_kept(vendor_id, message_id, answer):
    told = {"vendorId": vendor_id, "data": "x"} | ({"messageId": message_id} if message_id else {})
    assert tell(a_charger("505"), "DataTransfer", **told) == answer
    kept = DataTransfer.objects.get()
    assert (kept.vendor_id, kept.data, kept.status) == (vendor_id, "x", answer["status"])
    assert kept.answered_data == answer.get("data", "")


def test_what_was_transferred_can_be_read(api):
    tell(a_charger("505"), "DataTransfer", vendorId="net.example")
    listed = api.get("/api/ocpp/data-transfers/?charger_id=505&status=UnknownVendorId").json()
    assert [row["vendor_id"] for row in listed["results"]] == ["net.example"]
