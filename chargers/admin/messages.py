"""Logged frames in the admin."""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from chargers.admin.base import LargeHistoryAdmin
from chargers.admin.lists import choices
from chargers.models import Charger, Message
from chargers.models.messages import DIRECTIONS, KINDS
from core.ocpp.versions import BY_SUBPROTOCOL

# Query parameters that filter by a charger or a time.
NARROWING_PREFIXES = ("charger__", "at__")
A_DAY = timedelta(days=1)


class ErrorFilter(admin.SimpleListFilter):
    title, parameter_name = "error", "is_error"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [("1", "Errors only")]

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(is_error=True) if self.value() else rows


MAX_SEARCH_WORDS = 10


@admin.register(Message)
class MessageAdmin(LargeHistoryAdmin):
    """Newest first. Columns without an index are filtered only within one charger, one day, or the last day."""

    list_display = ["at", "charger", "direction", "kind", "action", "message_id", "is_error", "shown"]
    list_filter = ["at", ErrorFilter, choices("direction", DIRECTIONS), choices("kind", KINDS)]
    list_filter += [
        choices(
            "action", sorted({action for version in BY_SUBPROTOCOL.values() for action in version.schemas.actions})
        )
    ]
    sortable_by = ()
    linked = ["charger__id__exact"]
    date_hierarchy = "at"
    search_help_text = (
        "The id of a charger; further words are searched in its message ids and frames. Words alone, and filters "
        "without a charger or a time, search the last day."
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        unindexed = {"direction", "kind", "action"} & request.GET.keys()
        return rows if _is_narrow(request) or not unindexed else _of_the_last_day(rows)

    def get_search_results(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        words = term.split()
        charger = Charger.objects.filter(identity=words[0]).first() if words else None
        if charger:
            rows, words = rows.filter(charger=charger), words[1:]
        elif words and not _is_narrow(request):
            rows = _of_the_last_day(rows)
        for word in words[:MAX_SEARCH_WORDS]:
            rows = rows.filter(Q(message_id=word) | Q(frame__icontains=word))
        return rows, False

    @admin.display(description="frame")
    def shown(self, message: Message) -> str:
        return message.frame if len(message.frame) <= 200 else f"{message.frame[:200]}…"


def _is_narrow(request: HttpRequest) -> bool:
    return any(name.startswith(NARROWING_PREFIXES) for name in request.GET)


def _of_the_last_day(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows.filter(at__gte=datetime.now(UTC) - A_DAY)
