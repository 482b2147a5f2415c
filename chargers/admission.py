"""Who may open a socket: known chargers, with their key where they have one. Settled in batches, too."""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from django.conf import settings

from chargers import keys
from chargers.models import Charger

PATH = b"/ws/ocpp/"
SUBPROTOCOL = "ocpp1.6"


class Refused(Exception):
    """No upgrade: an HTTP `status` and a sentence for whoever reads the charger's log."""

    def __init__(self, status, reason):
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True, slots=True)
class Knock:
    """A charger asks for a socket. `authorization` is the header as sent, b"" without one."""

    charger_id: str
    authorization: bytes


def charger_id_in(raw_path):
    """The percent-decoded id at the end of the path, with or without a final slash (J §3.1.1)."""
    try:
        charger_id = unquote_to_bytes(raw_path.removeprefix(PATH).removesuffix(b"/")).decode()
    except UnicodeDecodeError as error:
        raise Refused(404, "The charger id in the path is not UTF-8.") from error
    if not raw_path.startswith(PATH) or not 0 < len(charger_id) <= 255 or "\0" in charger_id:
        raise Refused(404, "Connect to /ws/ocpp/<charger id>, an id of 1 to 255 characters.")
    return charger_id


def subprotocol(offered):
    """The subprotocol to speak, None where none was offered and none is required."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    if offered or settings.OCPP_REQUIRE_SUBPROTOCOL:
        raise Refused(
            400,
            f"This server speaks {SUBPROTOCOL}; the charger offered {', '.join(offered) or 'no subprotocol'}.",
        )
    return None


def admit(knocks):
    """Batch: the `Charger` behind each knock, or the `Refused` it is answered with."""
    wanted = {knock.charger_id for knock in knocks}
    if settings.OCPP_UNKNOWN_CHARGERS == "accept":
        _register(wanted)
    known = {charger.charger_id: charger for charger in Charger.objects.filter(charger_id__in=wanted)}
    outcomes = [_verdict(knock, known.get(knock.charger_id)) for knock in knocks]
    admitted = sorted({charger.pk for charger in outcomes if isinstance(charger, Charger)})
    Charger.objects.filter(pk__in=admitted).update(connected_at=datetime.now(UTC))
    return outcomes


def _register(charger_ids):
    known = set(Charger.objects.filter(charger_id__in=charger_ids).values_list("charger_id", flat=True))
    new = [Charger(charger_id=charger_id) for charger_id in sorted(charger_ids - known)]
    Charger.objects.bulk_create(new, ignore_conflicts=True)


def _verdict(knock, charger):
    if charger is None:
        return Refused(404, f"Charger {knock.charger_id!r} is not known here.")
    if charger.authorization_key_hash:
        key = keys.presented(knock.charger_id, knock.authorization)
        if key is None or not keys.matches(key, charger.authorization_key_hash):
            return Refused(401, "Basic auth with the charger's id and its key is required.")
    return charger
