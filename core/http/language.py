"""The language of a request: for pages that of the browser, English for everything else."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils import translation
from django.utils.cache import patch_vary_headers

from core.http.middleware import GetResponse

# REST, the admin, downloads and probes. They are read by programs, or are English only.
ENGLISH = ("/api/", "/admin/", "/files/", "/static/", "/healthz", "/readyz", "/metrics")


def activate(get_response: GetResponse) -> GetResponse:
    """Middleware: activate the language of the browser for all paths outside of ENGLISH, and name it in the response.

    `dashboard.languages.prefer` replaces it by the language of the user.
    """

    def middleware(request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(ENGLISH):
            return get_response(request)
        with translation.override(translation.get_language_from_request(request)):
            response = get_response(request)
            if response.get("Content-Type", "").startswith(("text/html", "text/plain")):
                response.headers.setdefault("Content-Language", translation.get_language())
                patch_vary_headers(response, ["Accept-Language"])
            return response

    return middleware
