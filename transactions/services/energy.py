"""Compute the energy of a session by evidence (decision 0019).

The database computes it: `Transaction.energy_wh` and `energy_source` are generated columns over the function below,
so that the live value, the stop, the close by hand, exports, pages, events and sums cannot differ.

- `corrected`: an operator has corrected a meter value.
- `stop`: the charger's own meterStop, where it is plausible.
- `readings`: the highest energy register that was read in the session.
- `none`: nothing is known; the energy is null, or 0 where the charger's stop lies before its start.
"""

from typing import TypeGuard

from django.db.models import BigIntegerField, Case, CharField, F, Func, Q, Value, When

from core.ocpp.calls import Call

IMPORT_REGISTER = "Energy.Active.Import.Register"  # the measurand that shows the energy of a session
SOURCES = NONE, STOP, READINGS, CORRECTED = "none", "stop", "readings", "corrected"
MOST_WH = 2**31 - 1  # the largest integer of OCPP 1.6; chargers send 4294967295 and -1 for an unknown value
# A session takes at most this much, because clocks may stand still, plus 4 MW for its duration.
MOST_AT_ONCE_WH, MOST_WH_PER_S = 500_000, 1111
# A reading may be rounded, to a kWh or a tenth of it.
ROUNDED_WH, TOLERANCE_WH, TOLERANCE_SHARE = 1000, 100, 100

# Returns {Wh, number of the source in SOURCES}. A PL/pgSQL function, because PostgreSQL parses the expression of a
# generated column again for each statement, and an inlined expression would be a page long.
EVIDENCE = f"""
CREATE FUNCTION transactions_evidence(
    meter_start bigint, meter_stop bigint, first bigint, highest bigint, newest bigint,
    corrected_start bigint, corrected_stop bigint, began timestamptz, began_here timestamptz, ended timestamptz,
    ended_here timestamptz
) RETURNS bigint[] LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    -- The register from which the energy counts; null where nothing tells.
    base bigint := coalesce(
        corrected_start, CASE WHEN meter_start BETWEEN 0 AND {MOST_WH} THEN meter_start END, first);
    most bigint;
    charged bigint;
    against bigint;
BEGIN
    IF corrected_stop >= base THEN
        RETURN ARRAY[corrected_stop - base, 4];
    END IF;
    IF meter_stop >= base AND meter_stop <= {MOST_WH} THEN
        charged := meter_stop - base;
        most := {MOST_AT_ONCE_WH} + {MOST_WH_PER_S} * greatest(
            extract(epoch FROM greatest(ended - began, ended_here - began_here)), 0)::bigint;
        IF charged <= most AND corrected_start IS NOT NULL THEN
            RETURN ARRAY[charged, 4];
        END IF;
        -- A reading far below the start counts from the start of the session.
        against := CASE WHEN newest >= base - {ROUNDED_WH} THEN greatest(newest - base, 0) ELSE newest END;
        IF charged <= most AND (against IS NULL
                OR charged >= against - against / {TOLERANCE_SHARE} - {TOLERANCE_WH}) THEN
            RETURN ARRAY[charged, 2];
        END IF;
    END IF;
    IF highest >= base - {ROUNDED_WH} THEN
        RETURN ARRAY[greatest(highest - base, 0), CASE WHEN corrected_start IS NULL THEN 3 ELSE 4 END];
    END IF;
    IF highest > 0 AND base IS NOT NULL AND corrected_start IS NULL THEN
        RETURN ARRAY[highest, 3];
    END IF;
    RETURN ARRAY[CASE WHEN meter_stop >= 0 AND meter_stop < base THEN 0 END, 1];
END $$
"""
NO_EVIDENCE = "DROP FUNCTION transactions_evidence"
COLUMNS = (
    *("meter_start", "meter_stop", "meter_first", "meter_latest", "meter_newest"),
    *("corrected_meter_start", "corrected_meter_stop"),
    *("start_time", "start_received_at", "stop_time", "stop_received_at"),
)


# Nearly all updates are of open sessions, so these conditions give the same result without a function call.
_IS_OPEN = Q(meter_stop=None, corrected_meter_start=None, corrected_meter_stop=None)
_HAS_NO_READING = _IS_OPEN & Q(meter_latest=None)
_HAS_READING = _IS_OPEN & Q(meter_start__range=(0, MOST_WH), meter_latest__gte=F("meter_start"))


def _evidence(template: str) -> Func:
    return Func(*map(F, COLUMNS), template=template.format(call="transactions_evidence(%(expressions)s)"))


WATT_HOURS = Case(
    When(_HAS_NO_READING, then=None),
    When(_HAS_READING, then=F("meter_latest") - F("meter_start")),
    default=_evidence("({call})[1]"),
    output_field=BigIntegerField(),
)
SOURCE = Case(
    When(_HAS_NO_READING, then=Value(NONE)),
    When(_HAS_READING, then=Value(READINGS)),
    default=_evidence(f"('{{{{{','.join(SOURCES)}}}}}'::text[])[({{call}})[2]]"),
    output_field=CharField(max_length=9),
)


def is_register(meter_wh: int | None) -> TypeGuard[int]:
    """Return whether a register can show `meter_wh`: chargers send 4294967295 and -1 for an unknown value."""
    return meter_wh is not None and 0 <= meter_wh <= MOST_WH


def check(call: Call, member: str) -> None:
    """Record a finding if the register `member` of `call` stands for an unknown value."""
    value = call.payload.get(member)
    if value is not None and not is_register(value):
        call.find(member, "out_of_range", value)
