"""Effects on sockets of what operators change: their charger must reconnect, use new settings, or go."""

from django.db.models import ProtectedError

from chargers.models import Charger
from chargers.services import control
from core.http.errors import Conflict

CLOSE_REMOVED = 4002  # close code for a charger that was deleted


def notify(charger: Charger, former: Charger) -> None:
    """Notify the socket of `charger`, which was saved, of what differs from `former`."""
    if charger.credentials != former.credentials:
        control.close_for_new_credentials(charger.identity)
    elif charger.of_socket != former.of_socket:
        control.change_settings(charger)


def new_key(charger: Charger) -> str:
    """Return a new key, which is stored as a hash; the charger must reconnect with it."""
    key = charger.make_key()
    control.close_for_new_credentials(charger.identity)
    return key


def remove(charger: Charger) -> None:
    """Delete `charger` and close its socket; raise `Conflict` if it has transactions or commands."""
    try:
        charger.delete()
    except ProtectedError as error:
        raise Conflict("This charger can't be deleted, because it has transactions or commands.") from error
    control.close_socket(charger.identity, CLOSE_REMOVED, "The charger was removed")
