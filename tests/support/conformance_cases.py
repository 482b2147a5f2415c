"""The certification cases for a central system: those of OCPP 1.6 by name, those of 2.0.1 by their ids."""

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

# Of OCPP 2.0.1: {certification profile: {functional block: numbers of its cases}}. A case of several profiles is
# listed with the first one. The names are the first lines of the docstrings of the tests.
BEYOND = "none"  # part 6 has the case, but no certification profile requires it of a central system
CASES_201 = {
    "Core": {
        "A": "01 02 03 04 06 09 10 19",
        "B": "01 02 06 07 09 10 12 13 20 21 22 25 26 27 30 31 42 44",
        "C": "02 06 07 08 20 37 38 39 47 48 49",
        "E": "01 02 03 04 07 08 09 10 11 12 14 15 16 17 19 20 21 22 26 29 30 31 33 34 38 39 53",
        "F": "01 02 03 04 06 11 12 13 14 15 18 20 23 24 27",
        "G": "03 04 05 06 07 08 11 14 17 20",
        "J": "01 02 03 04 07 08 09 10 11",
        "L": "01 02 03 04 05 06 07 08 09 10 11 13",
        "M": "01 02 05 13 18 19 20 21",
        "N": "25 27 28 29 30 31 32 34 35 36 62",
        "P": "02 03",
    },
    "Advanced Security": {"A": "07 08 11 14"},
    "Local Authorization List": {"C": "40 43", "D": "01 02 03 04 08 09", "N": "46"},
    "Smart Charging": {"K": "01 03 04 05 06 08 10 15 19 29 30 31 32 33 34 35 36 37 43 44 60 70"},
    "Advanced Device Management": {"B": "14 18", "N": "01 02 03 05 08 16 17 18 21 24 44 47 49 50 60"},
    "Reservation": {"H": "01 07 08 14 15 17 19 20 22"},
    "Advanced User Interface": {
        "I": "01 02",
        "O": "01 02 03 04 05 06 07 08 09 10 12 13 14 17 18 19 26 27 28",
    },
    "ISO 15118": {"A": "12", "C": "50 51 52", "K": "53 55 57 58 59", "M": "03 04 14 15 16 24 26 28", "N": "63"},
    BEYOND: {
        "B": "08 58",
        "K": "02 48 50 51 52",
        "L": "17 19 20 21 22 23 24",
        "M": "12 17",
        "N": "09 48",
        "O": "11 25",
    },
}
BLOCKS_201 = {
    "A": "Security",
    "B": "Provisioning",
    "C": "Authorization",
    "D": "Local authorization list",
    "E": "Transactions",
    "F": "Remote control",
    "G": "Availability",
    "H": "Reservation",
    "I": "Tariff and cost",
    "J": "Meter values",
    "K": "Smart charging",
    "L": "Firmware",
    "M": "Certificates",
    "N": "Diagnostics",
    "O": "Display messages",
    "P": "Data transfer",
}


def profiles_201():
    """{case id: its certification profile}, by block and number."""
    rows = [
        (f"TC_{block}_{number}", profile)
        for profile, blocks in CASES_201.items()
        for block, numbers in blocks.items()
        for number in numbers.split()
    ]
    return dict(sorted(rows))
