"""Models of id tags, tariffs, transactions, their totals, reservations, readings, and messages that wait."""

from transactions.models.day_totals import DayTotal, MonthTotal, StaleDay
from transactions.models.id_tags import IdTag, UnknownIdTag
from transactions.models.meter_values import MeterValue, Reading
from transactions.models.orphan_stops import OrphanStop
from transactions.models.outages import Outage
from transactions.models.reservations import Reservation
from transactions.models.tariffs import Tariff
from transactions.models.transaction_events import RecordedEvent, TransactionEvent
from transactions.models.transactions import Transaction
