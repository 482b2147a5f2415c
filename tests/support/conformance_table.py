"""The certification cases for a central system by name, which of them passed in this run, and where things are."""

import re

CASES = {
    "Core": {
        "TC_001": "Cold boot",
        "TC_003": "Session, plug-in first",
        "TC_004_1": "Session, identification first",
        "TC_004_2": "Identification first, connection timeout",
        "TC_005_1": "Disconnected at the vehicle, stop and unlock",
        "TC_007": "Start with a cached id",
        "TC_061": "Clear the authorisation cache",
        "TC_010": "Remote start, cable already plugged",
        "TC_011_1": "Remote start before plug-in",
        "TC_011_2": "Remote start, timeout",
        "TC_012": "Remote stop",
        "TC_013": "Hard reset",
        "TC_014": "Soft reset",
        "TC_026": "Remote start rejected",
        "TC_028": "Remote stop rejected",
        "TC_017_1": "Unlock, no session, loose cable",
        "TC_017_2": "Unlock, no session, fixed cable",
        "TC_018_1": "Unlock during a session",
        "TC_030": "Unlock failure",
        "TC_031": "Unlock an unknown connector",
        "TC_019_1": "Read all keys",
        "TC_019_2": "Read one key",
        "TC_021": "Set a key",
        "TC_040_1": "Set an unsupported key",
        "TC_040_2": "Set an invalid value",
        "TC_023_1": "Authorize, invalid",
        "TC_023_2": "Authorize, expired",
        "TC_023_3": "Authorize, blocked",
        "TC_024": "Lock failure at session start",
        "TC_032_1": "Power loss, stopped after reboot",
        "TC_037_1": "Offline start, valid id",
        "TC_037_3": "Offline start, invalid id",
        "TC_039": "Whole transaction offline",
        "TC_064": "Data transfer to the central system",
    },
    "Local authorisation list": {
        "TC_042_1": "List version, not supported",
        "TC_042_2": "List version, empty",
        "TC_043_1": "Send list, NotSupported",
        "TC_043_3": "Send list, Failed",
        "TC_043_4": "Send list, Full",
        "TC_043_5": "Send list, Differential",
    },
    "Firmware and diagnostics": {
        "TC_044_1": "Firmware update",
        "TC_044_2": "Firmware download failed",
        "TC_044_3": "Firmware installation failed",
        "TC_045_1": "Get diagnostics",
        "TC_045_2": "Diagnostics upload failed",
    },
    "Reservation": {
        "TC_046": "Reserve a connector, then charge",
        "TC_047": "Reservation expires",
        "TC_048_1": "Reserve, Faulted",
        "TC_048_2": "Reserve, Occupied",
        "TC_048_3": "Reserve, Unavailable",
        "TC_048_4": "Reserve, Rejected",
        "TC_049": "Reserve the whole charge point",
        "TC_051": "Cancel a reservation",
        "TC_052": "Cancel rejected",
        "TC_053": "Use a reservation by parent id",
    },
    "Remote trigger": {
        "TC_054": "Trigger messages",
        "TC_055": "Trigger rejected",
    },
    "Smart charging": {
        "TC_056": "Default profile",
        "TC_057": "Profile for a running transaction",
        "TC_059": "Remote start with a profile",
        "TC_066": "Get composite schedule",
        "TC_067": "Clear charging profiles",
    },
    "Security": {
        "TC_073": "Change the Basic auth password",
        "TC_074": "Renew the charge point certificate",
        "TC_075_1": "Install a manufacturer root",
        "TC_075_2": "Install a central system root",
        "TC_076": "Delete a certificate",
        "TC_077": "Invalid charge point certificate",
        "TC_078": "Invalid central system certificate",
        "TC_079": "Get the security log",
        "TC_080": "Secure firmware update",
        "TC_081": "Secure firmware update, invalid signature",
        "TC_083": "Raise the security profile",
        "TC_085": "Basic authentication",
        "TC_086": "TLS server certificate",
        "TC_087": "TLS client certificate",
        "TC_088": "WebSocket subprotocol",
    },
}
TEST = re.compile(r"tests/conformance/test_\w+\.py::test_(tc_\d+(?:_\d)?)_")
BEGIN, END = "<!-- the tables, written by make conformance -->\n", "<!-- end of the tables -->\n"
_passed, _faults = {}, {}


def note(report):
    """Count a pytest report; a case passes if every phase of each of its tests did."""
    if found := TEST.match(report.nodeid):
        case = found[1].upper()
        _passed[case] = _passed.get(case, True) and report.passed


def count(what, tried, wrong):
    """Store how many faults were tried, and which were answered wrongly."""
    _faults[what] = (tried, wrong)


def faults():
    """The faults tried in this run, and the rows that were answered wrongly."""
    tried, wrong = sum(t for t, _ in _faults.values()), [row for _, rows in _faults.values() for row in rows]
    body = f"{tried - len(wrong)} of {tried} faulty messages and replies, made from {len(_faults)} schemas,"
    return [f"{body} get the code they deserve and leave no trace.", *wrong]


def lines():
    """The table of cases, as lines of Markdown."""
    rows = [(profile, case, title) for profile, cases in CASES.items() for case, title in cases.items()]
    passed = sum(_passed.get(case, False) for _, case, _ in rows)
    outcome = {True: "pass", False: "**FAIL**", None: "not run"}
    return [
        f"{passed} of {len(rows)} certification cases pass.",
        "",
        "| case | what | profile | result |",
        "| --- | --- | --- | --- |",
        *(f"| {case} | {title} | {profile} | {outcome[_passed.get(case)]} |" for profile, case, title in rows),
    ]


def messages():
    """A row for each message and each command: where it is implemented, and what tests it."""
    from commands.actions.ocpp16.table import ACTIONS
    from gateway.ocpp16 import HANDLERS

    received = [
        f"| {name} | from the charger | `{handler.__module__}` | {_tests(name)} |"
        for name, handler in sorted(HANDLERS.items())
    ]
    sent = [f"| {name} | to the charger | {_where(action)} | {_tests(name)} |" for name, action in ACTIONS.items()]
    return [
        f"{len(received)} messages from chargers, {len(sent)} commands to them.",
        "",
        "| message | direction | implemented in | tested in |",
        "| --- | --- | --- | --- |",
        *received,
        *sent,
    ]


def _where(action):
    table = "commands.actions.ocpp16.table"
    functions = [value for value in vars(action).values() if callable(value)]
    modules = {f.__module__ for f in functions if f.__module__ not in (table, "commands.actions.base")}
    return ", ".join(f"`{module}`" for module in [table, *sorted(modules)])


def _tests(name):
    """The test files that name a message."""
    from pathlib import Path

    root = Path(__file__).parent.parent
    naming = re.compile(rf"""["']{name}["']|{name}=|\b{name}\(""")
    found = (path for path in sorted(root.rglob("test_*.py")) if naming.search(path.read_text()))
    return ", ".join(f"`{path.relative_to(root)}`" for path in found)


def write(path):
    """Put the tables between the two marks of the document at `path`."""
    before, _, rest = path.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(
        [
            "## Certification cases",
            "",
            *lines(),
            "",
            "## Faulty messages",
            "",
            *faults(),
            "",
            "## Messages and commands",
            "",
            *messages(),
            "",
            "",
        ]
    )
    path.write_text(before + BEGIN + "\n" + tables + END + after)
