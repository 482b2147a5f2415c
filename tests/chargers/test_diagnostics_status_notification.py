"""DiagnosticsStatusNotification (OCPP 1.6 §4.4)."""

import pytest

from tests.support.builders import a_charger, tell


@pytest.mark.django_db
def test_diagnostics_status_is_stored():
    charger = a_charger()
    assert tell(charger, "DiagnosticsStatusNotification", status="Uploaded") == {}
    charger.refresh_from_db()
    assert charger.diagnostics_status == "Uploaded"
    assert charger.diagnostics_status_at
