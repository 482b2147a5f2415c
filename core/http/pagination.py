"""Pagination of every list: `?page_size=` (100, at most 1000) and `?page=`, or `?cursor=` for newest first."""

from typing import TYPE_CHECKING, Any, cast

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param

if TYPE_CHECKING:  # the settings of DRF name a class of this module
    from rest_framework.views import APIView

DEEP_PAGE_OFFSET = 10_000  # rows before a page, beyond which the database skips keys instead of rows


class ByKey(Paginator):
    """Read a deep page by its keys, because skipping keys in an index is cheaper than skipping joined rows."""

    object_list: QuerySet[Any]

    def page(self, number: int | str) -> Page:
        page = super().page(number)
        if (page.number - 1) * self.per_page >= DEEP_PAGE_OFFSET:
            rows = cast(QuerySet[Any], page.object_list)
            page.object_list = self.object_list.filter(pk__in=list(rows.values_list("pk", flat=True)))
        return page


class Pages(PageNumberPagination):
    django_paginator_class = ByKey
    page: Page[Any]
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000


class ChargerPages(Pages):
    """Describe `active_chargers`, which the view adds to each page."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        described["properties"]["active_chargers"] = {"type": "array", "items": {"type": "string"}}
        described["required"] = [*described["required"], "active_chargers"]
        return described


class VariablePages(Pages):
    """Describe `is_incomplete`, which the view adds to each page."""

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        text = "The charger has reported further variables, which exceed OCPP_MOST_CONFIGURATION_KEYS."
        described["properties"]["is_incomplete"] = {"type": "boolean", "description": text}
        described["required"] = [*described["required"], "is_incomplete"]
        return described


class Cursors(CursorPagination):
    """Begin a page after the last row of the page before, so that new rows do not shift it."""

    page_size = Pages.page_size
    page_size_query_param = Pages.page_size_query_param
    max_page_size = Pages.max_page_size

    @staticmethod
    def is_position(text: str) -> bool:
        return text.isdecimal() and len(text) < 19

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None and not self.is_position(str(cursor.position)):
            raise NotFound(self.invalid_cursor_message)
        return cursor


def _is_moment(text: str) -> bool:
    try:
        moment = parse_datetime(text)
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None


class ByTime(Cursors):
    """Newest first, by time, without a count; each page links to the next."""

    ordering = ("-at", "-id")
    is_position = staticmethod(_is_moment)


class NewestFirst(Cursors):
    """Newest first, by id, with a count. `?page=` selects a page by its number; its links use cursors."""

    ordering: tuple[str, ...] = ("-id",)
    page_query_param = Pages.page_query_param
    page: list[Any]
    results = "results"  # name of the member with the rows
    numbered: Pages | None = None

    def paginate_queryset(  # type: ignore[override]  # every list here is of a queryset
        self, queryset: QuerySet[Any], request: Request, view: "APIView | None" = None
    ) -> list[Any] | None:
        if self.page_query_param not in request.query_params:
            self.count = queryset.count()
            return super().paginate_queryset(queryset, request, view)
        if self.cursor_query_param in request.query_params:
            raise ValidationError({self.page_query_param: ["Send `page` or `cursor`, not both."]})
        self.numbered = Pages()
        rows = self.numbered.paginate_queryset(queryset.order_by(*self.ordering), request, view)
        self.count = self.numbered.page.paginator.count
        self.base_url = remove_query_param(request.build_absolute_uri(), self.page_query_param)
        self.page = rows or []
        return rows

    def get_next_link(self) -> str | None:
        if self.numbered is None:
            return super().get_next_link()
        return self._link(-1, is_backwards=False) if self.numbered.page.has_next() else None

    def get_previous_link(self) -> str | None:
        if self.numbered is None:
            return super().get_previous_link()
        return self._link(0, is_backwards=True) if self.numbered.page.has_previous() else None

    def _link(self, index: int, is_backwards: bool) -> str:
        """Return the link to the page that begins next to the row at `index` of this page."""
        position = self._get_position_from_instance(self.page[index], self.ordering)
        cursor = Cursor(offset=0, reverse=is_backwards, position=position)  # type: ignore[arg-type]  # it is a text
        return self.encode_cursor(cursor)

    def get_paginated_response(self, data: Any) -> Response:
        links = {"next": self.get_next_link(), "previous": self.get_previous_link()}
        return Response({"count": self.count} | links | {self.results: data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        described = super().get_paginated_response_schema(schema)
        described["properties"] |= {"count": {"type": "integer", "example": 123}}
        described["properties"][self.results] = described["properties"].pop("results")
        described["required"] = ["count", self.results]
        return described

    def get_schema_operation_parameters(self, view: "APIView") -> list[Any]:
        return [*super().get_schema_operation_parameters(view), PAGE]


class NewestMadeFirst(NewestFirst):
    """Newest first, by time of creation. For rows whose ids do not grow."""

    ordering = ("-created_at", "id")
    is_position = staticmethod(_is_moment)


PAGE = {
    "name": NewestFirst.page_query_param,
    "required": False,
    "in": "query",
    "description": "A page by its number, in place of `cursor`. New rows shift it.",
    "schema": {"type": "integer"},
}
