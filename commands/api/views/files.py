"""Firmware and uploads for chargers without a login; the token in the URL authorises them and expires."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import wraps
from typing import IO, Any, cast

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.http import parse_header_parameters
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, permission_classes
from rest_framework.request import Request

from chargers.services import access
from chargers.services.access import needs
from commands.models import Firmware, Upload, upload_path
from commands.services.files import firmware_of
from core.http.downloads import attachment
from core.http.errors import not_found

View = Callable[..., HttpResponseBase]


def only(*methods: str) -> Callable[[View], View]:
    """Answer other methods with 405 and a JSON error. CSRF checks are off, because there is no session."""

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in methods:
                error = {"error": f'Method "{request.method}" not allowed.'}
                return JsonResponse(error, status=405, headers={"Allow": ", ".join(methods)})
            return view(request, *args, **kwargs)

        return guarded

    return decorate


@only("GET", "HEAD")
def firmware(request: HttpRequest, token: str, filename: str) -> HttpResponseBase:
    """Send the image, if the URL has not expired."""
    pk = firmware_of(token)
    image = None if pk is None else Firmware.objects.filter(pk=pk).first()
    return _attachment(image) if image and image.is_kept else _gone()


@only("PUT", "POST")
def upload(request: HttpRequest, token: str, filename: str = "") -> JsonResponse:
    """Store one file, the body or the only file of a form. A second one replaces the first, because it is a retry."""
    row = Upload.of(token)
    if row is None:
        return _gone()
    content = _content(request)
    if content is None:
        return _bad("The form has no file.")
    stored = default_storage.save(upload_path(row, _safe(filename or content.name or "")), content)
    size = default_storage.size(stored)
    if size == 0:
        default_storage.delete(stored)
        return _bad("The file is empty.")
    _swap(row, stored, size)
    return JsonResponse({"status": "received", "size": size}, status=201)


def _content(request: HttpRequest) -> File | None:
    """The file in a request, None for a form without one. A body may have its name in a header (N01.FR.19)."""
    if not (request.content_type or "").startswith("multipart/"):
        _, disposition = parse_header_parameters(request.headers.get("Content-Disposition", ""))
        return _Body(cast(IO[bytes], request), name=disposition.get("filename", ""))
    return cast(File | None, next(iter(request.FILES.values()), None))


@transaction.atomic
def _swap(row: Upload, stored: str, size: int) -> None:
    """Set the new file, and delete the former one only after the commit."""
    row = Upload.objects.select_for_update().get(pk=row.pk)
    former = row.file.name
    row.file, row.size, row.received_at = stored, size, datetime.now(UTC)
    row.save(update_fields=["file", "size", "received_at"])
    if former:
        transaction.on_commit(lambda: default_storage.delete(former))


def _safe(name: str) -> str:
    """A file name that is valid on every system and has no folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])[-100:].strip("._") or "file"


class _Body(File):
    """A body that is read in pieces, because Django's class needs its size first."""

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        body = cast(IO[bytes], self.file)
        while piece := body.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield piece


@extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
@api_view(["GET"])
@permission_classes([needs(GET="commands.view_upload")])
def uploaded_file(request: Request, pk: int) -> HttpResponseBase:
    """Send an uploaded file as an attachment, so that browsers do not display it."""
    row = access.within(request.user, Upload.objects.exclude(file="")).filter(pk=pk).first()
    if row is None or not row.is_kept:
        raise not_found("File")
    return _attachment(row)


def _attachment(row: Firmware | Upload) -> HttpResponseBase:
    return attachment(row.file.open("rb"), row.file.size, _safe(row.filename))


def _gone() -> JsonResponse:
    return JsonResponse({"error": "This URL is unknown or has expired."}, status=404)


def _bad(why: str) -> JsonResponse:
    return JsonResponse({"error": why, "fields": {}}, status=400)


urlpatterns = [
    path("firmware/<str:token>/<str:filename>", firmware),
    path("uploads/<str:token>", upload),
    path("uploads/<str:token>/", upload),
    path("uploads/<str:token>/<path:filename>", upload),
]
