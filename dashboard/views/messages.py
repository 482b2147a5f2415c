"""The page of messages: what passed between chargers and us."""

from datetime import UTC, datetime, timedelta

from django.utils.timezone import localtime
from rest_framework.exceptions import ValidationError

from chargers.filters import MessageFilter
from chargers.models import Message
from chargers.models.messages import DIRECTIONS, KINDS
from dashboard.views.base import Page, said

SHOWN = 100


class Messages(Page):
    """Newest first, not counted: a link leads to what passed before. Without a charger, words are of the last day."""

    permission_required = "chargers.view_message"
    template_name = "dashboard/messages.html"

    def get_context_data(self, **kwargs):
        query = said(self.request.GET)
        if query.keys() & set(MessageFilter.UNINDEXED) and not query.keys() & {"charger_id", "is_error", "since"}:
            query["since"] = localtime(datetime.now(UTC) - timedelta(days=1)).isoformat(timespec="seconds")
        narrowed = MessageFilter(query, self.within(Message.objects.select_related("charger")))
        try:
            rows = list(narrowed.qs[: SHOWN + 1]) if narrowed.is_valid() else []
            wrong = dict(narrowed.errors)
        except ValidationError as error:  # too much would have to be read
            rows, wrong = [], {name: [text] for name, text in error.detail.items()}
        older = query.copy()
        if len(rows) > SHOWN:
            # Of the same moment some may come again: none is left out.
            older["until"] = localtime(rows[SHOWN].at + timedelta(microseconds=1)).isoformat()
        return super().get_context_data(**kwargs) | {
            "rows": rows[:SHOWN],
            "asked": query,
            "older": older.urlencode() if len(rows) > SHOWN else "",
            "wrong": wrong,
            "directions": DIRECTIONS,
            "kinds_of_frames": KINDS,
        }
