"""Transactions, their readings, and id tags as the API shows them."""

from typing import Any

import orjson
from rest_framework import serializers

from chargers.api.serializers.base import ChargerRow, Strict
from chargers.models import Charger
from chargers.services import access
from transactions.models import IdTag, MeterValue, Reservation, Transaction, TransactionEvent, UnknownIdTag
from transactions.models.transactions import MOST
from transactions.services import energy

AS_SENT = {"trim_whitespace": False}  # tags are compared as chargers read them, spaces included


class TransactionSerializer(ChargerRow):
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


class TransactionEventSerializer(serializers.ModelSerializer):
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


class IdTagSerializer(serializers.ModelSerializer):
    """A tag is unique whatever its case. OCPP 1.6 allows 20 characters; some chargers send more."""

    id_tag = serializers.RegexField(r"^[\x20-\x7e]+$", max_length=255, trim_whitespace=False)

    class Meta:
        model = IdTag
        fields = [
            "id",
            "id_tag",
            "type",
            "status",
            "expiry_date",
            "parent_id_tag",
            "concurrent_limit",
            "description",
            "created_at",
        ]
        read_only_fields = ["created_at"]
        extra_kwargs = {"parent_id_tag": AS_SENT}

    def validate_id_tag(self, id_tag: str) -> str:
        same = IdTag.objects.filter(id_tag__iexact=id_tag).first()
        if same and same != self.instance:
            raise serializers.ValidationError("This id tag exists already (compared without case).")
        return id_tag


class UnknownIdTagSerializer(ChargerRow):
    class Meta:
        model = UnknownIdTag
        fields = ["id", "id_tag", "charger_id", "first_seen", "last_seen", "presented"]


class ReservationSerializer(serializers.ModelSerializer):
    """`id` is the reservationId on the wire; ReserveNow with it sends the reservation to its charger."""

    charger_id = serializers.SlugRelatedField(
        source="charger",
        slug_field="identity",
        queryset=Charger.objects.all(),
        error_messages={"does_not_exist": "Object with charger_id={value} does not exist."},
    )
    status = serializers.ChoiceField([*Reservation.STATUSES, Reservation.EXPIRED], read_only=True)

    def validate_charger_id(self, charger: Charger) -> Charger:
        if not access.reaches(self.context["request"].user, charger):
            self.fields["charger_id"].fail("does_not_exist", slug_name="identity", value=charger.identity)
        if self.instance and self.instance.charger != charger:
            raise serializers.ValidationError("A reservation stays with its charger: make another one.")
        return charger

    class Meta:
        model = Reservation
        fields = [
            "id",
            "charger_id",
            "connector_id",
            "id_tag",
            "parent_id_tag",
            "expiry_date",
            "status",
            "ended_because",
            "created_at",
        ]
        read_only_fields = ["id", "ended_because", "created_at"]
        extra_kwargs = {"id_tag": AS_SENT, "parent_id_tag": AS_SENT}
