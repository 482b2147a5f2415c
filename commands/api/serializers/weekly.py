"""The members of a resource that holds at times of a local week."""

from rest_framework import serializers


def _clock() -> serializers.TimeField:
    # An offset would be ignored, so only a time of the clock is read.
    return serializers.TimeField(required=False, allow_null=True, format="%H:%M", input_formats=["%H:%M", "%H:%M:%S"])


class WeeklySerializer(serializers.Serializer):
    """`weekdays`, `from_time` and `until_time`, see `commands.models.weekly.Weekly`."""

    weekdays = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=7),
        required=False,
        min_length=1,
        max_length=7,
        help_text="From 1, Monday, to 7, Sunday; default: every day.",
    )
    from_time = _clock()
    until_time = _clock()

    def validate_weekdays(self, days: list[int]) -> list[int]:
        return sorted(set(days))
