"""Transactions, their readings, and id tags as the API shows them."""

from rest_framework import serializers

from transactions.models import IdTag, MeterValue, Transaction


class TransactionSerializer(serializers.ModelSerializer):
    """`energy_wh` is what was charged so far, null before any reading; times are the charger's own."""

    transaction_id = serializers.IntegerField(source="pk")
    charger_id = serializers.CharField(source="charger.charger_id")
    end_time = serializers.DateTimeField(source="stop_time")
    status = serializers.ChoiceField(["Ongoing", "Completed"])
    energy_wh = serializers.IntegerField(allow_null=True)
    stop_reason = serializers.SerializerMethodField()

    class Meta:
        model = Transaction
        fields = [
            "transaction_id",
            "charger_id",
            "start_time",
            "end_time",
            "status",
            "id_tag",
            "connector_id",
            "meter_start",
            "meter_stop",
            "energy_wh",
            "stop_reason",
            "id_tag_status",
            "reservation_id",
            "stop_id_tag",
            "start_received_at",
            "stop_received_at",
        ]

    def get_stop_reason(self, transaction) -> str | None:
        return transaction.stop_reason or None


class MeterValueSerializer(serializers.ModelSerializer):
    class Meta:
        model = MeterValue
        fields = [
            "timestamp",
            "received_at",
            "connector_id",
            "measurand",
            "value",
            "unit",
            "phase",
            "context",
            "location",
            "format",
        ]


class IdTagSerializer(serializers.ModelSerializer):
    """A tag is unique whatever its case."""

    id_tag = serializers.RegexField(r"^[\x20-\x7e]+$", max_length=20, trim_whitespace=False)

    class Meta:
        model = IdTag
        fields = ["id", "id_tag", "status", "expiry_date", "parent_id_tag", "description", "created_at"]
        read_only_fields = ["created_at"]

    def validate_id_tag(self, id_tag):
        others = IdTag.objects.filter(id_tag__iexact=id_tag).exclude(pk=self.instance and self.instance.pk)
        if others.exists():
            raise serializers.ValidationError("This id tag exists already (compared without case).")
        return id_tag
