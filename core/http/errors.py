"""Give every error of the API one form: {"error": sentence} and, for 400, {"fields": {name: [sentences]}}."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NotRequired, TypeAlias, TypedDict

from django.core.exceptions import DisallowedHost, RequestDataTooBig
from django.db import DataError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions, status
from rest_framework.response import Response
from rest_framework.views import exception_handler

from core.observability import diagnosis
from core.ocpp import schemas

logger = logging.getLogger(__name__)
NOTHING_SUBMITTED = "Nothing was submitted; try again."
NOT_FOUND = re.compile(r"No (\w+) matches the given query")


# The detail of an exception of DRF.
Detail: TypeAlias = "str | Sequence[Detail] | Mapping[str, Detail]"


class ErrorBody(TypedDict):
    """The body of an error: `fields` are the sentences by the dotted name of the member."""

    error: str
    fields: NotRequired[dict[str, list[Detail]]]


class Conflict(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


class Busy(exceptions.APIException):
    """Too many commands are waiting; the client should retry after `wait` seconds."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS

    def __init__(self, detail: str, wait: int) -> None:
        super().__init__(detail)
        self.wait = wait


class Unavailable(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE


def not_found(name: str) -> exceptions.NotFound:
    """Return a 404 with a body such as `{"error": "Charger not found"}`."""
    return exceptions.NotFound(f"{name} not found")


def api_error(error: Exception, context: dict[str, Any]) -> Response:
    """Handle an exception of a view (DRF's EXCEPTION_HANDLER)."""
    if isinstance(error, schemas.Violation):
        error = exceptions.ValidationError({error.field or "payload": [error.message]})
    elif wrong := diagnosis.in_words(error):
        error = Unavailable(f"{wrong} {NOTHING_SUBMITTED}")
    elif isinstance(error, DataError):
        error = exceptions.ParseError("A text contains a character that cannot be stored, such as U+0000.")
    elif isinstance(error, Http404) and (model := NOT_FOUND.match(str(error))):
        error = not_found(model[1])
    elif isinstance(error, RequestDataTooBig):
        error = TooLarge("The body is too large.")
    response = exception_handler(error, context)
    if response is None:
        logger.error("A request of the API failed with an unexpected error", exc_info=error)
        return Response({"error": "Internal server error"}, status=500)
    response.data = one_form(response.data, response.status_code)
    return response


def one_form(detail: Detail, status_code: int) -> ErrorBody:
    """Return the body of an error; `detail` is that of an exception of DRF."""
    if isinstance(detail, list):
        detail = {"non_field_errors": detail}
    fields = dict(_flat("", detail))
    general = fields.pop("detail", []) + fields.pop("non_field_errors", [])
    sentences = general or [f"{name}: {lines[0]}" for name, lines in fields.items()]
    body: ErrorBody = {"error": str(sentences[0]) if sentences else "Bad request"}
    if status_code == 400:
        body["fields"] = fields
    return body


def sentence(error: exceptions.APIException) -> str:
    """Return the sentence of an error of the API (`exceptions.APIException`), for pages."""
    return one_form(error.detail if isinstance(error.detail, dict | list) else [error.detail], 0)["error"]


def _flat(path: str, detail: Detail) -> Iterator[tuple[str, list[Detail]]]:
    """Yield (dotted name, sentences) of errors at any depth."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(f"{path}.{name}" if path else str(name), inner)
    elif isinstance(detail, list) and any(isinstance(line, dict | list) for line in detail):
        for number, inner in enumerate(detail):
            yield from _flat(f"{path}.{number}", inner) if inner else ()
    else:
        yield path, detail if isinstance(detail, list) else [detail]


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    hint = "" if request.path.endswith("/") else " Paths of this API end with a slash."
    return JsonResponse({"error": f"Not found: {request.path}.{hint}"}, status=404)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    host = isinstance(exception, DisallowedHost)
    why = "Bad request: is the host name one of ALLOWED_HOSTS?" if host else f"Bad request: {exception}"
    return JsonResponse({"error": why, "fields": {}}, status=400)


def server_error(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"error": "Internal server error"}, status=500)
