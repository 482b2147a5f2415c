"""Functional block J: clock-aligned and sampled meter values, in transactions and without one."""

from tests.support.scenario201 import Scenario
from tests.support.station201 import a_meter_value

CLOCK, PERIODIC, BEGIN, END = "Sample.Clock", "Sample.Periodic", "Transaction.Begin", "Transaction.End"
SIGNED = {"signedMeterData": "c2lnbmVk", "signingMethod": "", "encodingMethod": "OCMF", "publicKey": "a2V5"}


def at(minute):
    return f"2026-05-01T10:{minute:02}:00Z"


def values_until_the_end(context, **sampled):
    """The meter values of an Ended event: three of `context`, and the last one."""
    values = [a_meter_value(1000 + 100 * n, context, at(15 * n), **sampled) for n in range(3)]
    return [*values, a_meter_value(1500, END, at(50), **sampled)]


def stored(session):
    """[(time, context, value)] of the readings of the transaction, in order of time, without signed data."""
    readings = session.station.readings(session.shown["transaction_id"])
    return sorted((r["timestamp"][:16], r["context"], float(r["value"])) for r in readings if not is_signed(r))


def is_signed(reading):
    return reading["format"] == "SignedData"


def ends_with_its_readings(station, context, **sampled):
    """The Ended event brings the readings of the transaction, which are stored; the last one is its meter stop."""
    session = Scenario(station).at("still_plugged_in")
    session.unplugged(meterValue=values_until_the_end(context, **sampled))
    contexts = [row[1] for row in stored(session)]
    assert contexts == [context] * 3 + [END]
    assert (session.shown["status"], session.shown["meter_stop"]) == ("Completed", 1500)
    return session


def signed_readings(session):
    readings = session.station.readings(session.shown["transaction_id"])
    return [reading for reading in readings if is_signed(reading) and SIGNED["signedMeterData"] in reading["value"]]


def test_tc_j_01_csms(station):
    """Clock-aligned Meter Values - No transaction ongoing"""
    for minute in (0, 15, 30):
        for evse in (0, 1, 2):
            value = a_meter_value(1000 + minute, CLOCK, at(minute))
            assert station.call("MeterValues", evseId=evse, meterValue=[value]) == {}
    rows = "SELECT count(*) FROM transactions_metervalue WHERE charger_id = %s AND transaction_id IS NULL"
    assert station.live.rows(rows, station.primary_key()) == [(9,)]


def test_tc_j_02_csms(station):
    """Clock-aligned Meter Values - Transaction ongoing"""
    session = Scenario(station).charging()
    for minute in (0, 15, 30):
        for evse in (0, 2):
            assert station.call("MeterValues", evseId=evse, meterValue=[a_meter_value(1, CLOCK, at(minute))]) == {}
        session.send("MeterValueClock", meterValue=[a_meter_value(1000 + minute, CLOCK, at(minute))])
    assert [(context, value) for _, context, value in stored(session)] == [
        (CLOCK, 1000.0),
        (CLOCK, 1015.0),
        (CLOCK, 1030.0),
    ]


def test_tc_j_03_csms(station):
    """Clock-aligned Meter Values - EventType Ended"""
    ends_with_its_readings(station, CLOCK)


def test_tc_j_04_csms(station):
    """Clock-aligned Meter Values - Signed"""
    session = ends_with_its_readings(station, CLOCK, signedMeterValue=SIGNED)
    assert len(signed_readings(session)) == 4


def test_tc_j_07_csms(station):
    """Sampled Meter Values - EventType Started - EVSE known"""
    session = Scenario(station)
    session.plugged_in(meterValue=[a_meter_value(1000, BEGIN)])
    assert session.shown["meter_start"] == 1000


def test_tc_j_08_csms(station):
    """Sampled Meter Values - Context Transaction.Begin - EVSE not known"""
    session = Scenario(station).at("authorized")
    session.plugged_in(meterValue=[a_meter_value(1000, BEGIN)])
    session.charging()
    assert (session.shown["meter_start"], session.shown["evse_id"]) == (1000, 1)


def test_tc_j_09_csms(station):
    """Sampled Meter Values - EventType Updated"""
    session = Scenario(station).charging()
    for minute in (0, 1, 2):
        session.send("MeterValuePeriodic", meterValue=[a_meter_value(1000 + minute, PERIODIC, at(minute))])
    assert [row[1:] for row in stored(session)] == [(PERIODIC, 1000.0), (PERIODIC, 1001.0), (PERIODIC, 1002.0)]


def test_tc_j_10_csms(station):
    """Sampled Meter Values - EventType Ended"""
    ends_with_its_readings(station, PERIODIC)


def test_tc_j_11_csms(station):
    """Sampled Meter Values - Signed"""
    session = ends_with_its_readings(station, PERIODIC, signedMeterValue=SIGNED)
    assert len(signed_readings(session)) == 4
