"""The device model of a charger over REST."""

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from chargers.api.filters import VariableFilter
from chargers.api.serializers.variables import VariableSerializer
from chargers.models import Charger, Variable
from chargers.models.variables import NAME
from chargers.services import variables
from chargers.services.access import CommandsPerUser, known_charger, needs
from chargers.services.variables import VariableName
from commands.actions.intents import SetVariable
from commands.api.serializers.commands import SetVariableSerializer, TaskSerializer
from commands.api.views.tasks import IDEMPOTENCY_KEY, earlier, submit_intent, submitted, validated_body
from core.http.pagination import VariablePages


class VariableList(generics.ListAPIView):
    """The variables that a charger reported or accepted; those of OCPP 1.6 are its configuration keys."""

    queryset = Variable.objects.all()
    serializer_class = VariableSerializer
    filterset_class = VariableFilter
    pagination_class = VariablePages
    permission_classes = [needs(GET="chargers.view_charger", PUT="commands.add_command")]
    throttle_classes = [CommandsPerUser]

    def get_queryset(self) -> QuerySet[Variable]:
        if "charger_id" not in self.kwargs:  # the API schema is being generated
            return self.queryset
        return self.queryset.filter(charger=known_charger(self.request, self.kwargs["charger_id"]))

    def get_object(self) -> Charger:
        """Return the charger, for OPTIONS, which describes PUT to users who may send it."""
        return known_charger(self.request, self.kwargs["charger_id"])

    def list(self, request: Request, charger_id: str) -> Response:
        page = super().list(request)
        page.data["is_incomplete"] = variables.are_incomplete(known_charger(request, charger_id).pk)
        return page

    @extend_schema(request=SetVariableSerializer, responses={202: TaskSerializer}, parameters=[IDEMPOTENCY_KEY])
    def put(self, request: Request, charger_id: str) -> Response:
        """Submit the command that sets one value: SetVariables, in OCPP 1.6 ChangeConfiguration."""
        body = validated_body(request, SetVariableSerializer)
        charger = known_charger(request, charger_id)
        command = earlier(request)
        if command is None:
            name = VariableName(**{part: body[part] for part in NAME})
            _refuse_read_only(charger, name)
            command = submit_intent(request, charger, SetVariable(name, body["value"]), body)
        return submitted(command)


def _refuse_read_only(charger: Charger, name: VariableName) -> None:
    known = variables.find(charger.pk, name)
    if known and known.readonly:
        raise serializers.ValidationError({"variable": [f"The charger has reported that {known} is read-only."]})
