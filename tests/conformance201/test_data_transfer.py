"""Functional block P: messages of vendors, and members of vendors in other messages."""

from tests.support.station import now
from tests.support.station201 import EVSE

CUSTOM = {"vendorId": "org.example", "colour": "green", "nested": {"list": [1, 2]}}


def test_tc_p_02_csms(station):
    """Data Transfer to the CSMS - Rejected / Unknown VendorId / Unknown MessageId"""
    answer = station.call("DataTransfer", vendorId="org.example", messageId="colour", data={"r": 1})
    assert answer == {"status": "UnknownVendorId"}
    (stored,) = station.live.get(f"/api/ocpp/data-transfers/?charger_id={station.path}")["results"]
    assert (stored["vendor_id"], stored["message_id"], stored["data"]) == ("org.example", "colour", '{"r":1}')


def test_tc_p_03_csms(station):
    """CustomData - Receive custom data"""
    status = {"timestamp": now(), "connectorStatus": "Occupied", "evseId": EVSE, "connectorId": 1}
    assert station.call("StatusNotification", **status, customData=CUSTOM) == {}
    session = station.session()
    session.start(info={"chargingState": "Charging", "customData": CUSTOM}, customData=CUSTOM)
    assert session.shown["status"] == "Ongoing" and station.findings == {}
