"""What the list of commands can be narrowed by."""

from django_filters import rest_framework as filters

from commands.models import Command


class CommandFilter(filters.FilterSet):
    charger_id = filters.CharFilter("charger__charger_id")

    class Meta:
        model = Command
        fields = ["action", "state", "outcome", "simulated"]
