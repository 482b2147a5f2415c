"""Charging profiles, local lists, firmware and uploads over REST."""

import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import action
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer
from rest_framework.views import APIView

from chargers.api.viewsets import Editable, Scoped
from chargers.models import Charger
from chargers.services.access import CommandsPerUser, known_charger, needs
from commands.actions import local_lists
from commands.actions.intents import Install
from commands.actions.table import LOCAL_LISTS
from commands.api.filters import (
    DisplayMessageFilter,
    PublishedFirmwareFilter,
    UploadFilter,
)
from commands.api.serializers.commands import (
    ChargingProfileSerializer,
    DisplayMessageSerializer,
    FirmwareSerializer,
    InstallSerializer,
    LocalListSerializer,
    NewFirmwareSerializer,
    PublishedFirmwareSerializer,
    PublishSerializer,
    SendLocalListSerializer,
    SubmittedSerializer,
    UploadSerializer,
)
from commands.api.views.tasks import (
    IDEMPOTENCY_KEY,
    accepted,
    earlier,
    submit_command,
    submit_intent,
    validated_body,
)
from commands.models import (
    ChargingProfile,
    Command,
    DisplayMessage,
    Firmware,
    LocalList,
    PublishedFirmware,
    Upload,
)
from commands.services.files import firmware_url
from commands.services.firmware import install, refuse_unreachable, remove
from core.http.errors import Conflict
from core.http.pagination import NewestFirst
from core.ocpp.schemas import JSON
from core.ocpp.versions import OCPP201


class ChargingProfileViewSet(Editable):
    """The library of charging profiles. A command may give only the `chargingProfileId` of one."""

    queryset = ChargingProfile.objects.all()
    serializer_class = ChargingProfileSerializer
    filterset_fields = ["id", "description", "created_at", "updated_at"]


class LocalListView(APIView):
    """The local authorisation list of one charger."""

    permission_classes = [needs(GET="commands.view_locallist", POST="commands.add_command")]
    throttle_classes = [CommandsPerUser]

    @extend_schema(responses=LocalListSerializer)
    def get(self, request: Request, charger_id: str) -> Response:
        """The list that the charger has accepted from this system."""
        charger = known_charger(request, charger_id)
        held = LocalList.objects.filter(charger=charger).first()
        return Response(LocalListSerializer({"charger": charger, "held": held}).data)

    @extend_schema(
        request=SendLocalListSerializer, responses={202: SubmittedSerializer}, parameters=[IDEMPOTENCY_KEY]
    )
    def post(self, request: Request, charger_id: str) -> Response:
        """Build the list, or its changes, from the id tags and send it (SendLocalList).

        If it exceeds the limits of one message that a charger of OCPP 2.0.1 has reported, the other portions follow
        the command that is returned.
        """
        body = validated_body(request, SendLocalListSerializer)
        charger = known_charger(request, charger_id)
        command = earlier(request)
        if command is None:
            retry_full = _retry(charger, body)
            command = submit_command(
                request, charger, "SendLocalList", _payload(charger, body), body, retry_full=retry_full
            )
        others = [part for part in command.followed_by.filter(action=command.action) if _is_portion(part)]
        number = sum(len(part.payload.get(local_lists.LIST, [])) for part in (command, *others))
        return accepted(command, f"Local list with {number} id tags sent")


def _is_portion(command: Command) -> bool:
    """Whether a list that follows another one adds to it; else it is the Full list after a failed Differential."""
    update_type: str = command.payload["updateType"]
    return update_type == local_lists.DIFFERENTIAL


def _payload(charger: Charger, body: Mapping[str, Any]) -> JSON:
    form = LOCAL_LISTS[charger.version]
    entries = local_lists.wanted(form, charger, body.get("id_tags"))
    if body["update_type"] == local_lists.FULL:
        entries = [entry for entry in entries if form.info in entry]
    elif "id_tags" not in body:
        held = local_lists.held(form, charger)
        if held is None:
            raise Conflict("The list of this charger is not known. Send a Full one, or give the id tags.")
        entries = local_lists.difference(form, held, entries)
    return local_lists.payload(form, body["update_type"], entries)


def _retry(charger: Charger, body: Mapping[str, Any]) -> bool:
    """Return whether a Full list follows a failed Differential one: as requested, else as OCPP 2.0.1 recommends."""
    return bool(body.get("full_if_failed", charger.version is OCPP201))


# The arguments of an action on one firmware that submits a command.
SUBMITTING: dict[str, Any] = {
    "detail": True,
    "methods": ["post"],
    "parser_classes": APIView.parser_classes,
    "permission_classes": [needs(POST="commands.add_command")],
    "throttle_classes": [CommandsPerUser],
}


class FirmwareViewSet(Editable):
    """Firmware images, which chargers fetch by a URL that expires."""

    queryset = Firmware.objects.all()
    serializer_class = FirmwareSerializer
    filterset_fields = ["id", "description", "version", "created_at"]
    parser_classes = [MultiPartParser]

    def get_serializer_class(self) -> type[BaseSerializer]:
        return NewFirmwareSerializer if self.action == "create" else FirmwareSerializer

    def perform_destroy(self, instance: Firmware) -> None:
        remove(instance, self.request.user)

    @extend_schema(
        request={"application/json": InstallSerializer},
        responses={202: SubmittedSerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    @action(**SUBMITTING)
    def install(self, request: Request, pk: str | None = None) -> Response:
        """Let a charger install it, by SignedUpdateFirmware if it has a signature, else by UpdateFirmware."""
        firmware = self.get_object()
        body = validated_body(request, InstallSerializer)
        charger = known_charger(request, body["charger_id"])
        command = earlier(request)
        if command is None:
            refuse_unreachable(firmware)
            command = submit_intent(request, charger, _install(firmware, body), body)
        return accepted(command, f"Update to {firmware} sent")

    @extend_schema(
        request={"application/json": PublishSerializer},
        responses={202: SubmittedSerializer},
        parameters=[IDEMPOTENCY_KEY],
    )
    @action(**SUBMITTING)
    def publish(self, request: Request, pk: str | None = None) -> Response:
        """Let a local controller of OCPP 2.0.1 offer it to other chargers (PublishFirmware)."""
        firmware = self.get_object()
        body = validated_body(request, PublishSerializer)
        charger = known_charger(request, body["charger_id"])
        command = earlier(request)
        if command is None:
            refuse_unreachable(firmware)
            location = firmware_url(firmware, time.time() + settings.OCPP_FILE_URL_LIFETIME)
            command = submit_command(request, charger, "PublishFirmware", {"location": location}, body)
        return accepted(command, f"Publication of {firmware} sent")


def _install(firmware: Firmware, body: Mapping[str, Any]) -> Install:
    return install(
        firmware,
        body.get("signed"),
        retrieve_at=body.get("retrieve_date"),
        install_at=body.get("install_date"),
        retries=body.get("retries"),
        retry_interval_s=body.get("retry_interval"),
    )


class DisplayMessageList(Scoped, generics.ListAPIView):
    """Messages on the displays of chargers, as chargers accepted or reported them, newest first."""

    queryset = DisplayMessage.objects.select_related("charger", "transaction")
    serializer_class = DisplayMessageSerializer
    filterset_class = DisplayMessageFilter
    pagination_class = NewestFirst


class PublishedFirmwareList(Scoped, generics.ListAPIView):
    """Firmware that local controllers offer to other chargers, or got the request to offer, newest first."""

    queryset = PublishedFirmware.objects.select_related("charger")
    serializer_class = PublishedFirmwareSerializer
    filterset_class = PublishedFirmwareFilter
    pagination_class = NewestFirst


class UploadList(Scoped, generics.ListAPIView):
    """Diagnostics and logs of chargers, including those that are expected, newest first."""

    queryset = Upload.objects.select_related("charger", "command")
    serializer_class = UploadSerializer
    filterset_class = UploadFilter
    pagination_class = NewestFirst
