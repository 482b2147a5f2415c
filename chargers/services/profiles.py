"""The charging profiles that chargers have: what they accepted and reported, and how they overrule each other."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q

from chargers.models import Charger, ChargingLimit, InstalledProfile
from chargers.services.schedules import (
    EXTERNAL,
    STATION_PURPOSES,
    TX_DEFAULT,
    TX_PROFILE,
    Limit,
    Schedule,
    Step,
    schedules_of,
    steps,
)
from core.ocpp.redaction import without_secrets
from core.ocpp.timestamps import parse, to_rfc3339

CSO = "CSO"  # the source of profiles that this system set
# The columns that a profile replaces in the row of a former one with its id and place.
REPLACED = ("stack_level", "purpose", "source", "transaction_id", "valid_from", "valid_to", "profile")
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class ChargingProfile:
    """A profile and its place. `profile` has the form of its OCPP version, `transaction` is a primary key."""

    id: int
    evse_id: int
    purpose: str
    stack_level: int
    profile: dict[str, Any] = field(repr=False)
    transaction: int | None = None
    source: str = CSO


@dataclass(frozen=True)
class Criteria:
    """What selects profiles of a charger; None selects every value."""

    ids: Sequence[int] | None = None
    evse_id: int | None = None
    purpose: str | None = None
    stack_level: int | None = None
    sources: Sequence[str] | None = None

    def select(self, charger: int) -> Any:
        """Return the rows of `charger` (primary key) that meet every criterion."""
        wanted = {
            "charging_profile_id__in": self.ids,
            "evse_id": self.evse_id,
            "purpose": self.purpose,
            "stack_level": self.stack_level,
            "source__in": self.sources,
        }
        chosen = {name: value for name, value in wanted.items() if value is not None}
        return InstalledProfile.objects.filter(charger=charger, **chosen)


def install(charger: Charger, accepted: ChargingProfile) -> None:
    """Record a profile that `charger` accepted; it replaces one with the same id (OCPP 1.6 §5.16, 2.0.1 K01.FR.05).

    In 1.6 it also replaces one with the same stack level and purpose on its connector.
    """
    replaced = Q(charging_profile_id=accepted.id)
    if isinstance(accepted.profile.get("chargingSchedule"), dict):
        replaced |= Q(
            evse_id=accepted.evse_id,
            stack_level=accepted.stack_level,
            purpose=accepted.purpose,
            transaction_id=accepted.transaction,
        )
    InstalledProfile.objects.filter(replaced, charger=charger).exclude(purpose=EXTERNAL).delete()
    store([(charger.pk, accepted)], {})


def clear(charger: Charger, criteria: Criteria) -> None:
    """Delete the profiles that `charger` says it has no longer; external constraints stay (2.0.1 K10.FR.04)."""
    criteria.select(charger.pk).exclude(purpose=EXTERNAL).delete()


def store(found: Iterable[tuple[int, ChargingProfile]], reported_at: Mapping[int, datetime]) -> None:
    """Store profiles of chargers (primary keys), each in its row.

    `reported_at` is {charger: time of its report}; a profile that was accepted has none.
    """
    rows = {
        (charger, profile.id, profile.evse_id): _row(
            profile, charger_id=charger, reported_at=reported_at.get(charger)
        )
        for charger, profile in found
    }
    InstalledProfile.objects.bulk_create(
        [rows[key] for key in sorted(rows)],  # in one order, so that two transactions do not wait for each other
        update_conflicts=True,
        unique_fields=["charger", "charging_profile_id", "evse_id"],
        update_fields=[*REPLACED, "reported_at"],
    )


def forget_others(charger: int, criteria: Criteria, kept: Iterable[tuple[int, int]], since: datetime | None) -> None:
    """Delete the profiles that meet `criteria`, except `kept`, (id, EVSE), and those installed after `since`.

    `charger` (primary key) has reported all that meet the criteria.
    """
    found, kept = criteria.select(charger), set(kept)
    rows = found.filter(installed_at__lt=since) if since else found
    missing = [row.pk for row in rows if (row.charging_profile_id, row.evse_id) not in kept]
    InstalledProfile.objects.filter(pk__in=missing).delete()


def _row(profile: ChargingProfile, **columns: Any) -> InstalledProfile:
    return InstalledProfile(
        charging_profile_id=profile.id,
        evse_id=profile.evse_id,
        stack_level=profile.stack_level,
        purpose=profile.purpose,
        source=profile.source,
        transaction_id=profile.transaction,
        valid_from=parse(str(profile.profile.get("validFrom", ""))),
        valid_to=parse(str(profile.profile.get("validTo", ""))),
        profile=without_secrets(profile.profile),
        **columns,
    )


# --- which profile applies ---------------------------------------------------------------------


def conflicts(profile: ChargingProfile | InstalledProfile, other: InstalledProfile) -> bool:
    """Whether a charger may not have both, since neither overrules the other (2.0.1 K01.FR.06, .39, .52, .53)."""
    own = _row(profile) if isinstance(profile, ChargingProfile) else profile
    same_level = (own.purpose, own.stack_level) == (other.purpose, other.stack_level)
    if own.charging_profile_id == other.charging_profile_id or not same_level:
        return False
    if own.purpose == TX_PROFILE:
        return own.transaction_id is not None and own.transaction_id == other.transaction_id
    if own.evse_id != other.evse_id:
        return own.purpose == TX_DEFAULT and 0 in (own.evse_id, other.evse_id)
    (begin, end), (other_begin, other_end) = _validity(own), _validity(other)
    return begin < other_end and other_begin < end


def _validity(row: InstalledProfile) -> tuple[datetime, datetime]:
    return row.valid_from or FIRST, row.valid_to or LAST


def _schedule(row: InstalledProfile, schedule_id: int | None = None) -> Schedule | None:
    """Return its schedule with the id, else its first one."""
    found = schedules_of(row.profile)
    named = [schedule for schedule in found if schedule.id == schedule_id]
    return next(iter([*named, *found]), None)


def _limit_at(
    row: InstalledProfile, schedule: Schedule | None, moment: datetime, started_at: datetime | None = None
) -> Limit | None:
    begin, end = _validity(row)
    return schedule.limit_at(moment, started_at) if schedule and begin <= moment < end else None


def is_effective(row: InstalledProfile, rows: Iterable[InstalledProfile], moment: datetime) -> bool:
    """Whether `row` sets a limit at `moment` and none of the other `rows` of its charger overrules it."""
    return _limit_at(row, _schedule(row), moment) is not None and not any(
        _limit_at(other, _schedule(other), moment) is not None for other in rows if _overrules(other, row)
    )


def _overrules(other: InstalledProfile, row: InstalledProfile) -> bool:
    if other.evse_id not in (0, row.evse_id):
        return False
    if other.purpose == row.purpose:
        return other.stack_level > row.stack_level
    return other.purpose == TX_PROFILE and row.purpose == TX_DEFAULT


@dataclass(frozen=True)
class Place:
    """An EVSE of a charger (primary key), and the transaction under way there that began at `started_at`."""

    charger: int
    evse_id: int
    transaction: int | None = None
    started_at: datetime | None = None


def limits(
    place: Place,
    unit: str,
    begin: datetime,
    end: datetime,
    but: int | None = None,
    schedule_id: int | None = None,
    pending: Sequence[ChargingProfile] = (),
) -> list[Step]:
    """Return the limits in `unit` that profiles and other systems set at `place` from `begin` to `end`.

    At each moment the highest stack level of a purpose counts, a TxProfile instead of the TxDefaultProfile, and the
    lowest limit of the purposes (OCPP 1.6 §3.13.3, 2.0.1 K, section 3.5). All limits of other systems count (K11).
    The profile with the id `but` is ignored, and `pending` ones count as installed.
    """
    ignored = {but, *(profile.id for profile in pending)}
    rows = [row for row in _at(place) if row.charging_profile_id not in ignored]
    rows = sorted([*rows, *map(_row, pending)], key=lambda row: -row.stack_level)
    found = [(row, _schedule(row, schedule_id)) for row in rows]
    found += [(row, schedule) for row in _external(place) for schedule in schedules_of(row.profile)]
    changes = {at for row, schedule in found for at in _changes(row, schedule, begin, end, place)}
    return steps(begin, changes, lambda moment: _lowest(found, moment, place, unit))


def _at(place: Place) -> list[InstalledProfile]:
    """Return the profiles that apply at `place`, the highest stack level first."""
    found = InstalledProfile.objects.filter(charger=place.charger, evse_id__in={0, place.evse_id})
    here = Q(purpose__in=[*STATION_PURPOSES, TX_DEFAULT])
    if place.transaction is not None:
        here |= Q(purpose=TX_PROFILE, transaction_id=place.transaction)
    return list(found.filter(here).order_by("-stack_level", "pk"))


def _external(place: Place) -> list[InstalledProfile]:
    """Return the limits of other systems at `place`: the profiles that report them, and those of their own message.

    A schedule without a start counts from its receipt.
    """
    here = {"charger": place.charger, "evse_id__in": {0, place.evse_id}}
    profiles = list(InstalledProfile.objects.filter(**here, purpose=EXTERNAL))
    for limit in ChargingLimit.objects.filter(**here, cleared_at=None):
        begun = {"startSchedule": to_rfc3339(limit.received_at.replace(microsecond=0))}
        sent = [begun | schedule for schedule in limit.schedules if isinstance(schedule, dict)]
        profiles.append(InstalledProfile(purpose=EXTERNAL, profile={"chargingSchedule": sent}))
    return profiles


def _changes(
    row: InstalledProfile, schedule: Schedule | None, begin: datetime, end: datetime, place: Place
) -> Iterable[datetime]:
    yield from (at for at in (row.valid_from, row.valid_to) if at and begin < at < end)
    if schedule:
        yield from schedule.changes(begin, end, place.started_at)


def _lowest(
    found: Sequence[tuple[InstalledProfile, Schedule | None]], moment: datetime, place: Place, unit: str
) -> float | None:
    leading: dict[str, float] = {}
    external: list[float] = []
    for row, schedule in found:
        limit = None if row.purpose in leading else _limit_at(row, schedule, moment, place.started_at)
        if limit is not None and row.purpose == EXTERNAL:
            external.append(limit.into(unit))
        elif limit is not None:
            leading[row.purpose] = limit.into(unit)
    if TX_PROFILE in leading:
        leading.pop(TX_DEFAULT, None)
    return min([*leading.values(), *external], default=None)
