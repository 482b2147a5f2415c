"""Base classes of all pages, and the error pages."""

from django.conf import settings
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.exceptions import PermissionDenied
from django.core.paginator import EmptyPage, Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404
from django.utils.decorators import method_decorator
from django.utils.functional import cached_property
from django.utils.html import format_html, format_html_join
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language, gettext
from django.views.decorators.cache import never_cache
from django.views.generic import TemplateView
from django_filters import FilterSet

from chargers.admin.lists import Counted
from chargers.models import Charger, Site
from chargers.services import access
from core.http import errors, zone
from core.sentences import translated
from dashboard import fleet, readiness


@method_decorator(never_cache, name="dispatch")
class Page(PermissionRequiredMixin, TemplateView):
    """A page for logged-in users with `permission_required`.

    Its template consists of parts, elements with an id and `data-part`. A request with the header `X-Live` returns
    `live_template` alone, and the page replaces its parts by those with the same ids. `kinds` are the event kinds
    (their first words) after which the page sends this request, of the charger `self.charger` if it is set.
    """

    live_template = ""
    kinds: tuple[str, ...] = ()
    charger = None
    also_watched = ""

    def handle_no_permission(self):
        if self.request.user.is_authenticated:
            text = gettext("You need the permission {names}. Ask an administrator to grant it.")
            raise PermissionDenied(text.format(names=", ".join(self.get_permission_required())))
        return super().handle_no_permission()

    def get_template_names(self):
        return ["dashboard/live.html" if self.is_live else self.template_name]

    @property
    def is_live(self):
        return bool(self.live_template) and "X-Live" in self.request.headers

    def get_context_data(self, **kwargs):
        charger = f"&charger={self.charger.pk}" if self.charger else ""
        watched = f"kinds={','.join(self.kinds)}{charger}{self.also_watched}" if self.kinds else ""
        context = {"watched": watched, "charger": self.charger, "live_template": self.live_template}
        return super().get_context_data(**kwargs) | context

    def known_charger(self, charger_id):
        """Return the `Charger`; raise 404 if it does not exist or the user has no access to it."""
        charger = Charger.known(charger_id)
        if charger is None or not access.reaches(self.request.user, charger):
            raise Http404(gettext("There is no charger {charger_id}.").format(charger_id=charger_id))
        self.use_zone_of(charger)
        return charger

    def use_zone_of(self, charger):
        """Show times in the zone of the site of `charger`, if it stands at one."""
        if charger.site:
            zone.use(charger.site.time_zone)

    def check_may_command(self):
        """Raise `PermissionDenied` unless the user may submit commands."""
        if not self.request.user.has_perm("commands.add_command"):
            self.permission_required = "commands.add_command"
            self.handle_no_permission()

    def within(self, rows, path="charger"):
        return access.within(self.request.user, rows, path)


class Listing(Page):
    """A page of `rows`, filtered by `filterset_class`, `per_page` at a time; the count is limited."""

    per_page = 50
    filterset_class: type[FilterSet] | None = None
    paginator_class: type[Paginator] = Counted

    @cached_property
    def at(self):
        """Return the site that `?site=` names, as `fleet.at_site` takes it."""
        return fleet.site_of(self.request.user, self.request.GET.get("site", ""))

    @property
    def site(self):
        """Return the `Site` that `?site=` names, or None."""
        return self.at if isinstance(self.at, Site) else None

    def narrowed(self):
        """Return the filtered rows, and the errors of invalid filters. Days and times are those of the site."""
        if self.site:
            zone.use(self.site.time_zone)
        if self.filterset_class is None:
            return self.rows(), {}
        narrowed = self.filterset_class(without_empty(self.request.GET), self.rows(), request=self.request)
        return (self.rows().none() if narrowed.errors else narrowed.qs), narrowed.errors

    def get_context_data(self, **kwargs):
        rows, wrong = self.narrowed()
        pages = self.paginator_class(rows, self.per_page)
        number = self.request.GET.get("page", "1")
        try:
            page = pages.page(int(number) if number.isdecimal() and len(number) < 10 else 1)
        except EmptyPage:
            page = pages.page(pages.num_pages)
        context = {"page": page, "wrong": wrong, "query": self._query(), "site": self.site}
        return super().get_context_data(**kwargs) | context

    def _query(self):
        """Return the query without its page number, for links to other pages."""
        query = without_empty(self.request.GET)
        query.pop("page", None)
        return query.urlencode()


def without_empty(query):
    """Return a copy of `query` without empty fields, and with NUL characters replaced."""
    made = query.copy()
    for name, values in list(made.lists()):
        if not any(values):
            del made[name]
        elif any("\0" in value for value in values):
            made.setlist(name, [value.replace("\0", "\ufffd") for value in values])
    return made


def form_values(request):
    """Return {name: text} of a form, with the line ends of the user instead of those that browsers send."""
    values = {name: texts[-1] for name, texts in request.POST.lists()}
    return {name: text.replace("\0", "\ufffd").replace("\r\n", "\n") for name, text in values.items()}


def own_path(request, path):
    """Return `path` if it leads to a page of this server, else ""."""
    is_own = url_has_allowed_host_and_scheme(path, {request.get_host()}, require_https=request.is_secure())
    return path if is_own else ""


def not_found(request, exception=None):
    """Return a page to browsers, and the error format of the API to other clients."""
    if not _is_browser(request):
        return errors.page_not_found(request, exception)
    detail = None if isinstance(exception, Resolver404) else exception
    return render(request, "dashboard/error.html", {"detail": detail}, status=404)


def forbidden(request, exception=None):
    return render(request, "dashboard/error.html", {"detail": exception}, status=403)


def broken(request):
    """Return a page without a template, because the header of a template needs the database."""
    if not _is_browser(request):
        return errors.server_error(request)
    return HttpResponse(
        format_html(BROKEN, prefix=settings.URL_PREFIX, faults=_faults_html(), **_broken_texts()), status=500
    )


BROKEN = """<!doctype html><html lang="{language}"><title>{title}</title><h1>{title}</h1>
{faults}
<p>{cause} <a href="{prefix}/readyz">/readyz</a>
<p><a href="{prefix}/">{back}</a></html>"""


def _broken_texts():
    return {
        "language": get_language(),
        "title": gettext("This page is temporarily unavailable"),
        "cause": gettext("The cause is in the log of the web processes. Faulty components:"),
        "back": gettext("Go to fleet"),
    }


def _faults_html():
    problems = ((problem.wrong, problem.where, problem.what_to_do) for problem in readiness.problems())
    faults = (map(translated, sentences) for sentences in problems)
    return format_html_join("\n", "<p><b>{}</b> {} {}", faults)


def _is_browser(request):
    return "text/html" in request.headers.get("Accept", "") and not request.path_info.startswith("/api/")
