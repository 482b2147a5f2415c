"""FirmwareStatusNotification (OCPP 1.6 §4.5)."""

import pytest

from tests.support.builders import a_charger, tell


@pytest.mark.django_db
def test_firmware_status_is_stored():
    charger = a_charger()
    assert tell(charger, "FirmwareStatusNotification", status="Downloaded") == {}
    charger.refresh_from_db()
    assert charger.firmware_status == "Downloaded"
    assert charger.firmware_status_at
