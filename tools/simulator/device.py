"""What a simulated charger of OCPP 2.0.1 remembers: its device model, monitors, profiles, messages, certificates."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from tools.simulator.charger import SimulatedCharger

READ_ONLY, READ_WRITE, WRITE_ONLY = "ReadOnly", "ReadWrite", "WriteOnly"
STATE = frozenset({"AvailabilityState", "Available", "Problem"})  # variables of a SummaryInventory


@dataclass(frozen=True)
class Name:
    """A variable of the device model; `evse` 0 and `connector` 0 stand for none."""

    component: str
    variable: str
    instance: str = ""  # of the variable
    evse: int = 0
    connector: int = 0

    @classmethod
    def of(cls, asked: dict) -> "Name":
        """The name in a request. A component without a variable has the variable ""."""
        variable, component = asked.get("variable", {}), asked["component"]
        evse = component.get("evse", {})
        places = evse.get("id", 0), evse.get("connectorId", 0)
        return cls(component["name"], variable.get("name", ""), variable.get("instance", ""), *places)

    @property
    def members(self) -> dict:
        """The members `component` and `variable`."""
        connector = {"connectorId": self.connector} if self.connector else {}
        evse = {"evse": {"id": self.evse, **connector}} if self.evse else {}
        instance = {"instance": self.instance} if self.instance else {}
        return {"component": {"name": self.component, **evse}, "variable": {"name": self.variable, **instance}}


@dataclass
class Variable:
    """`unit` is "" for none."""

    value: str
    mutability: str = READ_ONLY
    data_type: str = "string"
    unit: str = ""

    @property
    def members(self) -> dict:
        """The members of a report, without those of its name. The value of a WriteOnly variable is not reported."""
        value = {} if self.mutability == WRITE_ONLY else {"value": self.value}
        unit = {"unit": self.unit} if self.unit else {}
        return {
            "variableAttribute": [{**value, "mutability": self.mutability}],
            "variableCharacteristics": {**unit, "dataType": self.data_type, "supportsMonitoring": True},
        }


def _integer(value: int, unit: str = "", mutability: str = READ_WRITE) -> Variable:
    return Variable(str(value), mutability, "integer", unit)


def _boolean(value: bool, mutability: str = READ_WRITE) -> Variable:
    return Variable(str(value).lower(), mutability, "boolean")


def _of_station(charger: "SimulatedCharger") -> dict[Name, Variable]:
    boot = charger.vendor.boot
    return {
        Name("ChargingStation", "AvailabilityState"): Variable("Available", data_type="OptionList"),
        Name("ChargingStation", "Available"): _boolean(True, READ_ONLY),
        Name("ChargingStation", "Model"): Variable(boot["chargePointModel"]),
        Name("ChargingStation", "VendorName"): Variable(boot["chargePointVendor"]),
        Name("ChargingStation", "SupplyPhases"): _integer(3, mutability=READ_ONLY),
        Name("OCPPCommCtrlr", "HeartbeatInterval"): _integer(300, "s"),
        Name("OCPPCommCtrlr", "MessageTimeout", "Default"): _integer(30, "s", READ_ONLY),
        Name("OCPPCommCtrlr", "NetworkConfigurationPriority"): Variable("1", READ_WRITE, "SequenceList"),
        Name("OCPPCommCtrlr", "OfflineThreshold"): _integer(60, "s"),
        Name("OCPPCommCtrlr", "WebSocketPingInterval"): _integer(0, "s"),
        Name("DeviceDataCtrlr", "ItemsPerMessage", "GetReport"): _integer(16, mutability=READ_ONLY),
        Name("DeviceDataCtrlr", "ItemsPerMessage", "GetVariables"): _integer(16, mutability=READ_ONLY),
        Name("DeviceDataCtrlr", "ItemsPerMessage", "SetVariables"): _integer(16, mutability=READ_ONLY),
        Name("AuthCtrlr", "Enabled"): _boolean(True),
        Name("AuthCtrlr", "AuthorizeRemoteStart"): _boolean(False),
        Name("AuthCtrlr", "OfflineTxForUnknownIdEnabled"): _boolean(True),
        Name("TxCtrlr", "EVConnectionTimeOut"): _integer(60, "s"),
        Name("TxCtrlr", "TxStartPoint"): Variable("Authorized", READ_ONLY, "MemberList"),
        Name("TxCtrlr", "TxStopPoint"): Variable("EVConnected", READ_ONLY, "MemberList"),
        Name("TxCtrlr", "StopTxOnInvalidId"): _boolean(True, READ_ONLY),
        Name("SampledDataCtrlr", "TxUpdatedInterval"): _integer(round(charger.options.sample_interval), "s"),
        Name("AlignedDataCtrlr", "Interval"): _integer(0, "s"),
        Name("LocalAuthListCtrlr", "Entries"): _integer(0, mutability=READ_ONLY),
        Name("LocalAuthListCtrlr", "ItemsPerMessage"): _integer(100, mutability=READ_ONLY),
        Name("SecurityCtrlr", "BasicAuthPassword"): Variable("", WRITE_ONLY),
        Name("SecurityCtrlr", "Identity"): Variable(charger.identity),
        Name("SecurityCtrlr", "OrganizationName"): Variable("", READ_WRITE),
        Name("SecurityCtrlr", "SecurityProfile"): _integer(1 if charger.key else 0, mutability=READ_ONLY),
    }


def _of_evse(number: int) -> dict[Name, Variable]:
    return {
        Name("EVSE", "AvailabilityState", evse=number): Variable("Available", data_type="OptionList"),
        Name("EVSE", "Power", evse=number): Variable("11000", READ_ONLY, "decimal", "W"),
        Name("EVSE", "SupplyPhases", evse=number): _integer(3, mutability=READ_ONLY),
        Name("Connector", "AvailabilityState", "", number, 1): Variable("Available", data_type="OptionList"),
        Name("Connector", "ConnectorType", "", number, 1): Variable("cType2"),
        Name("ConnectorPlugRetentionLock", "Problem", "", number, 1): _boolean(False, READ_ONLY),
    }


@dataclass
class Device:
    """`charger` is its charger. Members of dictionaries are as in the requests that made them."""

    charger: "SimulatedCharger"
    list_version: int = 0
    list_entries: set[str] = field(default_factory=set)
    monitors: dict[int, tuple[Name, dict]] = field(default_factory=dict)
    displays: dict[int, dict] = field(default_factory=dict)
    certificates: list[tuple[str, dict]] = field(default_factory=list)  # (type, hashes)
    published: set[str] = field(default_factory=set)  # checksums of firmware
    monitor_ids: Iterator[int] = field(default_factory=lambda: count(1))
    event_ids: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.variables = _of_station(self.charger)
        for number in self.charger.connectors:
            self.variables |= _of_evse(number)

    def find(self, asked: dict) -> tuple[Name, Variable | None, str]:
        """(name, variable, status) of the variable of a request; the status is Accepted if there is one."""
        name = Name.of(asked)
        if variable := self.variables.get(name):
            return name, variable, "Accepted"
        known = any(_is_same_component(other, name) for other in self.variables)
        return name, None, "UnknownVariable" if known else "UnknownComponent"

    def matching(self, filters: Iterable[dict]) -> dict[Name, Variable]:
        """The variables that any of `filters` (`componentVariable`) names; all if there is none."""
        wanted = [Name.of(asked) for asked in filters]
        if not wanted:
            return self.variables
        return {
            name: variable
            for name, variable in self.variables.items()
            if any(_is_meant(name, asked) for asked in wanted)
        }

    def use_reservation(self, evse: int) -> int | None:
        """Return the id of the reservation that a transaction on `evse` uses, and forget it. None: there is none."""
        found = next((key for key, reserved in self.charger.reservations.items() if reserved in (0, evse)), None)
        if found is not None:
            del self.charger.reservations[found]
        return found

    def report(self, base: str) -> dict[Name, Variable]:
        """The variables of a base report."""
        if base == "ConfigurationInventory":
            return {name: each for name, each in self.variables.items() if each.mutability != READ_ONLY}
        if base == "SummaryInventory":
            return {name: each for name, each in self.variables.items() if name.variable in STATE}
        return self.variables


def _is_same_component(one: Name, other: Name) -> bool:
    return (one.component, one.evse, one.connector) == (other.component, other.evse, other.connector)


def _is_meant(name: Name, asked: Name) -> bool:
    """Whether a filter means `name`; what it leaves out matches anything."""
    pairs = zip(vars(asked).values(), vars(name).values(), strict=True)
    return all(not wanted or wanted == has for wanted, has in pairs)


def certificate_hashes(pem: str) -> dict | None:
    """CertificateHashDataType of a root in PEM, None if it cannot be read."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except ValueError:
        return None
    key = certificate.public_key()
    is_curve = hasattr(key, "curve")
    encoding = (Encoding.X962, PublicFormat.UncompressedPoint) if is_curve else (Encoding.DER, PublicFormat.PKCS1)
    return {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": sha256(certificate.issuer.public_bytes()).hexdigest(),
        "issuerKeyHash": sha256(key.public_bytes(*encoding)).hexdigest(),
        "serialNumber": f"{certificate.serial_number:x}",
    }
