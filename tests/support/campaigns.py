"""The images and the chargers of firmware campaigns."""

from django.core.files.uploadedfile import SimpleUploadedFile

from commands.models import Firmware
from tests.support.builders import a_charger, open_socket


def an_image(version="2.0"):
    file = SimpleUploadedFile("fw-2.0.bin", b"image")
    return Firmware.objects.create(description=f"Image {version}", version=version, file=file)


def online(charger):
    open_socket(charger)
    charger.refresh_from_db()
    return charger


def an_online(charger_id=None, ocpp_version="ocpp1.6", **columns):
    """A charger that is connected and accepted, with the firmware 1.0."""
    usual = {"vendor": "V", "model": "M", "firmware_version": "1.0", "registration_status": "Accepted"}
    return online(a_charger(charger_id, ocpp_version=ocpp_version, **usual | columns))
