"""Admin lists for tables with millions of rows: counted up to a limit, searched and sorted by indexes alone."""

from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.timezone import localtime

from chargers.models import Charger
from core.admin.lookups import Mixed

MAX_COUNTED_ROWS = 10_000
MAX_MATCHING_CHARGERS = 1000  # whose id contains a searched word


class AtLeast(int):
    """A lower bound of a number of rows."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class Counted(Paginator):
    """Count no more than MAX_COUNTED_ROWS rows, so that the cost of a list does not grow with its table."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        counted = rows.order_by().values("pk")[: MAX_COUNTED_ROWS + 1].count()
        return AtLeast(MAX_COUNTED_ROWS) if counted > MAX_COUNTED_ROWS else counted

    @property
    def is_cut_off(self) -> bool:
        """Whether there are rows after the last page."""
        return isinstance(self.count, AtLeast)


class Periods(QuerySet):
    """Offer all periods of a date hierarchy from the first row to the last, also those without rows.

    To find out which periods have rows would mean to read every row.
    """

    def datetimes(self, field_name: str, kind: str, order: str = "ASC", tzinfo: tzinfo | None = None) -> Any:
        ends = [
            self.order_by(end).values_list(field_name, flat=True).first() for end in (field_name, f"-{field_name}")
        ]
        if None in ends:
            return []
        # The periods are in the current time zone, because the admin filters for rows between its midnights.
        first, last = (localtime(end).replace(hour=0, minute=0, second=0, microsecond=0) for end in ends)
        if kind == "year":
            return [first.replace(year=year, month=1, day=1) for year in range(first.year, last.year + 1)]
        if kind == "month":
            return [first.replace(month=month, day=1) for month in range(first.month, last.month + 1)]
        return [first.replace(day=day) for day in range(first.day, last.day + 1)]


class LargeTableAdmin(Mixed):
    """A mix-in for a `ModelAdmin`; `searched` names the columns of a search, each of which has an index.

    The kind `charger` matches chargers whose id contains the word; the kinds `number` and `text` compare the whole
    value.
    """

    show_full_result_count = False
    list_per_page = 100
    paginator = Counted
    searched: Mapping[str, str] = {"charger": "charger"}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        rows.__class__ = type("Periods", (Periods, type(rows)), {})
        return rows

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return list(self.searched)  # Django shows the search box if there are any

    def get_search_results(self, request: HttpRequest, rows: QuerySet[Any], term: str) -> tuple[QuerySet[Any], bool]:
        condition = Q()
        for word in term.split():
            matches = [Q(**match) for column, kind in self.searched.items() if (match := MATCH[kind](column, word))]
            condition &= Q(*matches, _connector=Q.OR) if matches else Q(pk=None)
        return rows.filter(condition), False


def _of_chargers(column: str, word: str) -> dict[str, Any]:
    matching = Charger.objects.filter(identity__icontains=word).values_list("pk", flat=True)
    return {f"{column}__in": list(matching[:MAX_MATCHING_CHARGERS])}


MATCH: dict[str, Callable[[str, str], dict[str, Any] | None]] = {
    "charger": _of_chargers,
    "number": lambda column, word: {column: int(word)} if word.isdecimal() and int(word) < 2**31 else None,
    "text": lambda column, word: {f"{column}__in": {word, word.upper(), word.lower()}},
}


def choices(column: str, words: Iterable[str]) -> type[admin.SimpleListFilter]:
    """Return a list filter with fixed choices, for which no row is read."""

    class Choices(admin.SimpleListFilter):
        title, parameter_name = column.replace("_", " "), column

        def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
            return [(word, word) for word in words]

        def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
            return rows.filter(**{column: self.value()}) if self.value() else rows

    return Choices
