"""The local authorisation list of a charger (OCPP 1.6 §5.15, §5.10), built from the id tags and sent in one call."""

from chargers import schemas
from chargers.models import Charger
from commands.models import FINISHED, Command, LocalList
from transactions.models import IdTag

FULL, DIFFERENTIAL = "Full", "Differential"
NAMED = 5  # tags that a warning names


def wanted(id_tags=None):
    """{id tag: IdTagInfo} of every tag, or of those named; without `info` one that is not known any more."""
    if id_tags is None:
        return {tag.id_tag: tag.as_info() for tag in IdTag.objects.order_by("id_tag")}
    known = IdTag.known(id_tags)
    named = {tag.upper(): tag for tag in id_tags}
    return {
        known[key].id_tag if key in known else tag: known[key].as_info() if key in known else None
        for key, tag in named.items()
    }


def difference(held, wanted):
    """What must be sent so that `held` becomes `wanted`, both {id tag: IdTagInfo}; None removes a tag."""
    changed = {tag: info for tag, info in wanted.items() if held.get(tag) != info}
    return changed | {tag: None for tag in held if tag not in wanted}


def payload(update_type, entries, version):
    """SendLocalList for `entries`, {id tag: IdTagInfo or None}."""
    listed = [{"idTag": tag} | ({"idTagInfo": info} if info else {}) for tag, info in entries.items()]
    return {"listVersion": version, "localAuthorizationList": listed, "updateType": update_type}


def complete(payload, charger):
    """Fill in the version and, in a Full list, the IdTagInfo of tags that stand there without; returns warnings.

    In a Differential list a tag without IdTagInfo is one to be removed (OCPP 1.6 §5.15).
    """
    if "listVersion" not in payload:
        payload["listVersion"] = next_version(charger)
    if payload.get("updateType") != FULL or not payload.get("localAuthorizationList"):
        return []
    schemas.check("SendLocalList", payload)
    bare = [entry["idTag"] for entry in payload["localAuthorizationList"] if "idTagInfo" not in entry]
    known = IdTag.known(bare) if bare else {}
    payload["localAuthorizationList"] = [
        {"idTagInfo": IdTag.info(known, entry["idTag"])} | entry for entry in payload["localAuthorizationList"]
    ]
    unknown = [tag for tag in bare if tag.upper() not in known]
    return [f"Not known here, and sent as Invalid: {_some(unknown)}."] if unknown else []


def _some(tags):
    """Their names, of a few."""
    more = f" and {len(tags) - NAMED} more" if len(tags) > NAMED else ""
    return ", ".join(tags[:NAMED]) + more


def next_version(charger):
    """Never 0 or -1, which mean something else (errata 3.52)."""
    lists = Command.objects.filter(charger=charger, action="SendLocalList").exclude(state=FINISHED)
    on_their_way = [command.payload["listVersion"] for command in lists]
    return max(charger.local_list_version, 0, *on_their_way) + 1


def check(payload, charger):
    entries = payload.get("localAuthorizationList", [])
    if payload["listVersion"] in (0, -1):
        raise schemas.Violation("listVersion", "0 and -1 have a meaning of their own (1.6 errata 3.52).", "")
    if len({entry["idTag"].upper() for entry in entries}) < len(entries):
        yield "A tag stands twice in the list."
    limit = charger.configuration.filter(key="SendLocalListMaxLength").values_list("value", flat=True).first()
    if (limit or "").isdecimal() and len(entries) > int(limit):
        yield f"The charger's SendLocalListMaxLength is {limit}, this list has {len(entries)} tags."


def was_sent(command):
    """Accepted: that is the charger's list now. A Differential that failed is followed by a Full where asked."""
    if command.status == "Accepted":
        _keep(command)
    elif command.status in ("Failed", "VersionMismatch") and command.retry_full:
        from commands.submission import submit_internal  # it needs the table, which is made of this

        full = payload(FULL, wanted(), command.payload["listVersion"] + 1)
        submit_internal(command.charger, "SendLocalList", full, caused_by=command)


def _keep(command):
    request = command.payload
    told = {entry["idTag"]: entry.get("idTagInfo") for entry in request.get("localAuthorizationList", [])}
    Charger.objects.filter(pk=command.charger_id).update(local_list_version=request["listVersion"])
    if request["updateType"] == DIFFERENTIAL:
        held = LocalList.objects.filter(charger=command.charger).first()
        if held is None:  # what it was added to is not known
            return
        named = {tag.upper() for tag in told}  # compared without case
        told = {tag: info for tag, info in held.entries.items() if tag.upper() not in named} | told
    LocalList.objects.update_or_create(
        charger=command.charger,
        defaults={
            "version": request["listVersion"],
            "entries": {tag: info for tag, info in told.items() if info},
        },
    )


def version_told(command):
    """-1 says that there is no local list (OCPP 1.6 §5.10). A list that is not the one we know is unknown."""
    version = command.response["listVersion"]
    if version >= 0:
        Charger.objects.filter(pk=command.charger_id).update(local_list_version=version)
        LocalList.objects.filter(charger=command.charger).exclude(version=version).delete()


def payload_for_retry(payload):
    """Its version was for one command."""
    return {name: value for name, value in payload.items() if name != "listVersion"}
