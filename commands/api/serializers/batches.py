"""Serializers of batches, their items and schedules, and of requests that create them."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import ValidationError
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow, Strict
from chargers.services import access
from commands.actions import intents
from commands.actions.table import NAMES
from commands.api.serializers.commands import SubmissionSerializer, task_url
from commands.models import CONFIRMATIONS, CONFIRMED, NOT_SEEN, Batch, BatchItem, Schedule
from commands.services import batches, schedules
from core import zones
from core.db import sealing

WEEK = 7 * 86400
MAX_AHEAD = timedelta(days=100 * 365)
MAX_LISTED = 100_000


class FilterSerializer(Strict):
    """Chargers that meet all criteria; an empty filter matches every charger that the user may reach."""

    site = serializers.CharField(required=False, max_length=100, help_text="The name of a site.")
    group = serializers.CharField(required=False, max_length=100, help_text="The name of a charger group.")
    vendor = serializers.CharField(required=False, max_length=1000, trim_whitespace=False)
    model = serializers.CharField(required=False, max_length=1000, trim_whitespace=False)
    firmware_version = serializers.CharField(required=False, max_length=1000, trim_whitespace=False)
    connected = serializers.BooleanField(required=False)
    search = serializers.CharField(required=False, max_length=255, help_text="In the id or the description.")


@extend_schema_field({"anyOf": [*(schema.tree for schema in intents.SCHEMAS.values()), {"type": "object"}]})
class PayloadField(serializers.DictField):
    """The parameters of an intent, or the OCPP request of an action."""


class ChoosingSerializer(Strict, SubmissionSerializer):
    """Exactly one of `intent` and `action`, and exactly one of `chargers` and `filter` are given.

    An intent is encoded for each charger by the OCPP version that it speaks.
    """

    intent = serializers.ChoiceField([*intents.BY_NAME], required=False, allow_blank=True)
    action = serializers.ChoiceField(NAMES, required=False, allow_blank=True)
    payload = PayloadField(default=dict)
    chargers = serializers.ListField(
        child=serializers.CharField(max_length=255, trim_whitespace=False),
        required=False,
        min_length=1,
        max_length=MAX_LISTED,
    )
    filter = FilterSerializer(required=False)
    only_connected = serializers.BooleanField(default=False, help_text="Only chargers that are connected.")
    spread_seconds = serializers.IntegerField(
        default=0, min_value=0, max_value=WEEK, help_text="Spread the commands over this time."
    )

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return `fields` with `intent` and `action`, and with `chosen` in place of `chargers` and `filter`."""
        fields = fields | self._named(fields)
        chosen = {name: fields[name] for name in ("chargers", "filter") if fields.get(name) is not None}
        if len(chosen) != 1:
            raise serializers.ValidationError("Give exactly one of chargers and filter.")
        return {name: value for name, value in fields.items() if name not in chosen} | {"chosen": chosen}

    def _named(self, fields: dict[str, Any]) -> dict[str, str]:
        """Return the `intent` and the `action`, one of which is "", or {} if a change names neither."""
        named = {name: fields.get(name, "") for name in ("intent", "action")}
        if self.partial and not any(named.values()):
            return {}
        if all(named.values()) or not any(named.values()):
            raise serializers.ValidationError({"action": ["Give exactly one of intent and action."]})
        return named

    @staticmethod
    def soon(moment: datetime) -> datetime:
        """Raise a `ValidationError` for a time out of range; one that has just passed is allowed and means now."""
        if not -schedules.MAX_DELAY < moment - datetime.now(UTC) < MAX_AHEAD:
            raise serializers.ValidationError("The time must be between now and a hundred years from now.")
        return moment


class BatchRequestSerializer(ChoosingSerializer):
    """Validates to the members of a `batches.BatchRequest`."""

    start_at = serializers.DateTimeField(required=False, help_text="Time of the first command; default: now.")
    note = serializers.CharField(required=False, max_length=255, allow_blank=True)

    def validate_start_at(self, moment: datetime) -> datetime:
        return self.soon(moment)

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields = super().validate(fields)
        named, action, payload = (fields.pop(name) for name in ("intent", "action", "payload"))
        return fields | {"intent": intents.intent_of(named or action, payload)}


class StatesSerializer(serializers.Serializer):
    waiting = serializers.IntegerField(help_text="Without a command yet.")
    queued = serializers.IntegerField()
    sent = serializers.IntegerField()
    finished = serializers.IntegerField()
    cancelled = serializers.IntegerField(help_text="Cancelled before a command was created.")
    refused = serializers.IntegerField(help_text="No command could be created; see the reason of the item.")


class ConfirmationsSerializer(serializers.Serializer):
    """Of finished commands."""

    pending = serializers.IntegerField()
    confirmed = serializers.IntegerField()
    not_seen = serializers.IntegerField()
    not_applicable = serializers.IntegerField()


class BatchSerializer(serializers.ModelSerializer):
    """`progress` is from 0 to 1; `simulated` counts finished commands with a simulated result."""

    url = serializers.SerializerMethodField()
    payload = serializers.SerializerMethodField()
    chosen = serializers.DictField()
    state = serializers.ChoiceField(["waiting", "running", "cancelling", "cancelled", "finished"])
    schedule = serializers.CharField(source="schedule.name", allow_null=True, default=None)
    progress = serializers.FloatField(source="shown.progress")
    simulated = serializers.IntegerField(source="shown.simulated")
    states = StatesSerializer(source="shown.states")
    outcomes = serializers.DictField(source="shown.outcomes", child=serializers.IntegerField())
    confirmations = ConfirmationsSerializer(source="shown.confirmations")
    summary = serializers.SerializerMethodField()

    class Meta:
        model = Batch
        fields = ["id", "url", "intent", "action", "payload", "timeout", "chosen", "total", "spread_seconds"]
        fields += ["start_at", "note", "schedule", "requested_by", "created_at", "state", "progress", "states"]
        fields += ["outcomes", "simulated", "confirmations", "summary", "cancelled_at", "cancelled_by", "finished_at"]

    def to_representation(self, batch: Any) -> dict[str, Any]:
        batch.shown = batch.counts = batch.progress()  # because counting is a query
        return super().to_representation(batch)

    def get_url(self, batch: Batch) -> str:
        return batch_url(batch)

    def get_payload(self, batch: Batch) -> dict:
        return batch.payload

    def get_summary(self, batch: Any) -> str:
        outcomes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in batch.shown["outcomes"].items())
        states, seen = batch.shown["states"], batch.shown["confirmations"]
        effects = ", ".join(f"{seen[name]} {name.replace('_', ' ')}" for name in (CONFIRMED, NOT_SEEN) if seen[name])
        words = dict.fromkeys(states) | {"cancelled": "cancelled before their commands were created"}
        rest = ", ".join(
            f"{count} {words[name] or name}" for name, count in states.items() if count and name != "finished"
        )
        return f"{states['finished']} of {batch.total} finished" + "".join(
            f"; {t}" for t in (outcomes, effects, rest) if t
        )


def batch_url(batch: Batch) -> str:
    return f"{settings.URL_PREFIX}/api/ocpp/batches/{batch.pk}/"


class BatchItemSerializer(ChargerRow):
    """One charger of a batch; `task_id` is null until its command exists."""

    state = serializers.ChoiceField(
        ["waiting", "queued", "sent", "finished", "cancelled", "refused"], source="shown_state"
    )
    outcome = serializers.SerializerMethodField()
    simulated = serializers.BooleanField(source="command.simulated", default=False)
    confirmation = serializers.ChoiceField(
        CONFIRMATIONS, source="command.confirmation", allow_null=True, default=None
    )
    confirmation_detail = serializers.CharField(source="command.confirmation_detail", default="")
    result = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    task_id = serializers.CharField(source="command.task_id", allow_null=True, default=None)
    task_url = serializers.SerializerMethodField()
    sent_at = serializers.DateTimeField(source="command.sent_at", allow_null=True, default=None)
    finished_at = serializers.DateTimeField(source="command.finished_at", allow_null=True, default=None)

    class Meta:
        model = BatchItem
        fields = ["charger_id", "due_at", "state", "outcome", "simulated", "result", "error", "reason", "task_id"]
        fields += ["task_url", "sent_at", "finished_at", "confirmation", "confirmation_detail"]

    def get_outcome(self, item: BatchItem) -> str | None:
        return (item.command and item.command.outcome) or None

    @extend_schema_field(OpenApiTypes.ANY)
    def get_result(self, item: BatchItem) -> Any:
        return item.command and item.command.result

    @extend_schema_field(OpenApiTypes.ANY)
    def get_error(self, item: BatchItem) -> Any:
        return item.command and item.command.error

    def get_task_url(self, item: BatchItem) -> str | None:
        return task_url(item.command) if item.command else None


class ScheduleSerializer(ChoosingSerializer, serializers.ModelSerializer):
    """A batch to be created at `at`, every `every_seconds`, or by `crontab` in `timezone`: exactly one of these."""

    timeout = serializers.FloatField(
        required=False, allow_null=True, min_value=0.1, max_value=settings.OCPP_LONGEST_COMMAND_TIMEOUT
    )
    filter = FilterSerializer(required=False, allow_null=True)
    chargers = serializers.ListField(
        child=serializers.CharField(max_length=255, trim_whitespace=False),
        required=False,
        allow_null=True,
        min_length=1,
        max_length=MAX_LISTED,
    )
    timezone = serializers.CharField(
        required=False, max_length=63, help_text="Default: the zone of the site in `filter`, or else UTC."
    )
    every_seconds = serializers.IntegerField(required=False, allow_null=True, min_value=60, max_value=366 * 86400)

    class Meta:
        model = Schedule
        fields = ["id", "name", "intent", "action", "payload", "timeout", "chargers", "filter", "only_connected"]
        fields += ["spread_seconds", "at", "every_seconds", "crontab", "timezone", "is_enabled", "requested_by"]
        fields += ["created_at", "last_run_at", "next_run_at", "note"]
        read_only_fields = ["requested_by", "created_at", "last_run_at", "next_run_at", "note"]

    def validate_at(self, moment: datetime | None) -> datetime | None:
        if moment is None or moment == getattr(self.instance, "at", None):
            return moment
        return self.soon(moment)

    def validate_timezone(self, name: str) -> Any:
        try:
            return zones.named(name)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        chooses_anew = any(fields.get(name) is not None for name in ("chargers", "filter"))
        columns = super().validate(
            fields if chooses_anew or not self.partial else fields | cast(Schedule, self.instance).chosen
        )
        if not self.partial and "timezone" not in columns:
            columns["timezone"] = self._zone(columns["chosen"])
        try:
            row = self._merged(columns)
            row.clean()
            request = schedules.request_of(row)
        except ValidationError as error:
            raise serializers.ValidationError(serializers.as_serializer_error(error)) from error
        except sealing.Unreadable as error:
            raise serializers.ValidationError({"payload": [str(error)]}) from error
        batches.check(request.intent, batches.candidates(self.context["request"].user, request.chosen))
        return columns

    def _zone(self, chosen: batches.Chosen) -> Any:
        """Return the time zone of the site that the filter names, UTC without one."""
        name = chosen.get("filter", {}).get("site")
        site = access.sites(self.context["request"].user).filter(name=name).first() if name else None
        return site.time_zone if site else ZoneInfo("UTC")

    def _merged(self, columns: dict[str, Any]) -> Schedule:
        names = [field.attname for field in Schedule._meta.concrete_fields] if self.instance else []
        return Schedule(**({name: getattr(self.instance, name) for name in names} | columns))

    def to_representation(self, schedule: Any) -> dict[str, Any]:
        for name in ("chargers", "filter"):
            setattr(schedule, name, schedule.chosen.get(name))
        shown = super().to_representation(schedule)
        return shown | {
            "payload": schedule.payload,
            "timezone": str(schedule.timezone),
        }
