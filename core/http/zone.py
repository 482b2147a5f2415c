"""The current time zone: TIME_ZONE_DISPLAY for pages and the admin, UTC for REST."""

from django.utils import timezone

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
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M} ({timezone.get_current_timezone()})"
