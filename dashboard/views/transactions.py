"""Pages of transactions: the list, its export, and one transaction with its charts."""

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBadRequest, JsonResponse
from django.shortcuts import redirect
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext
from django_filters import rest_framework as filters
from rest_framework.exceptions import APIException

from chargers.services import access
from core.http.errors import sentence
from core.ocpp.timestamps import day_bounds
from core.sentences import FIELDS, translated
from dashboard import fleet
from dashboard.flags import flags, issue_choices
from dashboard.views import tags
from dashboard.views.base import Listing, Page, form_values
from transactions.api.filters import TransactionFilter
from transactions.api.serializers import CorrectionSerializer
from transactions.models import Transaction
from transactions.models.transactions import DOUBTS
from transactions.services import corrections, curves, export

MAX_EVENTS = 200  # of one transaction on its page


class ByDays(TransactionFilter):
    """Add filters by ID tag in any case, by issue, and by days of the zone of the page, `last_day` included."""

    id_tag = filters.CharFilter(method="of_tag", strip=False)
    issue = filters.ChoiceFilter(method="with_issue", choices=list(DOUBTS.items()))
    first_day = filters.DateFilter(method="from_day")
    last_day = filters.DateFilter(method="until_day")

    def of_tag(self, rows, name, id_tag):
        """Match either case, because tags are case-insensitive (OCPP 1.6 §7.28); each lookup uses the index."""
        return rows.filter(id_tag__in={id_tag, id_tag.upper(), id_tag.lower()})

    def with_issue(self, rows, name, issue):
        return rows.in_doubt(issue)

    def from_day(self, rows, name, day):
        return rows.filter(start_time__gte=day_bounds(day, get_current_timezone())[0])

    def until_day(self, rows, name, day):
        return rows.filter(start_time__lt=day_bounds(day, get_current_timezone())[1])


class Transactions(Listing):
    permission_required = "transactions.view_transaction"
    template_name = "dashboard/transactions.html"
    live_template = "dashboard/transactions_live.html"
    kinds = ("transaction", "connector", "charger")
    filterset_class = ByDays

    def rows(self):
        return self.within(Transaction.objects.select_related("charger"))

    def get_context_data(self, **kwargs):
        context = super().get_context_data(**kwargs)
        fleet.mark_charging(self.request.user, context["page"].object_list)
        sites = access.sites(self.request.user).order_by("name").values_list("pk", "name")
        return context | {"issues": issue_choices(), "sites": [(str(pk), name) for pk, name in sites]}


class Export(Transactions):
    """Export all rows that match the filters, as `csv` or `xlsx`."""

    def get(self, request, kind):
        narrowed, wrong = self.narrowed()
        if wrong:
            return HttpResponseBadRequest(_in_lines(wrong), content_type="text/plain; charset=utf-8")
        try:
            return export.response(kind, narrowed, get_current_timezone())
        except export.TooMany as error:
            return HttpResponseBadRequest(translated(error), content_type="text/plain; charset=utf-8")
        except export.Occupied as error:
            return HttpResponse(translated(error), "text/plain; charset=utf-8", 503, headers={"Retry-After": "60"})


def _in_lines(wrong):
    """Return the errors of invalid filters as text, one filter a line."""
    return "\n".join(f"{FIELDS.get(name, name)}: {translated(errors[0])}" for name, errors in wrong.items())


class TransactionPage(Page):
    permission_required = "transactions.view_transaction"
    template_name = "dashboard/transaction.html"
    live_template = "dashboard/transaction_parts.html"
    kinds = ("transaction", "connector", "charger")

    def get_context_data(self, pk, **kwargs):
        (session,) = fleet.mark_charging(self.request.user, [find_transaction(self, pk)])
        self.charger = session.charger
        return super().get_context_data(**kwargs) | {
            "session": session,
            "flags": flags(session),
            "commands": session.commands.all() if self.request.user.has_perm("commands.view_command") else (),
            "events": _newest_last(session),
            "may_command": self.request.user.has_perm("commands.add_command"),
            "may_close": self.request.user.has_perm("transactions.change_transaction"),
            **({} if self.is_live else self._unknown(session)),
        }

    def _unknown(self, session):
        """Return the tag of the transaction, if it is unknown and the user may accept it."""
        if session.id_tag_status == "Accepted" or not session.id_tag:
            return {}
        return tags.accepting(self.request.user, 1, id_tag__iexact=session.id_tag, type=session.id_token_type)


def _newest_last(session):
    """Return the last MAX_EVENTS events of a transaction in the order of their numbers."""
    return session.transaction_events.order_by("-seq_no", "-id")[:MAX_EVENTS][::-1]


class TransactionCurves(Page):
    """{at: [seconds since 1970], power: [kW], energy: [kWh], soc: [%]}, null without a reading at that time."""

    permission_required = "transactions.view_transaction"

    def get(self, request, pk):
        return JsonResponse(curves.of(find_transaction(self, pk)))


class CloseTransaction(Page):
    """POST closes a stuck transaction manually."""

    permission_required = "transactions.change_transaction"
    http_method_names = ["post"]

    def post(self, request, pk):
        closed = find_transaction(self, pk).close(request.user.get_username())
        messages.info(
            request, gettext("Transaction closed.") if closed else gettext("The transaction had already ended.")
        )
        return redirect("dashboard:transaction", pk)


class CorrectTransaction(Page):
    """POST stores corrections and the note of a transaction; an empty field removes its correction."""

    permission_required = "transactions.change_transaction"
    http_method_names = ["post"]

    def post(self, request, pk):
        session = find_transaction(self, pk)
        fields = {name: text or None for name, text in form_values(request).items() if name in corrections.COLUMNS}
        body = CorrectionSerializer(data=fields)
        try:
            body.is_valid(raise_exception=True)
            corrections.correct(session, request.user.get_username(), body.validated_data)
            messages.info(request, gettext("Changes saved."))
        except APIException as error:
            messages.error(request, translated(sentence(error)))
        return redirect("dashboard:transaction", pk)


def find_transaction(page, pk):
    rows = Transaction.objects.select_related("charger__site", "superseded_by")
    session = page.within(rows).filter(pk=pk).first()
    if session is None:
        raise Http404(gettext("There is no transaction {pk}.").format(pk=pk))
    page.use_zone_of(session.charger)
    return session
