"""The page of the message log: OCPP messages received from and sent to chargers."""

from datetime import UTC, datetime, timedelta

from django.utils.timezone import localtime
from rest_framework.exceptions import ValidationError

from chargers.api.filters import MessageFilter
from chargers.models import Message
from chargers.models.messages import DIRECTIONS, KINDS
from dashboard.views.base import Page, without_empty

PAGE_SIZE = 100


class Messages(Page):
    """Newest first, with a link to older messages. A search across all chargers covers the last day."""

    permission_required = "chargers.view_message"
    template_name = "dashboard/messages.html"

    def get_context_data(self, **kwargs):
        query = without_empty(self.request.GET)
        if query.keys() & set(MessageFilter.UNINDEXED) and not query.keys() & {"charger_id", "is_error", "since"}:
            query["since"] = localtime(datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
        narrowed = MessageFilter(query, self.within(Message.objects.select_related("charger")))
        try:
            rows = list(narrowed.qs[: PAGE_SIZE + 1]) if narrowed.is_valid() else []
            wrong = dict(narrowed.errors)
        except ValidationError as error:  # the query would read too many rows
            rows, wrong = [], {name: [text] for name, text in error.detail.items()}
        older = query.copy()
        if len(rows) > PAGE_SIZE:
            # Messages of the same moment may be repeated, because none may be skipped.
            older["until"] = localtime(rows[PAGE_SIZE].at + timedelta(microseconds=1)).isoformat()
        return super().get_context_data(**kwargs) | {
            "rows": rows[:PAGE_SIZE],
            "query": query,
            "older": older.urlencode() if len(rows) > PAGE_SIZE else "",
            "wrong": wrong,
            "directions": DIRECTIONS,
            "kinds_of_frames": KINDS,
        }
