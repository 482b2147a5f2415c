"""DataTransfer from a charger (OCPP 1.6 §4.3)."""

import pytest

from tests.builders import a_charger, tell


@pytest.mark.django_db
def test_a_vendor_nobody_handles_is_unknown():
    assert tell(a_charger(), "DataTransfer", vendorId="com.example", data="x") == {"status": "UnknownVendorId"}
