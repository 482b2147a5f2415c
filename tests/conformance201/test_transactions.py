"""Functional block E: sessions by every start and stop point, and the status of transactions."""

from tests.support.scenario201 import Scenario
from tests.support.station201 import TOKEN, a_meter_value

INVALID = {"idToken": "CONF-NOBODY", "type": "ISO14443"}
SIGNED = {
    "signedMeterData": "c2lnbmVk",
    "signingMethod": "ECDSA-secp256r1-SHA256",
    "encodingMethod": "OCMF",
    "publicKey": "a2V5",
}


def accepted(answer):
    assert answer["idTokenInfo"]["status"] == "Accepted", answer


def is_ongoing(session, state):
    shown = session.shown
    assert (shown["status"], shown["charging_state"], shown["end_time"]) == ("Ongoing", state, None)


def is_ended(session, reason):
    shown = session.shown
    assert (shown["status"], shown["stop_reason"]) == ("Completed", reason) and shown["end_time"]


def starts_with_the_power(station, state, trigger="ChargingStateChanged", **members):
    """The driver is authorized and plugs in; only then does the transaction begin, in charging state `state`."""
    session = Scenario(station)
    station.authorized()
    station.status("Occupied")
    info = {"info": {"chargingState": state}} if state else {}
    accepted(session.send(trigger, evse=session.evse, idToken=TOKEN, **info, **members))
    return session


def lost_and_back(station):
    station.drop()
    station.connect()


def status_of(station, session, **answer):
    """GetTransactionStatus of `session`, or of all transactions; the CALL is as asked."""
    asked = {"transactionId": session.reference} if session else {}
    request, task = station.obeys("GetTransactionStatus", asked, answer)
    assert request == asked and task["result"] == answer


def test_tc_e_01_csms(station):
    """Start transaction options - PowerPathClosed"""
    session = starts_with_the_power(station, "SuspendedEVSE")
    session.send("ChargingStateChanged", info={"chargingState": "Charging"})
    is_ongoing(session, "Charging")


def test_tc_e_02_csms(station):
    """Start transaction options - EnergyTransfer"""
    is_ongoing(starts_with_the_power(station, "Charging"), "Charging")


def test_tc_e_03_csms(station):
    """Local start transaction - Cable plugin first - Success"""
    session = Scenario(station).at("plugged_in", "authorized", "charging")
    is_ongoing(session, "Charging")
    assert (session.shown["id_tag"], session.shown["id_token_type"]) == (TOKEN["idToken"], TOKEN["type"])


def test_tc_e_04_csms(station):
    """Local start transaction - Authorization first - Success"""
    session = Scenario(station).at("authorized", "plugged_in", "charging")
    is_ongoing(session, "Charging")
    assert (session.shown["evse_id"], session.shown["connector_id"]) == (1, 1)


def test_tc_e_38_csms(station):
    """Local start transaction - EV not ready"""
    session = Scenario(station).at("authorized", "plugged_in")
    session.send("ChargingStateChanged", info={"chargingState": "SuspendedEV"})
    is_ongoing(session, "SuspendedEV")
    session.send("ChargingStateChanged", info={"chargingState": "Charging"})
    is_ongoing(session, "Charging")


def test_tc_e_39_csms(station):
    """Stop transaction options - Deauthorized - timeout"""
    session = Scenario(station).at("authorized")
    session.ended("EVConnectTimeout", "Timeout")
    is_ended(session, "Timeout")


def test_tc_e_14_csms(station):
    """Stop transaction options - EVDisconnected - Charging Station side"""
    session = Scenario(station).at("still_plugged_in", "unplugged")
    is_ended(session, "EVDisconnected")


def test_tc_e_20_csms(station):
    """Stop transaction options - EVDisconnected - EV side (able to charge IEC 61851-1 EV)"""
    session = Scenario(station).at("suspended", "unplugged")
    is_ended(session, "EVDisconnected")


def test_tc_e_15_csms(station):
    """Stop transaction options - StopAuthorized - Local"""
    session = Scenario(station).charging()
    session.ended("StopAuthorized", "Local")
    is_ended(session, "Local")


def test_tc_e_21_csms(station):
    """Stop transaction options - StopAuthorized - Remote"""
    session = Scenario(station).charging()
    asked = {"transactionId": session.reference}
    request, _ = station.obeys("RequestStopTransaction", asked)
    assert request == asked
    session.ended("RemoteStop", "Remote")
    is_ended(session, "Remote")


def test_tc_e_09_csms(station):
    """Start transaction options - EVConnected"""
    session = Scenario(station)
    session.plugged_in()
    is_ongoing(session, "EVConnected")
    assert session.shown["id_tag"] == ""


def test_tc_e_10_csms(station):
    """Start transaction options - Authorized - Local"""
    session = Scenario(station)
    accepted(session.authorized())
    assert session.shown["status"] == "Ongoing"


def test_tc_e_11_csms(station):
    """Start transaction options - DataSigned"""
    value = a_meter_value(0.0, "Transaction.Begin", signedMeterValue=SIGNED)
    session = starts_with_the_power(station, None, "SignedDataReceived", meterValue=[value])
    session.send("ChargingStateChanged", info={"chargingState": "Charging"})
    is_ongoing(session, "Charging")
    assert session.shown["meter_start"] == 0


def test_tc_e_12_csms(station):
    """Start transaction options - ParkingBayOccupied"""
    session = Scenario(station)
    session.send("EVDetected")
    assert session.shown["status"] == "Ongoing"


def test_tc_e_07_csms(station):
    """Stop transaction options - PowerPathClosed - Local stop"""
    session = Scenario(station).charging()
    session.ended("StopAuthorized", "Local")
    is_ended(session, "Local")


def test_tc_e_08_csms(station):
    """Stop transaction options - EnergyTransfer stopped - StopAuthorized"""
    session = Scenario(station).at("stop_authorized")
    session.ended("ChargingStateChanged", "Local", "EVConnected")
    is_ended(session, "Local")


def test_tc_e_16_csms(station):
    """Stop transaction options - Deauthorized - Invalid idToken"""
    session = Scenario(station)
    answer = session.send("Authorized", idToken=INVALID)
    assert answer["idTokenInfo"]["status"] in ("Invalid", "Unknown")
    session.ended("Deauthorized", "DeAuthorized")
    is_ended(session, "DeAuthorized")


def test_tc_e_17_csms(station):
    """Stop transaction options - Deauthorized - EV side disconnect"""
    session = Scenario(station).at("suspended")
    session.ended("EVCommunicationLost", "EVDisconnected", "Idle")
    is_ended(session, "EVDisconnected")


def test_tc_e_22_csms(station):
    """Stop transaction options - EnergyTransfer stopped - SuspendedEV"""
    session = Scenario(station).charging()
    session.ended("ChargingStateChanged", "StoppedByEV", "SuspendedEV")
    is_ended(session, "StoppedByEV")


def test_tc_e_19_csms(station):
    """Stop transaction options - ParkingBayUnoccupied"""
    session = Scenario(station).at("still_plugged_in")
    station.status("Available")
    session.send("EVCommunicationLost", info={"chargingState": "Idle"})
    session.ended("EVDeparted", "Local")
    is_ended(session, "Local")


def test_tc_e_26_csms(station):
    """Disconnect cable on EV-side - Suspend transaction"""
    session = Scenario(station).at("suspended")
    session.send("EVCommunicationLost", info={"chargingState": "Idle"})
    station.status("Available")
    is_ongoing(session, "Idle")
    session.send("CablePluggedIn", info={"chargingState": "EVConnected"})
    session.send("ChargingStateChanged", info={"chargingState": "Charging"})
    is_ongoing(session, "Charging")


def test_tc_e_29_csms(station):
    """Check Transaction status - Transaction with id ongoing - with message in queue"""
    session = Scenario(station).charging()
    lost_and_back(station)
    status_of(station, session, ongoingIndicator=True, messagesInQueue=True)
    session.update(wh=2000, offline=True)
    is_ongoing(session, "Charging")


def test_tc_e_30_csms(station):
    """Check Transaction status - Transaction with id ongoing - without message in queue"""
    session = Scenario(station).charging()
    status_of(station, session, ongoingIndicator=True, messagesInQueue=False)


def test_tc_e_31_csms(station):
    """Check Transaction status - Transaction with id ended - with message in queue"""
    session = Scenario(station).charging()
    lost_and_back(station)
    station.status("Available")
    first, second = next(session.numbers), next(session.numbers)
    session.ended("EVCommunicationLost", "EVDisconnected", "Idle", offline=True)
    status_of(station, session, ongoingIndicator=False, messagesInQueue=True)
    session.send("StopAuthorized", seq_no=first, offline=True)
    session.send("ChargingStateChanged", seq_no=second, offline=True, info={"chargingState": "EVConnected"})
    is_ended(session, "EVDisconnected")
    path = f"/api/ocpp/transactions/{station.path}/{session.shown['transaction_id']}/events/"
    assert {first, second} <= {event["seq_no"] for event in station.live.get(path)["results"]}


def test_tc_e_33_csms(station):
    """Check Transaction status - Without transactionId - with message in queue"""
    session = Scenario(station).charging()
    lost_and_back(station)
    status_of(station, None, messagesInQueue=True)
    session.update(wh=2000, offline=True)


def test_tc_e_34_csms(station):
    """Check Transaction status - Without transactionId - without message in queue"""
    status_of(station, None, messagesInQueue=False)


def test_tc_e_53_csms(station):
    """Reset Sequence Number - CSMS accepting seqNo = 0 at start of transaction"""
    for _ in range(2):
        session = Scenario(station).at("charging", "unplugged")
        is_ended(session, "EVDisconnected")
