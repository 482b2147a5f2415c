"""The local authorization list of a charger, of any OCPP version: built from the id tokens, and recorded if accepted.

An entry is written as on the wire. One without an info removes its token from the list.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from chargers.models import Charger
from commands.actions.base import FollowUp
from commands.models import FINISHED, Command, LocalList
from core.ocpp import schemas
from core.ocpp.schemas import JSON
from core.ocpp.versions import Version
from transactions.services import id_tokens, key_codes
from transactions.services.id_tokens import KnownTag, Verdict

Entry = JSON
Identity = tuple[str, str]  # of a token: its text in upper case, and its type
FULL, DIFFERENTIAL = "Full", "Differential"
LIST = "localAuthorizationList"
MAX_NAMED_TAGS = 5  # in a warning


@dataclass(frozen=True)
class Form:
    """How an OCPP version writes a local list.

    `number` and `info` are the names of members: the version of the list, and the information about a token.
    `is_reserved(number)` is true for a version that no list may have, and `reserved` says so. `token(text, type)`
    returns the members that name a token, `identity(entry)` its text and type. `types(same_text)` are the types with
    which the known tokens of one text are listed, none if it is not known which one is meant.
    """

    version: Version
    number: str
    info: str
    is_reserved: Callable[[int], bool]
    reserved: str  # the sentence for such a version
    token: Callable[[str, str], JSON]
    identity: Callable[[Entry], tuple[str, str]]
    types: Callable[[dict[str, KnownTag]], Iterable[str]]
    encode: Callable[[Verdict], JSON]
    omits_empty: bool

    def key(self, entry: Entry) -> Identity:
        text, kind = self.identity(entry)
        return text.upper(), kind


def wanted(form: Form, charger: Charger, id_tags: Sequence[str] | None = None) -> list[Entry]:
    """Return the entries of all tokens that are valid at `charger`, or of `id_tags`; those unknown have no info."""
    if id_tags is None:
        known = id_tokens.valid_at(charger)
        named = {text: text for text in known.tags}
    else:
        known, named = id_tokens.find(id_tags, [charger.pk]), {tag.upper(): tag for tag in id_tags}
    entries = []
    for text, as_named in named.items():
        types = list(form.types(known.tags.get(text, {})))
        entries += [_entry(form, charger, known, text, kind) for kind in types]
        if not types and id_tags is not None:
            entries.append(form.token(as_named, ""))
    return sorted(entries, key=form.key)


def _entry(form: Form, charger: Charger, known: id_tokens.Known, text: str, kind: str) -> Entry:
    tag = known.tag(text, kind)
    spelled = tag.id_tag if tag else text
    return form.token(spelled, kind) | {form.info: form.encode(known.verdict_at(charger.pk, text, kind))}


def difference(form: Form, held: list[Entry], wanted: list[Entry]) -> list[Entry]:
    """Return the entries that change the list `held` to `wanted`."""
    former, named = {form.key(entry): entry for entry in held}, {form.key(entry) for entry in wanted}
    changed = [entry for entry in wanted if former.get(form.key(entry)) != entry]
    return changed + [form.token(*form.identity(entry)) for key, entry in former.items() if key not in named]


def held(form: Form, charger: Charger) -> list[Entry] | None:
    """Return the entries that `charger` has accepted, None if they are not known, or of another OCPP version."""
    stored = LocalList.objects.filter(charger=charger, version=charger.local_list_version).first()
    return _entries(form, stored)


def _entries(form: Form, stored: LocalList | None) -> list[Entry] | None:
    if stored is None or any(form.info not in entry for entry in stored.entries):
        return None
    return list(stored.entries)


def payload(form: Form, update_type: str, entries: list[Entry]) -> JSON:
    """Return the payload of SendLocalList for `entries`; `complete` gives it a version."""
    listed = {} if form.omits_empty and not entries else {LIST: entries}
    return {**listed, "updateType": update_type}


def next_version(form: Form, charger: Charger) -> int:
    """Return the version after the newest one known or queued, which is greater than 0."""
    lists = Command.objects.filter(charger=charger, action="SendLocalList").exclude(state=FINISHED)
    queued = [command.payload.get(form.number, 0) for command in lists]
    return max(charger.local_list_version, 0, *queued) + 1


# --- the functions of the action -------------------------------------------------------------


def complete(form: Form, payload: JSON, charger: Charger) -> list[str]:
    """Fill in the version and, in a Full list, missing information about tokens; return warnings.

    A Differential list stays as it is, because there a token without information is to be removed.
    """
    if form.number not in payload:
        given = dict(payload)
        payload.clear()
        payload.update({form.number: next_version(form, charger)} | given)
    if form.omits_empty and payload.get(LIST) == []:
        del payload[LIST]
    if payload.get("updateType") != FULL or not payload.get(LIST):
        return []
    form.version.schemas.check_request("SendLocalList", payload)
    bare = [form.identity(entry) for entry in payload[LIST] if form.info not in entry]
    known = id_tokens.find([text for text, _ in bare], [charger.pk])
    payload[LIST] = [
        {form.info: form.encode(known.verdict_at(charger.pk, *form.identity(entry)))} | entry
        for entry in payload[LIST]
    ]
    unknown = [text for text, kind in bare if known.find(text, kind) is None]
    return [f"These tags are unknown and sent as Invalid: {_some(unknown)}."] if unknown else []


def _some(tags: list[str]) -> str:
    """Return the first tags as text, with the number of the others."""
    more = f" and {len(tags) - MAX_NAMED_TAGS} more" if len(tags) > MAX_NAMED_TAGS else ""
    return ", ".join(tags[:MAX_NAMED_TAGS]) + more


def check(form: Form, payload: JSON, charger: Charger) -> Iterator[str]:
    entries = payload.get(LIST, [])
    if form.is_reserved(payload[form.number]):
        raise schemas.Violation(form.number, form.reserved, "")
    named: dict[Identity, str] = {}
    for entry in entries:
        text, kind = form.identity(entry)
        former = named.setdefault(form.key(entry), text)
        if former != text:
            first, second = (key_codes.shown(one, kind) for one in (former, text))
            message = (
                f"{first} and {second} are one id token, because tokens are compared without case. Send it once."
            )
            raise schemas.Violation(LIST, message, "")
    if len(named) < len(entries):
        yield "The list contains a tag twice."


def was_sent(form: Form, command: Command) -> FollowUp | None:
    """Record an accepted list; after a failed Differential return a Full one if `retry_full` is set (D01.FR.03)."""
    if command.status == "Accepted":
        _record(form, command)
    elif command.status in ("Failed", "VersionMismatch") and command.retry_full:
        full = payload(form, FULL, wanted(form, command.charger))
        return FollowUp("SendLocalList", full | {form.number: command.payload[form.number] + 1})
    return None


def _record(form: Form, command: Command) -> None:
    request = command.payload.opened()  # with PINs, by which the next difference is found
    entries = {form.key(entry): entry for entry in request.get(LIST, [])}
    Charger.objects.filter(pk=command.charger_id).update(local_list_version=request[form.number])
    if request["updateType"] == DIFFERENTIAL:
        stored = _entries(form, LocalList.objects.filter(charger=command.charger).first())
        if stored is None:  # the list that it changes is not known
            return
        entries = {form.key(entry): entry for entry in stored} | entries
    LocalList.objects.update_or_create(
        charger=command.charger,
        defaults={
            "version": request[form.number],
            "entries": [entry for entry in entries.values() if form.info in entry],
        },
    )


def version_reported(form: Form, command: Command) -> None:
    """Store the version and forget a list with another one; a negative one means that there is no list."""
    version = command.answer[form.number]
    if version >= 0:
        Charger.objects.filter(pk=command.charger_id).update(local_list_version=version)
        LocalList.objects.filter(charger=command.charger).exclude(version=version).delete()


def for_retry(form: Form, payload: JSON) -> JSON:
    """Drop the version, because each command needs its own."""
    return {name: value for name, value in payload.items() if name != form.number}
