"""The language of the pages, which each user chooses in the footer."""

from django.conf import settings
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpResponseBadRequest
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.views.generic import View

from dashboard import languages


class Language(LoginRequiredMixin, View):
    """POST stores the language of the user, and redirects to the page from which the form was sent."""

    http_method_names = ["post"]

    def post(self, request):
        language, page = request.POST.get("language", ""), request.POST.get("next", "")
        if language not in {"", *dict(settings.LANGUAGES)}:
            text = gettext("There is no language {code}.").format(code=language)
            return HttpResponseBadRequest(text, content_type="text/plain; charset=utf-8")
        languages.choose(request.user, language)
        is_own = url_has_allowed_host_and_scheme(page, {request.get_host()}, require_https=request.is_secure())
        return redirect(page if is_own else "dashboard:fleet")
