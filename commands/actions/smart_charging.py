"""What chargers report about their smart charging, in terms of no OCPP version."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SmartCharging:
    """What a charger reported about its smart charging; None and an empty set mean that it is not known."""

    max_periods: int | None
    max_stack_level: int | None
    max_profiles: int | None
    units: frozenset[str]
    is_enabled: bool
