"""GetDiagnostics (OCPP 1.6 §5.7)."""

from chargers.models import Charger
from commands.actions.base import Delivery
from commands.actions.transfers import UPLOADED, check_location, new_upload_url
from commands.models import Command, Upload
from commands.services.files import upload_token
from core.ocpp.schemas import JSON

# A charger without diagnostics answers without a file name (§6.26).
DELIVERY = Delivery(UPLOADED, frozenset({"UploadFailed"}), lambda answer: not answer.get("fileName"))


def complete(payload: JSON, charger: Charger) -> None:
    """Without a location, let the charger upload to this system."""
    if "location" not in payload:
        payload["location"] = new_upload_url("location")


def check(payload: JSON, charger: Charger) -> tuple[()]:
    check_location("location", payload["location"])
    return ()


def submitted(command: Command) -> None:
    Upload.expect(command, command.payload.opened()["location"])


def for_retry(payload: JSON) -> JSON:
    return {name: value for name, value in payload.items() if name != "location" or not upload_token(value)}
