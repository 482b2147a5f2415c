"""Where chargers fetch firmware and leave diagnostics, without a login: the URL is the key, and it expires."""

import re
from datetime import UTC, datetime

from django.core.files.base import File
from django.http import FileResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_safe
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import api_view

from chargers.errors import not_found
from commands.files import firmware_of
from commands.models import Firmware, Upload


@require_safe
def firmware(request, token, filename):
    """The image itself, as long as its URL holds."""
    found = Firmware.objects.filter(pk=firmware_of(token)).first()
    return _attachment(found) if found else _gone()


@csrf_exempt
@require_http_methods(["PUT", "POST"])
def upload(request, token, filename=""):
    """One file, as the body or as a form's only file. A second one replaces the first: the charger tried again."""
    place = Upload.objects.filter(token=token, expires_at__gt=datetime.now(UTC)).first()
    if place is None:
        return _gone()
    form_file = next(iter(request.FILES.values()), None) if request.method == "POST" else None
    content = form_file or File(request)
    name = _safe(filename or (form_file.name if form_file else ""))
    if place.file:
        place.file.delete(save=False)
    place.file.save(name, _Counted(content), save=False)
    place.size, place.received_at = place.file.size, datetime.now(UTC)
    place.save()
    return JsonResponse({"status": "received", "size": place.size}, status=201)


def _safe(name):
    """A name that is one everywhere, and names nothing but a file."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name.rpartition("/")[2])[-100:].strip("._") or "file"


class _Counted(File):
    """A body that is read in pieces; Django's own would ask it for its size."""

    def chunks(self, chunk_size=None):
        while piece := self.file.read(chunk_size or self.DEFAULT_CHUNK_SIZE):
            yield piece


@extend_schema(responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
@api_view(["GET"])
def uploaded_file(request, pk):
    """What a charger left, to be saved, never shown."""
    found = Upload.objects.exclude(file="").filter(pk=pk).first()
    if found is None:
        raise not_found("File")
    return _attachment(found)


def _attachment(kept):
    response = FileResponse(kept.file.open("rb"), as_attachment=True, filename=kept.filename)
    response["Content-Type"] = "application/octet-stream"
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Security-Policy"] = "sandbox"
    return response


def _gone():
    return JsonResponse({"error": "This URL is not known, or its time is over."}, status=404)
