"""Transactions, their readings, and id tags as the API shows them."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.db.models import QuerySet
from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow, Strict
from chargers.models import Charger, ChargerGroup
from chargers.services import access
from core.ocpp.redaction import HIDDEN
from core.ocpp.versions import OCPP16
from transactions.models import (
    IdTag,
    MeterValue,
    Reservation,
    Tariff,
    Transaction,
    TransactionEvent,
    UnknownIdTag,
)
from transactions.models.id_tags import EXISTS_ALREADY, MASTER_PASS_WITHOUT_GROUP
from transactions.models.transactions import MOST
from transactions.services import energy, key_codes

CHARGER_NOT_FOUND = {"does_not_exist": "Object with charger_id={value} does not exist."}
PIN_KEEPS_TYPE = "A PIN keeps its type; delete it and add the token."
RESERVED_PIN_KEEPS_TYPE = "A PIN keeps its type; make another reservation."
AS_SENT = {"trim_whitespace": False}  # tags are compared as chargers read them, spaces included


class WithoutKeyCodes(serializers.ModelSerializer):
    """Rows with the type of their token. A token that is a PIN is hidden.

    A body in which it is hidden, as it was read, leaves it as it is.
    """

    def to_internal_value(self, body: Any) -> Any:
        columns: dict[str, Any] = super().to_internal_value(body)
        if columns.get("id_tag") == HIDDEN:
            if self.instance is None:
                message = f"{HIDDEN} stands for a secret that is not shown. Enter the secret itself."
                raise serializers.ValidationError({"id_tag": [message]})
            columns["id_tag"] = self.instance.id_tag
        return columns

    def to_representation(self, row: Any) -> dict[str, Any]:
        members: dict[str, Any] = super().to_representation(row)
        for name in members.keys() & {"id_tag", "id_token"}:
            members[name] = key_codes.shown(members[name], _type_of_token(row))
        if "stop_id_tag" in members:
            members["stop_id_tag"] = row.shown_stop_id_tag
        return members


def _type_of_token(row: Any) -> str:
    kind: str = row.type if isinstance(row, IdTag) else row.id_token_type
    return kind


def _refuse_another_type(row: Any, columns: Mapping[str, Any], name: str, sentence: str) -> None:
    """Refuse another type, the column `name`, for a token that is a PIN, because it would then be shown."""
    if row is not None and _type_of_token(row) == key_codes.KEY_CODE != columns.get(name, key_codes.KEY_CODE):
        raise serializers.ValidationError({name: [sentence]})


class TransactionSerializer(WithoutKeyCodes, ChargerRow):
    """As corrected by an operator, else as the charger said: the `reported_` members are the charger's own.

    `energy_wh` is what was charged so far by evidence, null where nothing is known; `energy_source` says which.
    Times are by the charger's clock.
    """

    transaction_id = serializers.IntegerField(source="pk")
    reference = serializers.CharField(
        help_text="The charger's own id for it; in OCPP 1.6 the decimal transaction id."
    )
    end_time = serializers.DateTimeField(source="ended_at", allow_null=True)
    meter_start = serializers.IntegerField(source="meter_at_start", allow_null=True)
    meter_stop = serializers.IntegerField(source="meter_at_end", allow_null=True)
    reported_meter_start = serializers.IntegerField(source="meter_start", allow_null=True)
    reported_meter_stop = serializers.IntegerField(source="meter_stop", allow_null=True)
    reported_end_time = serializers.DateTimeField(source="stop_time", allow_null=True)
    status = serializers.ChoiceField(["Ongoing", "Completed"])
    energy_wh = serializers.IntegerField(allow_null=True)
    energy_source = serializers.ChoiceField(list(energy.SOURCES))
    stop_reason = serializers.SerializerMethodField()
    duration_seconds = serializers.IntegerField(allow_null=True)
    meter_ran_backwards = serializers.BooleanField()
    superseded_by = serializers.IntegerField(source="superseded_by_id", allow_null=True)
    cost = serializers.DecimalField(
        source="total_cost",
        max_digits=14,
        decimal_places=2,
        allow_null=True,
        help_text="With VAT, once it has ended; null without a tariff, and 0.00 if it is free of charge.",
    )
    tariff = serializers.IntegerField(source="tariff_id", allow_null=True)

    class Meta:
        model = Transaction
        fields = [
            "transaction_id",
            "reference",
            "charger_id",
            "start_time",
            "end_time",
            "status",
            "id_tag",
            "id_token_type",
            "evse_id",
            "connector_id",
            "charging_state",
            "meter_start",
            "meter_stop",
            "energy_wh",
            "energy_source",
            "cost",
            "currency",
            "tariff",
            "reported_meter_start",
            "reported_meter_stop",
            "reported_end_time",
            "raw_meter_start",
            "raw_meter_stop",
            "stop_reason",
            "id_tag_status",
            "reservation_id",
            "remote_start_id",
            "missing_since",
            "stop_id_tag",
            "duration_seconds",
            "start_received_at",
            "stop_received_at",
            "superseded_by",
            "clock_skew",
            "meter_ran_backwards",
            "closed_at",
            "closed_by",
            "corrected_at",
            "corrected_by",
            "note",
        ]

    def get_stop_reason(self, transaction: Transaction) -> str | None:
        return transaction.stop_reason or None


class CorrectionSerializer(Strict):
    """What an operator corrects of a session that has ended; null removes a correction. A note is always possible."""

    meter_start = serializers.IntegerField(min_value=0, max_value=MOST, allow_null=True, required=False)
    meter_stop = serializers.IntegerField(min_value=0, max_value=MOST, allow_null=True, required=False)
    end_time = serializers.DateTimeField(allow_null=True, required=False)
    note = serializers.CharField(max_length=2000, allow_blank=True, allow_null=True, required=False)


class TransactionEventSerializer(WithoutKeyCodes):
    """A TransactionEvent of OCPP 2.0.1; its readings are those of its transaction."""

    details = serializers.SerializerMethodField()

    class Meta:
        model = TransactionEvent
        fields = [
            "seq_no",
            "event_type",
            "trigger_reason",
            "timestamp",
            "received_at",
            "offline",
            "charging_state",
            "stopped_reason",
            "evse_id",
            "connector_id",
            "id_token",
            "id_token_type",
            "id_token_status",
            "meter_start",
            "meter_stop",
            "reservation_id",
            "remote_start_id",
            "details",
        ]

    def get_details(self, event: TransactionEvent) -> dict[str, Any]:
        details: dict[str, Any] = orjson.loads(event.details or "{}")
        return details


class MeterValueSerializer(serializers.ModelSerializer):
    connector_id = serializers.SerializerMethodField()

    class Meta:
        model = MeterValue
        fields = [
            "timestamp",
            "received_at",
            "evse_id",
            "connector_id",
            "measurand",
            "value",
            "unit",
            "phase",
            "context",
            "location",
            "format",
        ]

    def get_connector_id(self, value: MeterValue) -> int | None:
        """In OCPP 1.6 it is the EVSE; in 2.0.1 readings name the EVSE alone, so its transaction tells it."""
        transaction: Transaction | None = self.context.get("transaction")
        return transaction.connector_id if transaction and transaction.own_reference else value.evse_id


class ReachedChargers(serializers.SlugRelatedField):
    """Chargers by their id, those that the user may reach; `source` is a relation to many."""

    def __init__(self, **options: Any) -> None:
        super().__init__(slug_field="identity", error_messages=dict(CHARGER_NOT_FOUND), **options)

    def get_queryset(self) -> QuerySet[Any]:
        return access.within(self.context["request"].user, Charger.objects.all(), "pk")


class LimitedTo(serializers.ModelSerializer):
    """Rows that are limited to `chargers`, of which a user sees and changes those within reach, and to `groups`."""

    chargers = ReachedChargers(many=True, required=False)
    groups = serializers.SlugRelatedField(
        many=True, required=False, slug_field="name", queryset=ChargerGroup.objects.all()
    )

    def to_representation(self, row: Any) -> dict[str, Any]:
        reached = [charger.identity for charger in row.chargers.all() if self.reaches(charger)]
        return super().to_representation(row) | {"chargers": reached}

    def update(self, row: Any, columns: dict[str, Any]) -> Any:
        """Keep the chargers that the user cannot see."""
        if "chargers" in columns:
            columns["chargers"] += [charger for charger in row.chargers.all() if not self.reaches(charger)]
        return super().update(row, columns)

    def reaches(self, charger: Charger) -> bool:
        """Return whether the user may reach `charger`; looked up once for all rows of a list."""
        request = self.context["request"]
        if access.reaches_every_charger(request.user):
            return True
        if not hasattr(request, "reached_chargers"):
            reached = access.within(request.user, Charger.objects.all(), "pk")
            request.reached_chargers = set(reached.values_list("pk", flat=True))
        return charger.pk in request.reached_chargers


class IdTagSerializer(WithoutKeyCodes, LimitedTo):
    """An id token is unique by its text, whatever its case, and its type.

    OCPP 1.6 allows 20 characters, 2.0.1 allows 36; some chargers send more. `group` is another name of
    `parent_id_tag`. `chargers` are ids, `groups` names of groups of chargers; without both it is valid everywhere.
    The text of type `KeyCode` is a PIN, which is shown as `(hidden)` and keeps its type.
    """

    id_tag = serializers.RegexField(
        r"^[\x20-\x7e]+$",
        max_length=255,
        trim_whitespace=False,
        error_messages={"invalid": "Only printable ASCII characters."},
    )
    group = serializers.CharField(
        source="parent_id_tag", required=False, allow_blank=True, max_length=255, trim_whitespace=False
    )

    class Meta:
        model = IdTag
        fields = [
            "id",
            "id_tag",
            "type",
            "status",
            "expiry_date",
            "parent_id_tag",
            "group",
            "master_pass",
            "language",
            "message",
            "chargers",
            "groups",
            "concurrent_limit",
            "description",
            "created_at",
            "last_authorized_at",
        ]
        read_only_fields = ["created_at", "last_authorized_at"]
        extra_kwargs = {"parent_id_tag": AS_SENT}

    def to_internal_value(self, body: Any) -> Any:
        """Refuse two names of the group that differ."""
        names = (
            [body[name] for name in ("group", "parent_id_tag") if name in body] if isinstance(body, Mapping) else []
        )
        if len(names) > 1 and names[0] != names[1]:
            raise serializers.ValidationError({"group": ["It is another name of parent_id_tag: send one."]})
        return super().to_internal_value(body)

    def validate(self, columns: dict[str, Any]) -> dict[str, Any]:
        def value(name: str) -> Any:
            return columns.get(name, getattr(self.instance or IdTag(), name))

        _refuse_another_type(self.instance, columns, "type", PIN_KEEPS_TYPE)
        same = self.same(value("id_tag"), value("type"))
        if same and same != self.instance:
            raise serializers.ValidationError({"id_tag": [EXISTS_ALREADY]})
        if value("master_pass") and not value("parent_id_tag"):
            raise serializers.ValidationError({"parent_id_tag": [MASTER_PASS_WITHOUT_GROUP]})
        return columns

    def same(self, id_tag: str, type: str) -> IdTag | None:
        """Return the known tag of this text, whatever its case, and this type."""
        return IdTag.objects.filter(id_tag__iexact=id_tag, type=type).first()


class TariffSerializer(LimitedTo):
    """Prices without VAT. Without chargers, groups and id tags it is that of all sessions that have no other."""

    id_tags = serializers.PrimaryKeyRelatedField(
        many=True, required=False, queryset=IdTag.objects.all(), help_text="Their `id` in id-tags/."
    )

    class Meta:
        model = Tariff
        fields = [
            "id",
            "description",
            "currency",
            "energy_per_kwh",
            "per_minute",
            "per_session",
            "vat_percent",
            "text",
            "chargers",
            "groups",
            "id_tags",
            "created_at",
        ]
        read_only_fields = ["created_at"]


class UnknownIdTagSerializer(ChargerRow):
    class Meta:
        model = UnknownIdTag
        fields = ["id", "id_tag", "type", "charger_id", "first_seen", "last_seen", "presented"]


class ReservationSerializer(WithoutKeyCodes):
    """`id` is the reservationId on the wire; ReserveNow with it sends the reservation to its charger."""

    charger_id = serializers.SlugRelatedField(
        source="charger",
        slug_field="identity",
        queryset=Charger.objects.all(),
        error_messages=dict(CHARGER_NOT_FOUND),
    )
    status = serializers.ChoiceField(Reservation.STATUSES, read_only=True)

    def validate_charger_id(self, charger: Charger) -> Charger:
        if not access.reaches(self.context["request"].user, charger):
            self.fields["charger_id"].fail("does_not_exist", slug_name="identity", value=charger.identity)
        if self.instance and self.instance.charger != charger:
            raise serializers.ValidationError("A reservation stays with its charger: make another one.")
        return charger

    def validate(self, columns: dict[str, Any]) -> dict[str, Any]:
        """Require a connector in OCPP 1.6, where it is the EVSE as well."""
        _refuse_another_type(self.instance, columns, "id_token_type", RESERVED_PIN_KEEPS_TYPE)
        charger = columns["charger"] if self.instance is None else self.instance.charger
        if charger.version is OCPP16 and self.instance is None and "connector_id" not in columns:
            raise serializers.ValidationError(
                {"connector_id": [self.fields["charger_id"].error_messages["required"]]}
            )
        if charger.version is OCPP16 and "connector_id" in columns:
            columns["evse_id"] = columns["connector_id"]
        return columns

    class Meta:
        model = Reservation
        fields = [
            "id",
            "charger_id",
            "evse_id",
            "connector_id",
            "connector_type",
            "id_tag",
            "id_token_type",
            "parent_id_tag",
            "expiry_date",
            "status",
            "ended_because",
            "end_reported_at",
            "created_at",
        ]
        read_only_fields = ["id", "ended_because", "end_reported_at", "created_at"]
        extra_kwargs = {"id_tag": AS_SENT, "parent_id_tag": AS_SENT}
