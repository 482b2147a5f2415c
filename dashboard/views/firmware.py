"""Pages of firmware images: the list, the form of one, and deletion."""

from django.conf import settings
from django.urls import reverse
from django.utils.translation import gettext

from commands.api.serializers.commands import FirmwareSerializer, NewFirmwareSerializer
from commands.models import Firmware
from commands.services import firmware
from dashboard.labels import IMAGE_HINTS, IMAGES
from dashboard.views.base import Listing, own_path
from dashboard.views.editing import DeletePage, EditPage

REST_OF_FORM_BYTES = 2**15


class Images(Listing):
    permission_required = "commands.view_firmware"
    template_name = "dashboard/images.html"

    def rows(self):
        return Firmware.objects.order_by("-pk")


class EditImage(EditPage):
    """The form of an image. The file of one that is stored stays, because chargers may be fetching it.

    `next` in the path of a new one is the path to which the form returns, with the new image as `firmware`.
    """

    model = Firmware
    fields = ("description", "version", "file", "signature", "signing_certificate")
    labels, hints = IMAGES, IMAGE_HINTS
    back = "dashboard:images"
    # The limit is one of the whole body, so it includes the rest of the form.
    extra_context = {"largest": settings.OCPP_LARGEST_FILE - REST_OF_FORM_BYTES}

    @property
    def serializer_class(self):
        return FirmwareSerializer if self.is_change else NewFirmwareSerializer

    def names(self):
        return [name for name in self.fields if name != "file" or not self.is_change]

    def title(self, row):
        return gettext("Upload an image") if row is None else gettext("Image {name}").format(name=row)

    def back_to(self):
        return own_path(self.request, self.request.GET.get("next", "")) or super().back_to()

    def done(self, row, serializer):
        answer = super().done(row, serializer)
        if not self.is_change and answer.url != reverse(self.back):
            answer["Location"] += f"{'&' if '?' in answer.url else '?'}firmware={row.pk}"
        return answer


class DeleteImage(DeletePage):
    model = Firmware
    back = "dashboard:images"

    def delete(self, row):
        firmware.remove(row, self.request.user)
