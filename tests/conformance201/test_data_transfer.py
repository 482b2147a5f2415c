"""Functional block P: messages of vendors, and members of vendors in other messages."""


def test_tc_p_02_csms(station):
    """Data Transfer to the CSMS - Rejected / Unknown VendorId / Unknown MessageId"""
    answer = station.call("DataTransfer", vendorId="org.example", messageId="colour", data={"r": 1})
    assert answer == {"status": "UnknownVendorId"}
    (stored,) = station.live.get(f"/api/ocpp/data-transfers/?charger_id={station.path}")["results"]
    assert (stored["vendor_id"], stored["message_id"], stored["data"]) == ("org.example", "colour", '{"r":1}')
