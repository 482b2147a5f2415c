"""The time zone of pages and the admin is TIME_ZONE_DISPLAY; that of REST is UTC."""

from django.utils import timezone

from chargers.times import display_zone

REST = "/api/"


def activated(get_response):
    """Middleware: what is written and read outside of REST is in TIME_ZONE_DISPLAY, by Django's current time zone."""

    def middleware(request):
        if request.path_info.startswith(REST):
            return get_response(request)
        with timezone.override(display_zone()):
            return get_response(request)

    return middleware


def named(request):
    """Context processor: `time_zone`, the IANA name of the zone in which a page has its times."""
    return {"time_zone": str(timezone.get_current_timezone())}


def written(moment):
    """`moment` in a sentence: to the minute, with its zone."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M} ({timezone.get_current_timezone()})"
