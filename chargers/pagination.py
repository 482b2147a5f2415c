"""Pages of every list: `?page=` and `?page_size=` (100, at most 1000)."""

from django.core.paginator import Paginator
from rest_framework.pagination import PageNumberPagination

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
