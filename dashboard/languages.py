"""The language that a user has chosen for the pages."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation

from core.http.language import ENGLISH
from core.http.middleware import GetResponse
from dashboard.models import Preference


def prefer(get_response: GetResponse) -> GetResponse:
    """Middleware: replace the language of the browser, see `core.http.language`, by the one that the user has chosen.

    It is a middleware of its own, so that the page about a database that can't be reached is in the language of the
    browser.
    """

    def middleware(request: Any) -> HttpResponseBase:
        request.chosen_language = "" if request.path_info.startswith(ENGLISH) else chosen(request.user)
        if request.chosen_language:
            translation.activate(request.chosen_language)  # `core.http.language.activate` ends it
        return get_response(request)

    return middleware


def chosen(user: User | AnonymousUser) -> str:
    """Return the code of the language that `user` has chosen, "" for that of the browser."""
    if not user.is_authenticated:
        return ""
    return Preference.objects.filter(user=user).values_list("language", flat=True).first() or ""


def choose(user: User, language: str) -> None:
    """Store `language`, a code of LANGUAGES or "" for that of the browser, as the choice of `user`."""
    Preference.objects.update_or_create(user=user, defaults={"language": language})


def context(request: HttpRequest) -> dict[str, object]:
    """Context processor: `languages`, [(code, name)], and `chosen_language`, a code or ""."""
    return {"languages": settings.LANGUAGES, "chosen_language": getattr(request, "chosen_language", "")}
