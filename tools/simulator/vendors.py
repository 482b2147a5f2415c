"""Vendor profiles: how a simulated charger presents itself, and which meter values it sends.

They follow public reports about such chargers; firmware changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

VOLTAGE = 230
PHASES = ("L1", "L2", "L3")
PROFILES = "Core,FirmwareManagement,LocalAuthListManagement,Reservation,SmartCharging,RemoteTrigger"
CONFIGURATION = {
    "HeartbeatInterval": "300",
    "MeterValueSampleInterval": "10",
    "ConnectionTimeOut": "60",
    "AuthorizeRemoteTxRequests": "false",
    "NumberOfConnectors": "2",
    "SupportedFeatureProfiles": PROFILES,
}


@dataclass(frozen=True)
class Vendor:
    """`boot` has members of BootNotification, and `error_code` is the vendor's code for a fault.

    `sampled` makes the samples of a register in Wh, a power in W, and a state of charge in % or None.
    """

    help: str
    boot: dict
    sampled: Callable[[float, float, float | None], list[dict]]
    configuration: dict = field(default_factory=dict)
    error_code: str = "E-17"

    def boot_notification(self, charger_id: str) -> dict:
        return {"chargePointSerialNumber": f"SIM-{charger_id}"[:25]} | self.boot


def _sample(value: str, measurand: str, unit: str, **more: str) -> dict:
    return {"value": value, "measurand": measurand, "unit": unit} | more


def _demo(register, power, soc):
    return [
        _sample(f"{register:.0f}", "Energy.Active.Import.Register", "Wh"),
        _sample(f"{power:.0f}", "Power.Active.Import", "W"),
        _sample(f"{power / VOLTAGE / 3:.1f}", "Current.Import", "A", phase="L1"),
        _sample(str(VOLTAGE), "Voltage", "V", phase="L1-N"),
        *([_sample(f"{soc:.0f}", "SoC", "Percent")] if soc is not None else []),
    ]


def _alfen(register, power, soc):
    """Three phases, with the phase in the measurand as well, and a frequency, whose unit OCPP 1.6 does not list."""
    each = {"context": "Sample.Periodic", "format": "Raw", "location": "Outlet"}
    current = f"{power / VOLTAGE / 3:.3f}"
    return [
        _sample(f"{register:.3f}", "Energy.Active.Import.Register", "Wh", **each),
        *(_sample(current, f"Current.Import.{phase}", "A", phase=phase, **each) for phase in PHASES),
        *(_sample(f"{VOLTAGE}.4", "Voltage", "V", phase=f"{phase}-N", **each) for phase in PHASES),
        _sample(f"{power:.2f}", "Power.Active.Import", "W", **each),
        _sample("50.02", "Frequency", "Hz", **each),
    ]


def _schneider(register, power, soc):
    """The register by itself, without measurand and unit, and the currents of the phases."""
    current = f"{power / VOLTAGE / 3:.1f}"
    return [{"value": f"{register:.0f}"}, *(_sample(current, "Current.Import", "A", phase=phase) for phase in PHASES)]


def _dc(register, power, soc):
    """Direct current: kWh and kW, no phases, the offered power, the temperature, and the state of charge."""
    return [
        _sample(f"{register / 1000:.3f}", "Energy.Active.Import.Register", "kWh", location="Inlet"),
        _sample(f"{power / 1000:.2f}", "Power.Active.Import", "kW", location="Outlet"),
        _sample("150.00", "Power.Offered", "kW"),
        _sample("400.0", "Voltage", "V", location="Outlet"),
        _sample(f"{power / 400:.1f}", "Current.Import", "A", location="Outlet"),
        _sample("31", "Temperature", "Celsius", location="Body"),
        *([_sample(f"{soc:.0f}", "SoC", "Percent", location="EV")] if soc is not None else []),
    ]


VENDORS = {
    "demo": Vendor(
        "a charger without peculiarities",
        {"chargePointModel": "Simulated", "chargePointVendor": "Demo", "firmwareVersion": "1.0.0"},
        _demo,
    ),
    "alfen": Vendor(
        "three-phase AC; measurands such as Current.Import.L1, a frequency in Hz",
        {
            **{"chargePointVendor": "Alfen BV", "chargePointModel": "NG910-60503", "firmwareVersion": "6.4.1-4237"},
            **{"meterType": "DSMR", "iccid": "8931440400000000000"},
        },
        _alfen,
        configuration={
            "MeterValuesSampledData": "Energy.Active.Import.Register,Current.Import.L1,Voltage,Frequency",
            "AuthorizationMethod": "RFID",
            "MaxStationCurrent": "32",
            "PlugAndChargeIdentifier": "",
        },
        error_code="302",
    ),
    "schneider": Vendor(
        "serial numbers of more than 25 characters, samples without measurand and unit",
        {
            **{"chargePointVendor": "Schneider Electric", "chargePointModel": "MONOBLOCK"},
            **{"chargePointSerialNumber": "3N204430546B1S1B7551700013", "firmwareVersion": "3.4.0.12"},
            **{"chargeBoxSerialNumber": "3N204430546B1S1B7551700013-000001"},
        },
        _schneider,
        configuration={"StopTransactionOnEVSideDisconnect": "true", "maxintensitysocket": "16", "lang": "en"},
        error_code="5",
    ),
    "dc": Vendor(
        "a DC fast charger: kWh and kW, no phases, state of charge, temperature",
        {
            **{"chargePointVendor": "alpitronic GmbH", "chargePointModel": "HYC_300", "firmwareVersion": "2.5.3"},
            **{"meterType": "LEM DCBM 400", "meterSerialNumber": "1230400017", "imsi": "295050910000000"},
        },
        _dc,
        configuration={"MeterValuesAlignedData": "Energy.Active.Import.Register,SoC", "MaxPowerKW": "150"},
        error_code="EVSE_14_ISO",
    ),
}
