"""What every page is made of."""

from django.conf import settings
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.exceptions import PermissionDenied
from django.core.paginator import EmptyPage
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.urls import Resolver404
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.views.decorators.cache import never_cache
from django.views.generic import TemplateView

from chargers import access
from chargers.admin_lists import Counted
from chargers.models import Charger
from core.http import errors
from dashboard import readiness


@method_decorator(never_cache, name="dispatch")
class Page(PermissionRequiredMixin, TemplateView):
    """A page for those who have logged in and hold `permission_required`.

    Its template is made of parts, elements with an id and `data-part`. Asked for again with the header `X-Live`, it
    is `live_template` alone: the parts that the page puts in the place of those with the same ids. `kinds` are the
    events (their first words) after which it asks, of the charger `self.charger` where there is one.
    """

    live_template = ""
    kinds = ()
    charger = None
    also_watched = ""

    def handle_no_permission(self):
        if self.request.user.is_authenticated:
            raise PermissionDenied(f"This needs the permission {', '.join(self.get_permission_required())}.")
        return super().handle_no_permission()

    def get_template_names(self):
        return ["dashboard/live.html" if self.is_live else self.template_name]

    @property
    def is_live(self):
        return bool(self.live_template) and "X-Live" in self.request.headers

    def get_context_data(self, **kwargs):
        of = f"&charger={self.charger.pk}" if self.charger else ""
        watched = f"kinds={','.join(self.kinds)}{of}{self.also_watched}" if self.kinds else ""
        told = {"watched": watched, "charger": self.charger, "live_template": self.live_template}
        return super().get_context_data(**kwargs) | told

    def known_charger(self, charger_id):
        """The `Charger`, or 404; one that whoever asks may not reach is none."""
        charger = Charger.known(charger_id)
        if charger is None or not access.reaches(self.request.user, charger):
            raise Http404(f"There is no charger {charger_id}.")
        return charger

    def within(self, rows, path="charger"):
        return access.within(self.request.user, rows, path)


class Listing(Page):
    """A page of `rows`, narrowed by `filterset_class`, `per_page` at a time; it counts to a point."""

    per_page = 50
    filterset_class = None

    def narrowed(self):
        """The rows as they are asked for, and the errors of what makes no sense."""
        if self.filterset_class is None:
            return self.rows(), {}
        narrowed = self.filterset_class(said(self.request.GET), self.rows())
        return (self.rows().none() if narrowed.errors else narrowed.qs), narrowed.errors

    def get_context_data(self, **kwargs):
        rows, wrong = self.narrowed()
        pages = Counted(rows, self.per_page)
        number = self.request.GET.get("page", "1")
        try:
            page = pages.page(int(number) if number.isdecimal() and len(number) < 10 else 1)
        except EmptyPage:
            page = pages.page(pages.num_pages)
        return super().get_context_data(**kwargs) | {"page": page, "wrong": wrong, "asked": self._asked()}

    def _asked(self):
        """The query without its page, for links to others."""
        asked = said(self.request.GET)
        asked.pop("page", None)
        return asked.urlencode()


def said(query):
    """What a form left empty was not said."""
    made = query.copy()
    for name, values in list(made.lists()):
        if not any(values):
            del made[name]
        elif any("\0" in value for value in values):
            made.setlist(name, [value.replace("\0", "\ufffd") for value in values])
    return made


def filled_in(request):
    """{name: text} of a form, with the line ends that were typed: a browser sends others."""
    told = {name: values[-1] for name, values in request.POST.lists()}
    return {name: text.replace("\0", "\ufffd").replace("\r\n", "\n") for name, text in told.items()}


def not_found(request, exception=None):
    """For people a page, for programs the error form of the API."""
    if not _is_for_people(request):
        return errors.page_not_found(request, exception)
    said = None if isinstance(exception, Resolver404) else exception
    return render(request, "dashboard/error.html", {"said": said}, status=404)


def forbidden(request, exception=None):
    return render(request, "dashboard/error.html", {"said": exception}, status=403)


def broken(request):
    """Without a template: what is broken may be the database, whom its header asks."""
    if not _is_for_people(request):
        return errors.server_error(request)
    return HttpResponse(format_html(BROKEN, prefix=settings.URL_PREFIX, faults=_faults_in_words()), status=500)


BROKEN = """<!doctype html><html lang="en"><title>It does not work</title><h1>This page does not work just now</h1>
{faults}
<p>Why is in the log of the web processes; <a href="{prefix}/readyz">/readyz</a> tells what does not work.
<p><a href="{prefix}/">Try the fleet again</a></html>"""


def _faults_in_words():
    told = ((problem.wrong, problem.where, problem.what_to_do) for problem in readiness.problems())
    return format_html_join("\n", "<p><b>{}</b> {} {}", told)


def _is_for_people(request):
    return "text/html" in request.headers.get("Accept", "") and not request.path_info.startswith("/api/")
