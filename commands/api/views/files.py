"""Firmware and uploads for chargers without a login; the token in the URL authorises them and expires."""

import re
from datetime import UTC, datetime
from functools import wraps

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import JsonResponse
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view, permission_classes

from chargers.services import access
from chargers.services.access import needs
from commands.models import Firmware, Upload, upload_path
from commands.services.files import firmware_of
from core.http.downloads import attachment
from core.http.errors import not_found


def only(*methods):
    """Answer other methods with 405 and a JSON error. CSRF checks are off, because there is no session."""

    def decorate(view):
        @csrf_exempt
        @wraps(view)
        def guarded(request, *args, **kwargs):
            if request.method not in methods:
                error = {"error": f'Method "{request.method}" not allowed.'}
                return JsonResponse(error, status=405, headers={"Allow": ", ".join(methods)})
            return view(request, *args, **kwargs)

        return guarded

    return decorate


@only("GET", "HEAD")
def firmware(request, token, filename):
    """Send the image, if the URL has not expired."""
    image = Firmware.objects.filter(pk=firmware_of(token)).first()
    return _attachment(image) if image and image.is_kept else _gone()


@only("PUT", "POST")
def upload(request, token, filename=""):
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


def _content(request):
    """The file in a request, None for a form without one."""
    if not (request.content_type or "").startswith("multipart/"):
        return _Body(request, name="")
    return next(iter(request.FILES.values()), None)


@transaction.atomic
def _swap(row, stored, size):
    """Set the new file, and delete the former one only after the commit."""
    row = Upload.objects.select_for_update().get(pk=row.pk)
    former = row.file.name
    row.file, row.size, row.received_at = stored, size, datetime.now(UTC)
    row.save(update_fields=["file", "size", "received_at"])
    if former:
        transaction.on_commit(lambda: default_storage.delete(former))


def _safe(name):
    """A file name that is valid on every system and has no folder."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])[-100:].strip("._") or "file"


class _Body(File):
    """A body that is read in pieces, because Django's class needs its size first."""

    def chunks(self, chunk_size=None):
        while piece := self.file.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield piece


@extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
@api_view(["GET"])
@permission_classes([needs(GET="commands.view_upload")])
def uploaded_file(request, pk):
    """Send an uploaded file as an attachment, so that browsers do not display it."""
    row = access.within(request.user, Upload.objects.exclude(file="")).filter(pk=pk).first()
    if row is None or not row.is_kept:
        raise not_found("File")
    return _attachment(row)


def _attachment(row):
    return attachment(row.file.open("rb"), row.file.size, _safe(row.filename))


def _gone():
    return JsonResponse({"error": "This URL is unknown or has expired."}, status=404)


def _bad(why):
    return JsonResponse({"error": why, "fields": {}}, status=400)
