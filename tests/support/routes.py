"""The routes of the system, as its URL configuration has them."""

import re
from collections.abc import Callable, Iterator

from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin

API = "api/ocpp/"
WITH_FORMAT = re.compile(r"\(\?P<format>|<drf_format_suffix:")  # a second spelling of another route


def every_route(resolver: URLResolver | None = None, before: str = "") -> Iterator[tuple[str, Callable]]:
    """Yield (path, view) of every route; a path has the variables of its pattern, and no slash in front."""
    for entry in (resolver or get_resolver()).url_patterns:
        path = before + re.sub(r"^\^|\$$|\\Z$", "", str(entry.pattern))
        if not isinstance(entry, URLPattern):
            yield from every_route(entry, path)
        elif not WITH_FORMAT.search(path):
            yield path, entry.callback


def rest_lists() -> dict[str, type[GenericAPIView]]:
    """Return {resource: view class} of every list over REST that belongs to no row, such as `transactions`."""
    found = {}
    for path, callback in every_route():
        view = getattr(callback, "cls", object)
        if path.startswith(API) and issubclass(view, GenericAPIView) and issubclass(view, ListModelMixin):
            resource = path.removeprefix(API).removesuffix("/")
            is_list = "get" in (getattr(callback, "actions", None) or {"get": ""})
            if is_list and not set("<>()") & set(resource):
                found[resource] = view
    return found


def operator_pages() -> list[str]:
    """Return the paths of the pages, without those of the login."""
    return [path for path, _ in every_route(get_resolver("dashboard.urls")) if path not in ("login/", "logout/")]
