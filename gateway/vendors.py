"""Register functions that answer a vendor's DataTransfer (OCPP 1.6 §4.3).

A module of an installation, named in OCPP_VENDOR_MODULES, registers them:

    @vendor("com.example", "price")
    def price(charger_id, data):
        return "Accepted", "0.42"
"""

import logging
from collections.abc import Callable
from importlib import import_module
from typing import TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from chargers.services.notifications import VendorMessage

logger = logging.getLogger(__name__)
# It receives the charger id and the data, and returns (status, data or None).
Function = Callable[[str | None, str | None], tuple[str, str | None]]
F = TypeVar("F", bound=Function)
_functions: dict[tuple[str, str], Function] = {}


def vendor(vendor_id: str, message_id: str = "") -> Callable[[F], F]:
    """Register `function(charger_id, data)`, which returns (status, data or None), for a vendor's message.

    Without `message_id` the function receives every message of the vendor that has no function of its own. It runs in
    the transaction that is committed before the charger is answered, so it must be quick. When that transaction is
    repeated, so is the call.
    """

    def register(function: F) -> F:
        _functions[vendor_id, message_id] = function
        return function

    return register


def answer(charger_id: str | None, message: VendorMessage) -> tuple[str, str | None]:
    """Return (status, data or None) for a message; a function that fails is logged and answered by Rejected."""
    vendor_id, message_id = message.vendor_id, message.message_id
    function = _functions.get((vendor_id, message_id)) or _functions.get((vendor_id, ""))
    if function is None:
        known = any(known_vendor == vendor_id for known_vendor, _ in _functions)
        return ("UnknownMessageId" if known else "UnknownVendorId"), None
    try:
        with transaction.atomic():
            status, answer_data = function(charger_id, message.data)
        payload = {"status": status} | ({} if answer_data is None else {"data": answer_data})
        message.call.version.schemas.check_response(message.call.action, payload)
    except Exception:  # noqa: BLE001  (an error of one function must not fail the batch)
        logger.exception(
            "The function for the message %s %s failed; the charger is answered Rejected. Correct the function.",
            vendor_id,
            message_id,
        )
        return "Rejected", None
    return status, answer_data


def load() -> None:
    """Import the modules of OCPP_VENDOR_MODULES. Raise `ImproperlyConfigured` if one cannot be imported."""
    for name in settings.OCPP_VENDOR_MODULES:
        try:
            import_module(name)
        except ImportError as error:
            raise ImproperlyConfigured(
                f"OCPP_VENDOR_MODULES names {name}, which cannot be imported ({error}). Correct the name, or add the "
                "folder of the module to PYTHONPATH."
            ) from error
