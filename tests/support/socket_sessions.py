"""Messages of a charging session of OCPP 1.6."""

from tests.support.builders import NOON
from tests.support.live import an_id, exchange

START = {"connectorId": 1, "idTag": "T", "meterStart": 1000, "timestamp": NOON}


def meter(socket, transaction_id, register, timestamp):
    power = {"value": "7.2", "unit": "kW", "measurand": "Power.Active.Import"}
    value = {"timestamp": timestamp, "sampledValue": [{"value": str(register)}, power]}
    exchange(
        socket, an_id(), "MeterValues", {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
    )
