"""The local authorisation list of a charger (OCPP 1.6 §5.15, §5.10), built from the id tags and sent in one call."""

from collections.abc import Iterator, Mapping, Sequence

from chargers.models import Charger
from chargers.services import variables
from commands.actions.base import FollowUp
from commands.models import FINISHED, Command, LocalList
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.timestamps import to_rfc3339
from core.ocpp.versions import OCPP16
from transactions.services import id_tokens
from transactions.services.id_tokens import INVALID, Verdict

IdTagInfo = dict[str, str]
Entries = dict[str, IdTagInfo | None]  # by id tag; None in place of the IdTagInfo of an unknown or removed tag
# Statuses of an IdTagInfo (OCPP 1.6 §7.2).
STATUSES = ("Accepted", "Blocked", "Expired", "Invalid", "ConcurrentTx")
FULL, DIFFERENTIAL = "Full", "Differential"
MAX_NAMED_TAGS = 5  # in a warning


def wanted(charger: Charger, id_tags: Sequence[str] | None = None) -> Entries:
    """The entries of all tags that are valid at `charger`, or of `id_tags`."""
    if id_tags is None:
        known = id_tokens.valid_at(charger)
        tags = (known.tag(text) for text in known.tags)
        return {tag.id_tag: id_tag_info(known.verdict_at(charger.pk, tag.id_tag)) for tag in tags if tag}
    known = id_tokens.find(id_tags, [charger.pk])
    named = {tag.upper(): tag for tag in id_tags}
    return {
        found.id_tag if (found := known.tag(key)) else tag: id_tag_info(known.verdict_at(charger.pk, key))
        if found
        else None
        for key, tag in named.items()
    }


def id_tag_info(verdict: Verdict) -> IdTagInfo:
    """Return the IdTagInfo of a verdict (OCPP 1.6 §7.27), which has no other statuses than STATUSES."""
    expires = {"expiryDate": to_rfc3339(verdict.expires)} if verdict.expires else {}
    group = {"parentIdTag": verdict.group} if verdict.group else {}
    return {"status": verdict.status if verdict.status in STATUSES else INVALID.status} | expires | group


def difference(held: Mapping[str, IdTagInfo], wanted: Entries) -> Entries:
    """Entries that change the list `held` to `wanted`; None removes a tag."""
    changed = {tag: info for tag, info in wanted.items() if held.get(tag) != info}
    return changed | {tag: None for tag in held if tag not in wanted}


def payload(update_type: str, entries: Entries, version: int) -> JSON:
    """Payload of SendLocalList for `entries`."""
    listed = [{"idTag": tag} | ({"idTagInfo": info} if info else {}) for tag, info in entries.items()]
    return {"listVersion": version, "localAuthorizationList": listed, "updateType": update_type}


def complete(payload: JSON, charger: Charger) -> list[str]:
    """Fill in the version and, in a Full list, missing IdTagInfo; returns warnings.

    A Differential list stays as it is, because there a tag without IdTagInfo is to be removed (OCPP 1.6 §5.15).
    """
    if "listVersion" not in payload:
        payload["listVersion"] = next_version(charger)
    if payload.get("updateType") != FULL or not payload.get("localAuthorizationList"):
        return []
    OCPP16.schemas.check_request("SendLocalList", payload)
    bare = [entry["idTag"] for entry in payload["localAuthorizationList"] if "idTagInfo" not in entry]
    known = id_tokens.find(bare, [charger.pk])
    payload["localAuthorizationList"] = [
        {"idTagInfo": id_tag_info(known.verdict_at(charger.pk, entry["idTag"]))} | entry
        for entry in payload["localAuthorizationList"]
    ]
    unknown = [tag for tag in bare if known.find(tag) is None]
    return [f"These tags are unknown and sent as Invalid: {_some(unknown)}."] if unknown else []


def _some(tags: list[str]) -> str:
    """The first tags as text, with the number of the others."""
    more = f" and {len(tags) - MAX_NAMED_TAGS} more" if len(tags) > MAX_NAMED_TAGS else ""
    return ", ".join(tags[:MAX_NAMED_TAGS]) + more


def next_version(charger: Charger) -> int:
    """The version after the newest one known or queued; never 0 or -1, which are special (errata 3.52)."""
    lists = Command.objects.filter(charger=charger, action="SendLocalList").exclude(state=FINISHED)
    queued_versions = [command.payload["listVersion"] for command in lists]
    return max(charger.local_list_version, 0, *queued_versions) + 1


def check(payload: JSON, charger: Charger) -> Iterator[str]:
    entries = payload.get("localAuthorizationList", [])
    if payload["listVersion"] in (0, -1):
        raise schemas.Violation("listVersion", "0 and -1 are reserved (1.6 errata 3.52).", "")
    if len({entry["idTag"].upper() for entry in entries}) < len(entries):
        yield "The list contains a tag twice."
    for limit in variables.numbers([charger.pk], "SendLocalListMaxLength").values():
        if len(entries) > limit:
            yield f"The charger's SendLocalListMaxLength is {limit}, this list has {len(entries)} tags."


def was_sent(command: Command) -> FollowUp | None:
    """Record an accepted list; after a failed Differential return a Full one if `retry_full` is set."""
    if command.status == "Accepted":
        _record(command)
    elif command.status in ("Failed", "VersionMismatch") and command.retry_full:
        return FollowUp("SendLocalList", payload(FULL, wanted(command.charger), command.payload["listVersion"] + 1))
    return None


def _record(command: Command) -> None:
    request = command.payload
    entries = {entry["idTag"]: entry.get("idTagInfo") for entry in request.get("localAuthorizationList", [])}
    Charger.objects.filter(pk=command.charger_id).update(local_list_version=request["listVersion"])
    if request["updateType"] == DIFFERENTIAL:
        held = LocalList.objects.filter(charger=command.charger).first()
        if held is None:  # the list that it changes is not known
            return
        named = {tag.upper() for tag in entries}  # tags are compared without case
        entries = {tag: info for tag, info in held.entries.items() if tag.upper() not in named} | entries
    LocalList.objects.update_or_create(
        charger=command.charger,
        defaults={
            "version": request["listVersion"],
            "entries": {tag: info for tag, info in entries.items() if info},
        },
    )


def version_reported(command: Command) -> None:
    """Store the version and forget a list with another one; -1 means that there is no list (OCPP 1.6 §5.10)."""
    version = command.answer["listVersion"]
    if version >= 0:
        Charger.objects.filter(pk=command.charger_id).update(local_list_version=version)
        LocalList.objects.filter(charger=command.charger).exclude(version=version).delete()


def payload_for_retry(payload: JSON) -> JSON:
    """Drop the version, because each command needs its own."""
    return {name: value for name, value in payload.items() if name != "listVersion"}
