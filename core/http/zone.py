"""The current time zone: TIME_ZONE_DISPLAY for pages and the admin, UTC for REST."""

from django.utils import timezone
from django.utils.formats import date_format

from core.ocpp.timestamps import display_zone

REST = "/api/"


def activate(get_response):
    """Middleware: set Django's current time zone to TIME_ZONE_DISPLAY for all paths outside of REST."""

    def middleware(request):
        if request.path_info.startswith(REST):
            return get_response(request)
        with timezone.override(display_zone()):
            return get_response(request)

    return middleware


def time_zone(request):
    """Context processor: `time_zone`, the IANA name of the time zone of a page."""
    return {"time_zone": str(timezone.get_current_timezone())}


def written(moment):
    """`moment` to the minute, with its time zone, for use in a sentence."""
    text = date_format(timezone.localtime(moment), "SHORT_DATETIME_FORMAT")
    return f"{text} ({timezone.get_current_timezone()})"
