"""Where chargers fetch firmware and leave diagnostics, without a login: the URL is the key, and it expires."""

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

from chargers import access
from chargers.access import needs
from chargers.downloads import attachment
from chargers.errors import not_found
from commands.files import firmware_of
from commands.models import Firmware, Upload, upload_path


def only(*methods):
    """Any other method is answered 405, in the one form of errors; there is no session, so no forgery either."""

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
    """The image itself, as long as its URL holds."""
    found = Firmware.objects.filter(pk=firmware_of(token)).first()
    return _attachment(found) if found and found.is_kept else _gone()


@only("PUT", "POST")
def upload(request, token, filename=""):
    """One file, as the body or as a form's only file. A second one replaces the first: the charger tried again."""
    place = Upload.of(token)
    if place is None:
        return _gone()
    content = _content(request)
    if content is None:
        return _bad("The form has no file.")
    kept = default_storage.save(upload_path(place, _safe(filename or content.name or "")), content)
    size = default_storage.size(kept)
    if size == 0:
        default_storage.delete(kept)
        return _bad("The file is empty.")
    _swap(place, kept, size)
    return JsonResponse({"status": "received", "size": size}, status=201)


def _content(request):
    """The file in a request, None for a form without one."""
    if not (request.content_type or "").startswith("multipart/"):
        return _Body(request, name="")
    return next(iter(request.FILES.values()), None)


@transaction.atomic
def _swap(place, kept, size):
    """The new file is whole before the old one goes."""
    place = Upload.objects.select_for_update().get(pk=place.pk)
    former = place.file.name
    place.file, place.size, place.received_at = kept, size, datetime.now(UTC)
    place.save(update_fields=["file", "size", "received_at"])
    if former:
        transaction.on_commit(lambda: default_storage.delete(former))


def _safe(name):
    """A name that is one everywhere, and names nothing but a file."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])[-100:].strip("._") or "file"


class _Body(File):
    """A body that is read in pieces; Django's own would ask it for its size."""

    def chunks(self, chunk_size=None):
        while piece := self.file.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield piece


@extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
@api_view(["GET"])
@permission_classes([needs(GET="commands.view_upload")])
def uploaded_file(request, pk):
    """What a charger left, to be saved, never shown."""
    found = access.within(request.user, Upload.objects.exclude(file="")).filter(pk=pk).first()
    if found is None or not found.is_kept:
        raise not_found("File")
    return _attachment(found)


def _attachment(kept):
    return attachment(kept.file.open("rb"), kept.file.size, _safe(kept.filename))


def _gone():
    return JsonResponse({"error": "This URL is not known, or its time is over."}, status=404)


def _bad(why):
    return JsonResponse({"error": why, "fields": {}}, status=400)
