"""The energy of a session by evidence, as expressions over its columns.

The database computes them (`Transaction.energy_wh`, `energy_source`), so that the live value, the stop, the close by
hand, exports, pages, events and sums cannot differ.

- `corrected`: an operator has corrected a meter value.
- `stop`: the charger's own meterStop, where it is plausible.
- `readings`: the last energy register that was read in the session.
- `none`: nothing is known; the energy is null, or 0 where the charger's stop lies before its start.
"""

from django.db.models import BigIntegerField, Case, DurationField, F, Func, Q, Value, When
from django.db.models.functions import Greatest

from chargers.inbox import Call

SOURCES = CORRECTED, STOP, READINGS, NONE = "corrected", "stop", "readings", "none"
MOST_WH = 2**31 - 1  # what an integer of OCPP 1.6 holds; 4294967295 and -1 are ways to say unknown
# A session takes at most so much, since clocks may stand, and 4 MW in its time.
MOST_AT_ONCE_WH, MOST_WH_PER_S = 500_000, 1111
# A reading may be rounded, to a kWh or a tenth of it.
ROUNDED_WH, TOLERANCE_WH, TOLERANCE_SHARE = 1000, 100, 100

_number = BigIntegerField()
_stop, _latest, _newest = F("meter_stop"), F("meter_latest"), F("meter_newest")
# The register from which the energy counts; null where nothing tells.
BASE = Case(
    When(corrected_meter_start__isnull=False, then=F("corrected_meter_start")),
    When(meter_start__range=(0, MOST_WH), then=F("meter_start")),
    default=F("meter_first"),
    output_field=_number,
)
_lasted = Greatest(
    F("stop_time") - F("start_time"),
    F("stop_received_at") - F("start_received_at"),
    output_field=DurationField(),
)
_seconds = Func(_lasted, template="greatest(extract(epoch FROM %(expressions)s), 0)::bigint", output_field=_number)
_most = MOST_AT_ONCE_WH + MOST_WH_PER_S * _seconds


def _read(register: F) -> Case:
    """Wh that `register` says were charged: one far below the start counts from the start of the session."""
    above = Greatest(register - BASE, Value(0), output_field=_number)
    return Case(When(Q(**{f"{register.name}__gte": BASE - ROUNDED_WH}), then=above), default=register)


_stopped = _stop - BASE
_is_believed = Q(meter_stop__gte=BASE, meter_stop__lte=BASE + _most) & Q(meter_stop__lte=MOST_WH)
_is_contradicted = Q(meter_newest__isnull=False) & Q(
    meter_stop__lt=BASE + _read(_newest) - _read(_newest) / TOLERANCE_SHARE - TOLERANCE_WH
)
_is_read = Q(meter_latest__isnull=False) & (Q(meter_latest__gte=BASE - ROUNDED_WH) | Q(meter_latest__gt=0))

# The first condition that holds: its energy in Wh, and the source.
EVIDENCE = (
    (Q(corrected_meter_stop__gte=BASE), F("corrected_meter_stop") - BASE, CORRECTED),
    (Q(corrected_meter_start__isnull=False) & _is_believed, _stopped, CORRECTED),
    (_is_believed & ~_is_contradicted, _stopped, STOP),
    (_is_read, _read(_latest), READINGS),
    (Q(meter_stop__gte=0, meter_stop__lt=BASE), Value(0), NONE),
)
WATT_HOURS = Case(*(When(condition, then=wh) for condition, wh, _ in EVIDENCE), default=None, output_field=_number)
SOURCE = Case(*(When(condition, then=Value(source)) for condition, _, source in EVIDENCE), default=Value(NONE))


def is_register(meter_wh: int | None) -> bool:
    """Whether `meter_wh` can be what a register shows: 4294967295 and -1 say that it is not known."""
    return meter_wh is not None and 0 <= meter_wh <= MOST_WH


def check(call: Call, member: str) -> None:
    """Record a finding where the register `member` of `call` is a way to say that it is not known."""
    value = call.payload.get(member)
    if value is not None and not is_register(value):
        call.find(member, "out_of_range", value)
