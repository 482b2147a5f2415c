"""Refuse query parameters that a view does not know, because ignoring a filter would return too many rows."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer
from rest_framework.settings import api_settings

if TYPE_CHECKING:  # the settings of DRF name classes of modules that import this one
    from django_filters.rest_framework import DjangoFilterBackend
    from rest_framework.generics import GenericAPIView
    from rest_framework.views import APIView

View = TypeVar("View", bound=Callable[..., Any])

PAGING = ("page_query_param", "page_size_query_param", "cursor_query_param")


def takes(serializer_class: type["BaseSerializer[Any]"]) -> Callable[[View], View]:
    """Decorate a view whose query parameters are the fields of `serializer_class`."""

    def decorate(view: View) -> View:
        described: Any = getattr(view, "cls", view)
        described.query_serializer = serializer_class
        return view

    return decorate


def refuse_unknown(request: Request, view: "APIView") -> None:
    """Raise a 400 that names each query parameter that `view` does not know, and those it knows."""
    if request.query_params and (unknown := request.query_params.keys() - known(view, request.method)):
        names = ", ".join(sorted(known(view, request.method) - {api_settings.URL_FORMAT_OVERRIDE}))
        sentence = f"Unknown parameter. Known: {names}." if names else "Unknown parameter: this path takes none."
        raise ValidationError({name[:100]: [sentence] for name in sorted(unknown)})


def known(view: "APIView", method: str | None) -> frozenset[str]:
    """Return the names of the query parameters that `view` accepts with `method`."""
    # mypy takes the `__hash__` of instances for that of their class.
    return _known(type(view), _lists(view, method))  # type: ignore[arg-type]


def _lists(view: "APIView", method: str | None) -> bool:
    if not isinstance(view, ListModelMixin) or method not in ("GET", "HEAD"):
        return False
    return getattr(view, "action", "list") == "list"


@cache
def _known(view_class: type["APIView"], lists: bool) -> frozenset[str]:
    names = {api_settings.URL_FORMAT_OVERRIDE}
    if serializer_class := getattr(view_class, "query_serializer", None):
        names |= serializer_class().fields.keys()
    if lists:
        listed = cast("type[GenericAPIView[Any]]", view_class)  # because it is a ListModelMixin
        names |= _of_pages(listed) | _of_filters(listed)
    return frozenset(names)


def _of_pages(view_class: type["GenericAPIView[Any]"]) -> set[str]:
    named = [getattr(view_class.pagination_class, parameter, None) for parameter in PAGING]
    return {name for name in named if name is not None}


def _of_filters(view_class: type["GenericAPIView[Any]"]) -> set[str]:
    view = view_class()
    backends = cast("Sequence[type[DjangoFilterBackend]]", view_class.filter_backends)
    filtersets = [backend().get_filterset_class(view, view_class.queryset) for backend in backends]
    return {name for filterset in filtersets if filterset for name in filterset.base_filters}
