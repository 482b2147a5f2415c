"""The stored form of samples: a JSON text for each reading, which a view of the database expands.

A sample is a list of its value and of the other members of `MeterSample`, in their order. Members at the end that
have their default are omitted. If PostgreSQL cannot read the number in the value, the number is the last item.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

import orjson

from core.ocpp import numerals
from core.ocpp.versions import UNREADABLE
from transactions.services.energy import IMPORT_REGISTER

SIGNED = "SignedData"
MOST = 1000  # samples in a row of readings: the id of a meter value is that of its row and three digits
NUMBER_LIMIT, NUMBER_STEP = Decimal(10) ** 15, Decimal("1e-9")  # of the column `number`

Stored = tuple[str, ...]  # a sample in its stored form


class MeterSample(NamedTuple):
    """One sampled value of any protocol version: `value` as sent, or the JSON of a sample where `format` says so.

    `unit` is "" where neither the message nor the protocol names one.
    """

    value: str
    measurand: str = IMPORT_REGISTER
    unit: str = "Wh"
    phase: str = ""
    context: str = "Sample.Periodic"
    location: str = "Outlet"
    format: str = "Raw"


DEFAULTS = MeterSample("")
METER_VALUES = f"""
CREATE VIEW transactions_metervalue AS
SELECT r.id * {MOST} + s.place - 1 AS id, r.id AS reading_id, r.charger_id, r.transaction_id,
    r.reported_transaction_id, r.evse_id, r.timestamp, r.raw_timestamp, r.received_at, r.message_hash,
    s.sample->>0 AS value,
    coalesce(s.sample->>7, CASE WHEN s.sample->>0 ~ '^{
    numerals.PLAIN.pattern
}$' THEN s.sample->>0 END)::numeric(24, 9)
        AS number,
    {
    ", ".join(
        f"coalesce(s.sample->>{place}, '{DEFAULTS[place]}') AS {name}"
        for place, name in enumerate(MeterSample._fields)
        if place
    )
}
FROM transactions_reading r, json_array_elements(r.samples::json) WITH ORDINALITY AS s(sample, place)
"""
NO_METER_VALUES = "DROP VIEW transactions_metervalue"


def stored(sample: MeterSample, report: Callable[[str], object]) -> Stored:
    """Return `sample` in its stored form. `report` gets a value that should be a plain number and is not."""
    if not numerals.PLAIN.fullmatch(sample.value) and (number := _number(sample, report)) is not None:
        return *sample, number
    length = len(sample)
    while length > 1 and sample[length - 1] == DEFAULTS[length - 1]:
        length -= 1
    return sample[:length]


def _number(sample: MeterSample, report: Callable[[str], object]) -> str | None:
    """Return the number in a value that is not plain digits, None if there is none or it does not fit."""
    if sample.format in (SIGNED, UNREADABLE):
        return None
    number = numerals.read(sample.value)
    if number is None or not numerals.is_standard(sample.value):
        report(sample.value)
    if number is None or abs(number) >= NUMBER_LIMIT:
        return None
    rounded = number.quantize(NUMBER_STEP)
    return f"{rounded:f}" if abs(rounded) < NUMBER_LIMIT else None


def rows(samples: Sequence[Stored]) -> list[str]:
    """Return the texts of `samples` for the column `samples`, one for each row."""
    return [orjson.dumps(samples[n : n + MOST]).decode() for n in range(0, len(samples), MOST)]


def read(text: str) -> list[Stored]:
    """Return the samples in the text of a row."""
    return [tuple(sample) for sample in orjson.loads(text)]
