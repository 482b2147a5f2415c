"""The energy of a session by evidence, as expressions over its columns.

The database computes them (`Transaction.energy_wh`, `energy_source`), so that the live value, the stop, the close by
hand, exports, pages, events and sums cannot differ.

- `corrected`: an operator has corrected a meter value.
- `stop`: the charger's own meterStop, where it is plausible.
- `readings`: the last energy register that was read in the session.
- `none`: nothing is known; the energy is null, or 0 where the charger's stop lies before its start.
"""

from django.db.models import BigIntegerField, Case, F, Q, Value, When

SOURCES = CORRECTED, STOP, READINGS, NONE = "corrected", "stop", "readings", "none"
MOST_WH = 2**31 - 1  # what an integer of OCPP 1.6 holds; 4294967295 and -1 are ways to say unknown
# A register cannot gain so much before the first reading of a session: a meterStart so far below is of another one.
MOST_BEFORE_FIRST_WH = 500_000
# A reading may be rounded up, to a tenth of a kWh for example: so much above meterStop it does not contradict it.
TOLERANCE_WH, TOLERANCE_SHARE = 100, 100

_stop, _latest = F("meter_stop"), F("meter_latest")
# The register from which the energy counts; null where nothing tells.
BASE = Case(
    When(corrected_meter_start__isnull=False, then=F("corrected_meter_start")),
    When(
        Q(meter_start__range=(0, MOST_WH))
        & (Q(meter_first=None) | Q(meter_first__lte=F("meter_start") + MOST_BEFORE_FIRST_WH)),
        then=F("meter_start"),
    ),
    default=F("meter_first"),
    output_field=BigIntegerField(),
)
_is_stopped = Q(meter_stop__range=(0, MOST_WH))
_is_believed = _is_stopped & Q(meter_stop__gte=BASE)
_contradicted = Q(meter_latest__gte=BASE) & Q(
    meter_latest__gt=_stop + TOLERANCE_WH + (_latest - BASE) / TOLERANCE_SHARE
)
_is_contradicted = Q(meter_latest__isnull=False) & _contradicted
# Of a register that counts from the start of the session, while meterStart is that of the meter's life.
_counts_from_start = Q(meter_latest__gt=0, meter_latest__lt=BASE)
_stop_counts_too = _is_stopped & Q(meter_stop__gt=_latest, meter_stop__lt=BASE)

# The first condition that holds: its energy in Wh, and the source.
EVIDENCE = (
    (Q(corrected_meter_stop__gte=BASE), F("corrected_meter_stop") - BASE, CORRECTED),
    (Q(corrected_meter_start__isnull=False) & _is_believed, _stop - BASE, CORRECTED),
    (_is_believed & ~_is_contradicted, _stop - BASE, STOP),
    (_counts_from_start & _stop_counts_too, _stop, STOP),
    (Q(meter_latest__gte=BASE), _latest - BASE, READINGS),
    (_counts_from_start, _latest, READINGS),
    (Q(meter_stop__lt=BASE), Value(0), NONE),
)
WATT_HOURS = Case(
    *(When(condition, then=wh) for condition, wh, _ in EVIDENCE), default=None, output_field=BigIntegerField()
)
SOURCE = Case(*(When(condition, then=Value(source)) for condition, _, source in EVIDENCE), default=Value(NONE))
