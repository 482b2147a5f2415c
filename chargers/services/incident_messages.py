"""The texts of messages about incidents, and the requests by which chat programs take them.

The texts are in the language of the rule. Members for programs, such as the severity, are the same in each.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext, gettext_lazy, ngettext

from chargers.error_codes import explain
from chargers.models import Incident, NotificationDelivery, NotificationRule
from core.ocpp.timestamps import display_zone
from core.sentences import translated

PLACEHOLDER = re.compile(r"\{(\w+)\}")  # replaced once, so that a charger's text is not taken for one
MAX_LISTED = 50  # incidents in one message
MAX_DETAIL = 300  # characters
PREFIXES = {
    "recurred": gettext_lazy("Recurring"),
    "escalated": gettext_lazy("Not acknowledged"),
    "closed": gettext_lazy("Closed"),
}
SEVERITIES = {
    "info": gettext_lazy("info"),
    "warning": gettext_lazy("warning"),
    "critical": gettext_lazy("critical"),
}
PRIORITIES = {"info": "default", "warning": "high", "critical": "urgent"}  # of ntfy


@dataclass(frozen=True)
class Message:
    """One message. `link` is "" without PUBLIC_URL; the title and the text contain no markup."""

    title: str
    text: str
    link: str
    severity: str
    state: str
    kind: str
    site: str
    charger: str
    incident: str  # its id, "" for several


def of(rule: NotificationRule, deliveries: Sequence[NotificationDelivery]) -> Message:
    """Return the message of `rule` for one delivery, or one for many."""
    with translation.override(rule.language):
        return _single(deliveries[0]) if len(deliveries) == 1 else _summary(deliveries)


def test(rule: NotificationRule) -> Message:
    """Return a test message."""
    with translation.override(rule.language):
        text = gettext("This is a test of the notification rule {name}. Nothing is wrong.").format(name=rule.name)
        return Message(gettext("Test of notifications"), text, link(""), "info", "test", "test", "", "", "")


def link(path: str) -> str:
    """Return the URL of a page of incidents, "" without PUBLIC_URL."""
    return f"{settings.PUBLIC_URL}/incidents/{path}" if settings.PUBLIC_URL else ""


def headline(incident: Incident) -> str:
    """Return one line: the place and what is wrong."""
    is_unknown = incident.kind == "unknown_charger"
    place = _place(incident) or (incident.code if is_unknown else "")
    words = translated(incident.title) if is_unknown else _problem(incident)
    return _one_line(f"{place}: {words}" if place else words)


def _place(incident: Incident) -> str:
    """Return its charger and connector, "" for one without a charger."""
    if incident.charger is None:
        return ""
    evse, connector = incident.evse_id, incident.connector_id
    numbers = [f"EVSE {evse}"] if evse and evse != connector else []
    numbers += [gettext("connector {number}").format(number=connector)] if connector else []
    return ", ".join([incident.charger.identity, *numbers])


def _problem(incident: Incident) -> str:
    """Return its title, with its codes if it has any."""
    codes = ", ".join(filter(None, [incident.code, incident.vendor_code])) if incident.code else ""
    return f"{translated(incident.title)} ({codes})" if codes else translated(incident.title)


def _with_reason(delivery: NotificationDelivery, text: str) -> str:
    return f"{PREFIXES[delivery.reason]}: {text}" if delivery.reason in PREFIXES else text


def _single(delivery: NotificationDelivery) -> Message:
    incident = delivery.incident
    if incident is None:  # a test that is replayed
        return test(delivery.rule)
    meaning = explain(incident)
    site = _site(incident)
    closed_at = incident.closed_at if delivery.reason == "closed" else None
    times = ngettext("{number} time", "{number} times", incident.recurrences).format(number=incident.recurrences)
    lines = [
        (gettext("Site"), site),
        (gettext("Charger"), _place(incident)),
        (gettext("Problem"), _problem(incident)),
        (gettext("Reported"), translated(incident.detail)[:MAX_DETAIL]),
        (gettext("Meaning"), translated(meaning.meaning)),
        (gettext("What to do"), translated(meaning.what_to_do)),
        (gettext("Severity"), str(SEVERITIES[incident.severity])),
        (gettext("Since"), _time(incident.opened_at, incident)),
        (gettext("Recurred"), times if incident.recurrences else ""),
        (gettext("Closed"), _time(closed_at, incident) if closed_at else ""),
        (gettext("Page"), link(f"{incident.pk}/")),
    ]
    return Message(
        title=_subject(site, _with_reason(delivery, headline(incident))),
        text="\n".join(f"{name}: {_one_line(text)}" for name, text in lines if text),
        link=link(f"{incident.pk}/"),
        severity=incident.severity,
        state=incident.state,
        kind=incident.kind,
        site=site,
        charger=incident.charger.identity if incident.charger else "",
        incident=str(incident.pk),
    )


def _summary(deliveries: Sequence[NotificationDelivery]) -> Message:
    lines = []
    for delivery in deliveries[:MAX_LISTED]:
        if incident := delivery.incident:
            site = f"[{_site(incident)}] " if _site(incident) else ""
            lines.append(_one_line(f"{site}{_with_reason(delivery, headline(incident))}"))
    if more := max(0, len(deliveries) - MAX_LISTED):
        lines.append(gettext("and {number} more").format(number=more))
    found = {delivery.incident.severity for delivery in deliveries if delivery.incident}
    severity = next((severity for severity in ("critical", "warning") if severity in found), "info")
    sites = {_site(delivery.incident) for delivery in deliveries if delivery.incident}
    site = sites.pop() if len(sites) == 1 else ""
    if link(""):
        lines.append(f"{gettext('Page')}: {link('')}")
    number = len(deliveries)
    title = _subject(site, gettext("{number} notifications of incidents").format(number=number))
    return Message(title, "\n".join(lines), link(""), severity, "", "", site, "", "")


def _site(incident: Incident) -> str:
    return incident.charger.site.name if incident.charger and incident.charger.site else ""


def _subject(site: str, text: str) -> str:
    return _one_line(f"[{site}] {text}" if site else text)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _time(at: datetime, incident: Incident) -> str:
    site = incident.charger.site if incident.charger else None
    zone = ZoneInfo(str(site.time_zone)) if site else display_zone()
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({zone})"


# --- chat programs ---------------------------------------------------------------------------


def request(rule: NotificationRule, message: Message) -> dict[str, Any]:
    """Return the options of `requests.post` with which the channel of `rule` takes `message`."""
    if rule.channel == NotificationRule.SLACK:
        return {"json": {"text": _slack(message)}}
    if rule.channel == NotificationRule.TEAMS:
        with translation.override(rule.language):
            return {"json": _teams(message)}
    if rule.channel == NotificationRule.NTFY:
        # As parameters, because a header cannot contain every character.
        options = {"title": message.title, "priority": PRIORITIES[message.severity], "click": message.link}
        return {"params": {name: text for name, text in options.items() if text}, "data": message.text.encode()}
    return {"json": filled(rule.template, message) if rule.template else _members(message)}


def _slack(message: Message) -> str:
    """Return text of Slack, in which chargers cannot mention users or hide links (docs.slack.dev, formatting)."""
    title, text = (_escaped(part) for part in (message.title, message.text))
    return f"*{title}*\n{text}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _teams(message: Message) -> dict[str, Any]:
    """Return an Adaptive Card for a workflow of Teams. Its RichTextBlock does not interpret Markdown."""
    title = {"type": "TextRun", "text": message.title, "weight": "bolder", "size": "medium"}
    lines = [_block({"type": "TextRun", "text": line}) for line in message.text.splitlines()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [_block(title), *lines],
        "actions": [_opening(message.link)] if message.link else [],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _opening(url: str) -> dict[str, str]:
    return {"type": "Action.OpenUrl", "title": gettext("Open page"), "url": url}


def _block(run: Mapping[str, str]) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [run]}


def _members(message: Message) -> dict[str, Any]:
    return asdict(message) | {"at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")}


def filled(template: Any, message: Message) -> Any:
    """Return the JSON `template` with `{title}`, `{text}` and so on in its texts replaced."""
    if isinstance(template, dict):
        return {name: filled(inner, message) for name, inner in template.items()}
    if isinstance(template, list):
        return [filled(inner, message) for inner in template]
    if not isinstance(template, str):
        return template
    members = _members(message)
    return PLACEHOLDER.sub(lambda match: members.get(match[1], match[0]), template)
