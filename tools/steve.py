"""Import chargers, tags and transactions from a SteVe database (its schema 1.0.0 to 1.1.6)."""

from collections import Counter

from django.core.exceptions import ValidationError
from django.db import connection

from chargers.models import Charger
from core.ocpp.timestamps import parse
from transactions.models import IdTag, Transaction
from transactions.models.transactions import MOST
from transactions.services.dump import Unreadable

BATCH = 1000
# Higher ids are not imported, because the sequence continues after the highest, and OCPP's integers end at MOST.
HIGHEST = 2**30
# The columns that a table must have; others are optional.
NEEDED = {
    "charge_box": {"charge_box_id", "registration_status"},
    "connector": {"connector_pk", "charge_box_id", "connector_id"},
    "ocpp_tag": {"id_tag", "max_active_transaction_count"},
    "transaction_start": {"transaction_pk", "connector_pk", "id_tag", "start_timestamp", "start_value"},
    "transaction_stop": {"transaction_pk", "event_timestamp", "stop_timestamp", "stop_value"},
}
# The columns that identify a row.
KEYS = {"charge_box": "charge_box_id", "connector": "connector_pk", "ocpp_tag": "id_tag"}
KEYS |= dict.fromkeys(("transaction_start", "transaction_stop"), "transaction_pk")
# {column here: SteVe's column}
CHARGER = {
    "description": "description",
    "vendor": "charge_point_vendor",
    "model": "charge_point_model",
    "serial_number": "charge_point_serial_number",
    "charge_box_serial_number": "charge_box_serial_number",
    "firmware_version": "fw_version",
    "iccid": "iccid",
    "imsi": "imsi",
    "meter_type": "meter_type",
    "meter_serial_number": "meter_serial_number",
}
# A transaction without a stop ended when the next one on its connector began, whether or not that one has ended.
SUPERSEDED = """
UPDATE transactions_transaction former SET superseded_by_id = (
    SELECT next.id FROM transactions_transaction next
    WHERE next.charger_id = former.charger_id AND next.connector_id = former.connector_id
        AND next.start_time > former.start_time
    ORDER BY next.start_time, next.id LIMIT 1)
WHERE former.charger_id = ANY(%s)
    AND num_nonnulls(former.stop_received_at, former.closed_at, former.superseded_by_id) = 0
"""
# `max` of an empty table is NULL, which `greatest` ignores, so the sequence continues.
NEXT_ID = """
SELECT setval(pg_get_serial_sequence('transactions_transaction', 'id'),
              greatest(max(id), nextval(pg_get_serial_sequence('transactions_transaction', 'id'))))
FROM transactions_transaction
"""


class Bad(Exception):
    """The row cannot be imported; the text gives the reason."""


class Import:
    """One import: `run` it in a transaction. Run again, it adds what is new and nothing else.

    `say` gets a line for each row that is left out or changed; `count` has (table, what became of its rows).
    """

    def __init__(self, dump, say, dry_run=False):
        self.dump, self.say, self.count, self.dry_run = dump, say, Counter(), dry_run
        self.chargers = {}  # id in lower case, as MySQL compares: `Charger`
        self.connectors = {}  # connector_pk: (`Charger`, connector id)
        self.ids = {}  # transaction_pk: id here
        self.starts, self.stops = [], []
        self.invented = HIGHEST  # ids in a dry run

    def run(self):
        take = {table: getattr(self, f"_{table}") for table in NEEDED}
        checked = set()
        for table, line, row in self.dump:
            if table not in checked:
                self._check(table, row)
                checked.add(table)
            if table != "transaction_start":
                self._write_starts()
            try:
                self._refuse_odd(row)
                self.count[table, take[table](row, line)] += 1
            except Bad as bad:
                self._leave_out(table, line, row, bad)
        self._write_starts()
        self._write_stops()
        with connection.cursor() as cursor:
            cursor.execute(SUPERSEDED, [[charger.pk for charger in self.chargers.values() if charger]])
            if not self.dry_run:  # a rollback does not reset a sequence
                cursor.execute(NEXT_ID)
        if not checked:
            raise Unreadable("There are no rows of SteVe in it: is it a dump of SteVe's database, with its data?")
        for table in sorted(NEEDED.keys() - self.dump.columns):
            self.say(f"There is no table {table} in it: nothing of it was taken over.")

    def _check(self, table, row):
        if missing := NEEDED[table] - set(row):
            raise Unreadable(
                f"{table} has no column {', '.join(sorted(missing))}: is it of SteVe's schema 1.0.0 or later?"
            )
        if not self.dump.is_utc:
            raise Unreadable("The zone of its times is not known: dump without --skip-tz-utc.")

    def _leave_out(self, table, line, row, why):
        self.count[table, "left out"] += 1
        self.say(f"line {line}: {table} {row[KEYS[table]]!r}: left out: {why}")

    def _refuse_odd(self, row):
        for name, text in row.items():
            if text and name != "auth_password" and ("\0" in text or not _is_unicode(text)):
                raise Bad(f"{name} holds bytes that are no text")

    def _charge_box(self, row, line):
        charger_id = row["charge_box_id"]
        known = Charger.objects.filter(identity=charger_id).first()
        self.chargers[charger_id.lower()] = known
        if known:
            return "known already"
        if row.get("auth_password"):
            self.say(f"line {line}: charge_box: {charger_id!r} needs a new key: SteVe's is stored as a bcrypt hash")
        if (protocol := row.get("ocpp_protocol")) and protocol not in ("ocpp1.6J", "ocpp1.6"):
            self.say(f"line {line}: charge_box: {charger_id!r} spoke {protocol} last: only OCPP 1.6-J connects here")
        columns = {ours: self._fitting(Charger, ours, row.get(theirs), line) for ours, theirs in CHARGER.items()}
        profile = _number(row, "security_profile") if row.get("security_profile") else 0
        charger = Charger(
            identity=charger_id, boot_policy=row["registration_status"], security_profile=profile or None, **columns
        )
        self.chargers[charger_id.lower()] = _saved(charger)
        return "added"

    def _fitting(self, model, name, text, line):
        max_length, text = model._meta.get_field(name).max_length, text or ""
        if max_length is not None and len(text) > max_length:
            self.say(f"line {line}: {name} is cut after {max_length} characters")
        return text[:max_length]

    def _connector(self, row, line):
        charger = self.chargers.get(row["charge_box_id"].lower())
        if charger is None:
            raise Bad(f"its charger {row['charge_box_id']!r} was left out")
        self.connectors[row["connector_pk"]] = charger, _number(row, "connector_id", lowest=0)
        return "read"

    def _ocpp_tag(self, row, line):
        if IdTag.objects.filter(id_tag__iexact=row["id_tag"]).exists():
            return "known already"
        limit = _number(row, "max_active_transaction_count")
        _saved(
            IdTag(
                id_tag=row["id_tag"],
                status="Accepted" if limit else "Blocked",
                concurrent_limit=limit if limit > 0 else None,
                parent_id_tag=row.get("parent_id_tag") or "",
                expiry_date=_moment(row, "expiry_date") if _says_when(row, "expiry_date") else None,
                description=self._fitting(IdTag, "description", row.get("note"), line),
            )
        )
        return "added"

    def _transaction_start(self, row, line):
        if row["connector_pk"] not in self.connectors:
            raise Bad("its connector was left out")
        charger, connector_id = self.connectors[row["connector_pk"]]
        if len(row["id_tag"]) > 20:
            raise Bad(f"id_tag {row['id_tag']!r} is longer than 20 characters")
        began = _moment(row, "start_timestamp")
        start = Transaction(
            id=_number(row, "transaction_pk", highest=2**32),
            charger=charger,
            evse_id=connector_id,
            connector_id=connector_id,
            id_tag=row["id_tag"],
            id_tag_status="Accepted",
            start_time=began,
            raw_start_time=row["start_timestamp"],
            start_received_at=_moment(row, "event_timestamp") if row.get("event_timestamp") else began,
            meter_start=_number(row, "start_value"),
        )
        self.starts.append((start, line))
        if len(self.starts) >= BATCH:
            self._write_starts()
        return "read"

    def _write_starts(self):
        starts, self.starts = self.starts, []
        if not starts:
            return
        taken = Transaction.objects.in_bulk([start.pk for start, _ in starts])
        chargers = {start.charger for start, _ in starts}
        moments = [start.start_time for start, _ in starts]
        there = Transaction.objects.filter(charger__in=chargers, start_time__in=moments)
        known = {_same(transaction): transaction.pk for transaction in there}
        new, theirs_all = [], {start.pk for start, _ in starts}
        for start, line in starts:
            theirs = start.pk
            if _same(start) in known:
                self.count["transaction_start", "known already"] += 1
                self.ids[theirs] = known[_same(start)]
                continue
            if theirs in taken or not 0 < theirs <= HIGHEST:
                start.pk = self._next_id(theirs_all)
                here = "gets another id" if self.dry_run else f"is {start.pk}"
                why = "that id is taken" if theirs in taken else "that id is too large"
                self.say(f"line {line}: transaction_start: {theirs} {here} here, since {why}")
            self.ids[theirs] = known[_same(start)] = start.pk
            new.append(start)
        Transaction.objects.bulk_create(new)
        self.count["transaction_start", "added"] += len(new)

    def _next_id(self, but):
        """Return an id that is free here and not in `but`; a dry run does not advance the sequence."""
        if self.dry_run:
            self.invented += 1
            return self.invented
        with connection.cursor() as cursor:
            while True:
                cursor.execute("SELECT nextval(pg_get_serial_sequence('transactions_transaction', 'id'))")
                (number,) = cursor.fetchone()
                if number not in but and not Transaction.objects.filter(pk=number).exists():
                    return number

    def _transaction_stop(self, row, line):
        theirs = _number(row, "transaction_pk", highest=2**32)
        if theirs not in self.ids:
            raise Bad(f"its transaction {theirs} was left out")
        stop = {
            "at": _moment(row, "event_timestamp"),
            "time": _moment(row, "stop_timestamp"),
            "raw": row["stop_timestamp"],
            "meter": _meter(row, theirs),
            "reason": (row.get("stop_reason") or "")[:20],
            "is_manual": row.get("event_actor") == "manual",
        }
        self.stops.append((self.ids[theirs], stop))
        if len(self.stops) >= BATCH:
            self._write_stops()
        return "read"

    def _write_stops(self):
        stops, self.stops = self.stops, []
        found = Transaction.objects.in_bulk([pk for pk, _ in stops])
        changed = {}
        for pk, stop in sorted(stops, key=lambda pair: pair[1]["at"]):
            if _ended(found[pk], stop):
                changed[pk] = found[pk]
        columns = [
            "stop_time",
            "raw_stop_time",
            "meter_stop",
            "stop_reason",
            "stop_received_at",
            "closed_at",
            "closed_by",
        ]
        Transaction.objects.bulk_update(changed.values(), columns, batch_size=BATCH)
        self.count["transaction_stop", "added"] += len(changed)


def _ended(transaction, stop):
    """Set the stop's columns; return whether they changed. The latest wins, the charger's before an operator's."""
    former = transaction.stop_received_at or (transaction.closed_at if stop["is_manual"] else None)
    if former and former >= stop["at"] or (stop["is_manual"] and transaction.stop_received_at):
        return False
    transaction.stop_time, transaction.raw_stop_time = stop["time"], stop["raw"]
    transaction.meter_stop, transaction.stop_reason = stop["meter"], stop["reason"]
    if stop["is_manual"]:
        transaction.closed_at, transaction.closed_by = stop["at"], "SteVe"
    else:
        transaction.stop_received_at = stop["at"]
    return True


def _same(transaction):
    """Return the members that identify a start, as in the table's constraint; times are compared as moments."""
    return (
        transaction.charger_id,
        transaction.connector_id,
        transaction.id_tag,
        transaction.start_time,
        transaction.meter_start,
    )


def _saved(made):
    try:
        made.full_clean()
    except ValidationError as error:
        raise Bad("; ".join(f"{name}: {' '.join(said)}" for name, said in error.message_dict.items())) from error
    made.save()
    return made


def _number(row, name, lowest=-MOST, highest=MOST):
    try:
        number = float(row[name])
        if not number.is_integer():
            number = round(number)  # older chargers sent Wh with a fraction
    except (TypeError, ValueError, OverflowError) as error:
        raise Bad(f"{name} is {row[name]!r}, not a number") from error
    if not lowest <= number <= highest:
        raise Bad(f"{name} is {row[name]!r}, beyond what OCPP can hold")
    return int(number)


def _meter(row, transaction):
    try:
        return _number(row, "stop_value")
    except Bad as bad:
        raise Bad(f"{bad}; transaction {transaction} stays without a stop: close it by hand") from bad


def _says_when(row, name):
    """Return whether it is MySQL's zero date, which stands for no date."""
    return bool(row.get(name)) and not row[name].startswith("0000-00-00")


def _moment(row, name):
    """Return the time in UTC, which `_check` requires of the dump; None for MySQL's zero date."""
    if (moment := parse(row[name] or "")) is None:
        raise Bad(f"{name} is {row[name]!r}, not a time")
    return moment


def _is_unicode(text):
    return not any("\udc80" <= character <= "\udcff" for character in text)
