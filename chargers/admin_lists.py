"""Admin lists that stay quick with millions of rows: counted to a point, searched and sorted by what has an index."""

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.utils.functional import cached_property
from django.utils.timezone import localtime

from chargers.models import Charger

MOST_COUNTED = 10_000
MOST_CHARGERS = 1000  # whose id holds what is searched for


class AtLeast(int):
    """A number of rows that was not counted to its end."""

    def __str__(self):
        return f"{int(self)}+"


class Counted(Paginator):
    """Counts no more than MOST_COUNTED rows, so that a list costs the same however long its table is."""

    @cached_property
    def count(self):
        counted = self.object_list.order_by().values("pk")[: MOST_COUNTED + 1].count()
        return AtLeast(MOST_COUNTED) if counted > MOST_COUNTED else counted

    @property
    def is_cut_off(self):
        """Whether there are rows after the last page."""
        return isinstance(self.count, AtLeast)


class Periods(QuerySet):
    """The periods of a date hierarchy from the first row to the last, whether or not each of them has rows.

    Which of them have some is known only after reading every row.
    """

    def datetimes(self, field_name, kind, order="ASC", tzinfo=None):
        ends = [
            self.order_by(end).values_list(field_name, flat=True).first() for end in (field_name, f"-{field_name}")
        ]
        if None in ends:
            return []
        # The periods are those of the current time zone: the admin asks for rows between their midnights.
        first, last = (localtime(end).replace(hour=0, minute=0, second=0, microsecond=0) for end in ends)
        if kind == "year":
            return [first.replace(year=year, month=1, day=1) for year in range(first.year, last.year + 1)]
        if kind == "month":
            return [first.replace(month=month, day=1) for month in range(first.month, last.month + 1)]
        return [first.replace(day=day) for day in range(first.day, last.day + 1)]


class LargeTableAdmin:
    """For a `ModelAdmin`: `searched` names the columns a word is looked for in, each of which has an index.

    `charger` finds chargers whose id holds the word; numbers and other columns are compared as a whole.
    """

    show_full_result_count = False
    list_per_page = 100
    paginator = Counted
    searched = {"charger": "charger"}

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        rows.__class__ = type("Periods", (Periods, type(rows)), {})
        return rows

    def get_search_fields(self, request):
        return list(self.searched)  # that there are some is what draws the search box

    def get_search_results(self, request, rows, term):
        wanted = Q()
        for word in term.split():
            found = [Q(**match) for column, kind in self.searched.items() if (match := MATCH[kind](column, word))]
            wanted &= Q(*found, _connector=Q.OR) if found else Q(pk=None)
        return rows.filter(wanted), False


def _of_chargers(column, word):
    found = Charger.objects.filter(charger_id__icontains=word).values_list("pk", flat=True)
    return {f"{column}__in": list(found[:MOST_CHARGERS])}


MATCH = {
    "charger": _of_chargers,
    "number": lambda column, word: {column: int(word)} if word.isdecimal() and int(word) < 2**31 else None,
    "text": lambda column, word: {f"{column}__in": {word, word.upper(), word.lower()}},
}


def choices(column, words):
    """A filter of a list with fixed choices: to draw it, no row is read."""

    class Choices(admin.SimpleListFilter):
        title, parameter_name = column.replace("_", " "), column

        def lookups(self, request, model_admin):
            return [(word, word) for word in words]

        def queryset(self, request, rows):
            return rows.filter(**{column: self.value()}) if self.value() else rows

    return Choices
