"""Store the charging limits that other systems impose on chargers and release (OCPP 2.0.1 K11 to K13)."""

from dataclasses import dataclass
from typing import Any

from chargers.models import ChargingLimit, InstalledProfile
from chargers.services.schedules import EXTERNAL
from core.ocpp.calls import Call


@dataclass(frozen=True, slots=True)
class ReportedLimit:
    """A limit as a charger reported it or, in a release, which limits are meant. EVSE 0 is the whole charger."""

    call: Call
    source: str
    evse_id: int | None = None
    is_grid_critical: bool | None = None
    schedules: tuple[dict[str, Any], ...] = ()


def record(reported: list[ReportedLimit]) -> set[int]:
    """Store limits; return the chargers (primary keys) whose limits change.

    A limit replaces that of the same source on the same EVSE. Repeating one changes nothing.
    """
    changed = set()
    for limit in reported:
        active = _active(limit.call.charger, limit.source, limit.evse_id or 0)
        columns = {"is_grid_critical": limit.is_grid_critical, "schedules": list(limit.schedules)}
        latest = active.first()
        if latest and all(getattr(latest, name) == value for name, value in columns.items()):
            continue
        active.update(cleared_at=limit.call.received_at)
        _create(limit, columns)
        changed.add(limit.call.charger)
    return changed


def release(released: list[ReportedLimit]) -> set[int]:
    """End the limits of a source, on one EVSE or all of them, with the profiles by which they were reported.

    Returns the chargers (primary keys).

    A release of a limit that was never reported is stored as a limit that has been cleared.
    """
    for limit in released:
        charger, at = limit.call.charger, limit.call.received_at
        constraints = InstalledProfile.objects.filter(charger=charger, purpose=EXTERNAL, source=limit.source)
        (constraints if limit.evse_id is None else constraints.filter(evse_id=limit.evse_id)).delete()
        if not _active(charger, limit.source, limit.evse_id).update(cleared_at=at):
            _create(limit, {"schedules": [], "cleared_at": at})
    return {limit.call.charger for limit in released}


def _active(charger: int, source: str, evse_id: int | None) -> Any:
    found = ChargingLimit.objects.filter(charger=charger, source=source, cleared_at=None)
    return found if evse_id is None else found.filter(evse_id=evse_id)


def _create(limit: ReportedLimit, columns: dict[str, Any]) -> None:
    ChargingLimit.objects.create(
        charger_id=limit.call.charger,
        evse_id=limit.evse_id or 0,
        source=limit.source,
        received_at=limit.call.received_at,
        **columns,
    )
