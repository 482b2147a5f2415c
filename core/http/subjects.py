"""The subjects by which the documentation of the API is grouped."""

# Subject: what it is about, and the first parts of the paths of its operations.
SUBJECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "chargers": (
        "Chargers, their connectors, keys and settings, and those whose connection was refused.",
        ("chargers", "status", "refused-chargers"),
    ),
    "sites": ("The places where chargers stand.", ("sites",)),
    "commands": (
        "Commands to one charger. Each is a job: submit it, then poll its task.",
        ("commands", "tasks", "start", "stop", "authorize"),
    ),
    "batches": ("One command to many chargers, now, later or repeatedly.", ("batches", "schedules")),
    "transactions": (
        "Charging sessions with their events and readings, tariffs, and messages that wait for an operator.",
        ("transactions", "tariffs", "orphan-stops"),
    ),
    "id tokens": (
        "Tokens that may charge, unknown ones that were presented, and the lists of tokens in chargers.",
        ("id-tags", "unknown-id-tags", "local-lists"),
    ),
    "reservations": ("Reservations of connectors.", ("reservations",)),
    "smart charging": (
        "Charging profiles, limits of power, and the needs and schedules of vehicles.",
        ("power-limits", "charging-profiles", "charging-limits", "charging-needs", "charging-schedules"),
    ),
    "device model": (
        "What chargers report about themselves: variables, monitors, displays and networks.",
        ("variables", "monitors", "monitoring-events", "display-messages", "network-profiles"),
    ),
    "firmware and files": (
        "Firmware images, campaigns that bring one to many chargers, and files that chargers upload.",
        ("firmware", "campaigns", "published-firmware", "uploads"),
    ),
    "certificates": (
        "Certificates of chargers and vehicles, and the authority that issues them.",
        ("certificates", "certificate-inquiries", "contract-roots", "installed-certificates", "ca"),
    ),
    "messages": (
        "The message log, departures from the protocol, and data that no other resource has.",
        ("messages", "findings", "data-transfers"),
    ),
    "events": (
        "Events as a stream and by webhook, and security events.",
        ("events", "webhooks", "security-events"),
    ),
    "incidents": (
        "What is wrong with chargers and this system, and the rules that send messages about it.",
        ("incidents", "notification-rules"),
    ),
    "reports": (
        "Energy, success of sessions and commands, availability, outages and faults by site, charger and time.",
        ("reports", "report-subscriptions", "outages"),
    ),
    "access": ("API tokens of the user, and the audit log.", ("tokens", "audit")),
}
BY_PART = {part: name for name, (_, parts) in SUBJECTS.items() for part in parts}
TAGS = [{"name": name, "description": described} for name, (described, _) in SUBJECTS.items()]


def subject_of(path: str) -> str | None:
    """Return the subject of the operations of a path below /api/."""
    parts = [part for part in path.split("/") if part not in ("", "api", "ocpp")]
    return BY_PART.get(parts[0]) if parts else None
