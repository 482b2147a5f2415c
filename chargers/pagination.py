"""Pages of every list: `?page=` and `?page_size=` (100, at most 1000); of what is too long to count, `?cursor=`."""

from django.core.paginator import Paginator
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination, PageNumberPagination

DEEP = 10_000  # rows before a page, past which their keys alone are skipped


class ByKey(Paginator):
    """A deep page skips keys in their index, not whole rows that are joined first."""

    def page(self, number):
        page = super().page(number)
        if (page.number - 1) * self.per_page >= DEEP:
            page.object_list = self.object_list.filter(pk__in=list(page.object_list.values_list("pk", flat=True)))
        return page


class Pages(PageNumberPagination):
    django_paginator_class = ByKey
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000


class ChargerPages(Pages):
    """The view adds who is connected, on this page or not."""

    def get_paginated_response_schema(self, schema):
        described = super().get_paginated_response_schema(schema)
        described["properties"]["active_chargers"] = {"type": "array", "items": {"type": "string"}}
        described["required"] = [*described["required"], "active_chargers"]
        return described


class ByTime(CursorPagination):
    """Newest first, without a count: each page leads to the next."""

    ordering = ("-at", "-id")
    page_size = Pages.page_size
    page_size_query_param = Pages.page_size_query_param
    max_page_size = Pages.max_page_size

    def decode_cursor(self, request):
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not _is_moment(cursor.position):
            raise NotFound(self.invalid_cursor_message)
        return cursor


def _is_moment(text):
    try:
        moment = parse_datetime(text)
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None
