"""Frequent commands as actions in the admin on chargers, transactions and reservations."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from rest_framework.exceptions import APIException

from chargers.admin.chargers import ChargerAdmin
from chargers.models import Charger
from commands.actions import local_lists
from commands.actions.intents import (
    Availability,
    FetchLog,
    ReadConfiguration,
    RenewCertificate,
    Reset,
    Stop,
    Trigger,
    Verbatim,
)
from commands.actions.table import LOCAL_LISTS, encode
from commands.admin.batches import submit_batch
from commands.services.origin import Origin
from commands.services.submission import submit
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.redis.faults import BROKER_FAULTS
from transactions.admin import ReservationAdmin, TransactionAdmin
from transactions.models import Reservation, Transaction

MAX_SINGLE_COMMANDS = 10  # actions on more chargers submit a batch
# Actions in the list of chargers: name, title, intent.
ON_CHARGERS: tuple[tuple[str, str, object], ...] = (
    ("trigger_boot", "Request a BootNotification", Trigger("BootNotification")),
    ("trigger_status", "Request the status", Trigger("StatusNotification")),
    ("get_configuration", "Read the configuration", ReadConfiguration()),
    ("get_diagnostics", "Fetch diagnostics", FetchLog()),
    ("get_security_log", "Fetch the security log", FetchLog("security")),
    ("renew_certificate", "Renew the certificate", RenewCertificate()),
    ("operative", "Make operative", Availability(is_operative=True)),
    ("inoperative", "Make inoperative", Availability(is_operative=False)),
    ("clear_cache", "Clear the authorisation cache", Verbatim("ClearCache")),
    ("soft_reset", "Reset (soft)", Reset()),
    ("hard_reset", "Reset (hard)", Reset(is_immediate=True)),
)


def _submit_all(request: HttpRequest, wanted: Iterable[tuple[Charger, object]]) -> None:
    """Submit `wanted`, pairs of charger and intent, and show a link to the commands."""
    submitted = []
    for charger, intent in wanted:
        try:
            action, payload = encode(charger.version, intent)
            submitted.append(submit(charger, action, payload, Origin(request.user.get_username())))
        except (APIException, schemas.Violation, *BROKER_FAULTS) as error:
            messages.error(request, f"{charger}: {error}")
    if submitted:
        where = reverse("admin:commands_command_changelist")
        messages.success(
            request, format_html('{} submitted. <a href="{}">Follow the commands</a>', len(submitted), where)
        )


def _action_on_chargers(name: str, title: str, intent: object) -> Any:
    @admin.action(description=title, permissions=["command"])
    def run(modeladmin: ModelAdmin, request: HttpRequest, chargers: QuerySet[Charger]) -> None:
        if chargers.count() > MAX_SINGLE_COMMANDS:
            submit_batch(request, intent, chargers)
        else:
            _submit_all(request, [(charger, intent) for charger in chargers])

    run.__name__ = name
    return run


@admin.action(description="Stop remotely", permissions=["command"])
def stop_remotely(modeladmin: ModelAdmin, request: HttpRequest, transactions: QuerySet[Transaction]) -> None:
    _submit_all(request, [(t.charger, Stop(t.reference)) for t in transactions])


@admin.action(description="Send the local authorisation list", permissions=["command"])
def send_local_list(modeladmin: ModelAdmin, request: HttpRequest, chargers: QuerySet[Charger]) -> None:
    """Submit a Full list of all id tags."""
    _submit_all(
        request,
        (
            (charger, Verbatim("SendLocalList", _full_list(LOCAL_LISTS[charger.version], charger)))
            for charger in chargers
        ),
    )


def _full_list(form: local_lists.Form, charger: Charger) -> JSON:
    return local_lists.payload(form, local_lists.FULL, local_lists.wanted(form, charger))


def _action_on_reservations(name: str, title: str, action: str) -> Any:
    @admin.action(description=title, permissions=["command"])
    def run(modeladmin: ModelAdmin, request: HttpRequest, reservations: QuerySet[Reservation]) -> None:
        _submit_all(request, [(r.charger, Verbatim(action, {"reservationId": r.pk})) for r in reservations])

    run.__name__ = name
    return run


@admin.register(Charger)
class CommandedChargerAdmin(ChargerAdmin):
    actions = [*(_action_on_chargers(*row) for row in ON_CHARGERS), send_local_list]


@admin.register(Transaction)
class CommandedTransactionAdmin(TransactionAdmin):
    actions = [*TransactionAdmin.actions, stop_remotely]


@admin.register(Reservation)
class CommandedReservationAdmin(ReservationAdmin):
    actions = [
        _action_on_reservations("reserve_now", "Reserve at the charger", "ReserveNow"),
        _action_on_reservations("cancel_reservation", "Cancel at the charger", "CancelReservation"),
    ]
