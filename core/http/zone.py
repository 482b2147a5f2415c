"""The current time zone: TIME_ZONE_DISPLAY for pages and the admin, UTC for REST."""

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.formats import date_format
from rest_framework import serializers
from timezone_field.rest_framework import TimeZoneSerializerField

from core import zones
from core.http.middleware import GetResponse
from core.ocpp.timestamps import display_zone

REST = "/api/"


class ZoneField(TimeZoneSerializerField):
    """The name of a time zone."""

    def to_internal_value(self, data: object) -> ZoneInfo:
        try:
            return zones.named(str(data))
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error


def activate(get_response: GetResponse) -> GetResponse:
    """Middleware: set Django's current time zone to TIME_ZONE_DISPLAY for all paths outside of REST."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(REST):
            return get_response(request)
        with timezone.override(display_zone()):
            return get_response(request)

    return middleware


def use(zone: tzinfo) -> None:
    """Show the times of the page of the current request in `zone`, until `activate` resets it after the response."""
    timezone.activate(zone)


def time_zone(request: HttpRequest) -> dict[str, str]:
    """Context processor: `time_zone`, the IANA name of the time zone of a page."""
    return {"time_zone": str(timezone.get_current_timezone())}


def written(moment: datetime) -> str:
    """`moment` to the minute, with its time zone, for use in a sentence."""
    text = date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")
    return f"{text} ({timezone.get_current_timezone()})"
