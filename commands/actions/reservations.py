"""ReserveNow and CancelReservation (OCPP 1.6 §5.13, §5.1): a reservation is what its charger says it is."""

from chargers import schemas
from chargers.models import Connector
from chargers.times import read, wire
from transactions.models import Reservation, next_reservation_id


def complete(payload, charger):
    """A reservation that is named by its id alone is taken from the books; without an id it gets the next."""
    known = Reservation.objects.filter(pk=payload.get("reservationId"), charger=charger).first()
    if known:
        told = {"connectorId": known.connector_id, "expiryDate": wire(known.expiry_date), "idTag": known.id_tag}
        if known.parent_id_tag:
            told["parentIdTag"] = known.parent_id_tag
        for member, value in told.items():
            payload.setdefault(member, value)
    if "reservationId" not in payload:
        payload["reservationId"] = next_reservation_id()


def check(payload, charger):
    if Reservation.objects.filter(pk=payload["reservationId"]).exclude(charger=charger).exists():
        raise schemas.Violation("reservationId", "This reservation is another charger's.", "")
    connector = Connector.objects.filter(charger=charger, connector_id=payload["connectorId"]).first()
    if connector and connector.status != "Available":
        yield f"Connector {connector.connector_id} is {connector.status}."


def asked(command):
    """Known from now on, `Inactive` until the charger accepts it."""
    Reservation.objects.get_or_create(id=command.payload["reservationId"], defaults=_columns(command))


def reserved(command):
    """The same id again replaces what it was (OCPP 1.6 §5.13)."""
    if command.status == "Accepted":
        Reservation.objects.filter(pk=command.payload["reservationId"], charger=command.charger).update(
            **_columns(command), state=Reservation.ACTIVE, ended_because=""
        )


def cancelled(command):
    if command.status == "Accepted":
        Reservation.objects.filter(
            pk=command.payload["reservationId"], charger=command.charger, state=Reservation.ACTIVE
        ).update(state=Reservation.CANCELLED, ended_because="CancelReservation")


def _columns(command):
    request = command.payload
    return {
        "charger": command.charger,
        "connector_id": request["connectorId"],
        "id_tag": request["idTag"],
        "parent_id_tag": request.get("parentIdTag", ""),
        "expiry_date": read(request["expiryDate"]) or command.created_at,
    }
