"""Refuse query parameters that a view does not know, because ignoring a filter would return too many rows."""

from functools import cache

from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.settings import api_settings

PAGING = ("page_query_param", "page_size_query_param", "cursor_query_param")


def takes(serializer_class):
    """Decorate a view whose query parameters are the fields of `serializer_class`."""

    def decorate(view):
        getattr(view, "cls", view).query_serializer = serializer_class
        return view

    return decorate


def refuse_unknown(request, view):
    """Raise a 400 that names each query parameter that `view` does not know, and those it knows."""
    if request.query_params and (unknown := request.query_params.keys() - known(view, request.method)):
        names = ", ".join(sorted(known(view, request.method) - {api_settings.URL_FORMAT_OVERRIDE}))
        sentence = f"Unknown parameter. Known: {names}." if names else "Unknown parameter: this path takes none."
        raise ValidationError({name[:100]: [sentence] for name in sorted(unknown)})


def known(view, method):
    """Return the names of the query parameters that `view` accepts with `method`."""
    return _known(type(view), _lists(view, method), method in ("GET", "HEAD"))


def _lists(view, method):
    if not isinstance(view, ListModelMixin) or method not in ("GET", "HEAD"):
        return False
    return getattr(view, "action", "list") == "list"


@cache
def _known(view_class, lists, reads):
    names = {api_settings.URL_FORMAT_OVERRIDE}
    if reads and (serializer_class := getattr(view_class, "query_serializer", None)):
        names |= serializer_class().fields.keys()
    if lists:
        names |= _of_pages(view_class) | _of_filters(view_class)
    return frozenset(names)


def _of_pages(view_class):
    named = {getattr(view_class.pagination_class, parameter, None) for parameter in PAGING}
    return named - {None}


def _of_filters(view_class):
    view = view_class()
    filtersets = [backend().get_filterset_class(view, view_class.queryset) for backend in view_class.filter_backends]
    return {name for filterset in filtersets if filterset for name in filterset.base_filters}
