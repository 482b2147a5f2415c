"""Reports by mail: the list of one's subscriptions, and the form of one."""

from datetime import UTC, datetime

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.utils.translation import gettext, gettext_lazy

from chargers.services import access
from dashboard import report_mail, report_tables
from dashboard.labels import EVERY
from dashboard.models import FORMATS, ReportSubscription
from dashboard.views.base import Page


class SubscriptionForm(forms.ModelForm):
    """A subscription to a report that its owner and its editor may see, of a site that the owner may see."""

    class Meta:
        model = ReportSubscription
        fields = report_mail.COLUMNS
        labels = {
            "name": gettext_lazy("Name"),
            "report": gettext_lazy("Report"),
            "group_by": gettext_lazy("Grouped by"),
            "site": gettext_lazy("Site"),
            "every": gettext_lazy("How often"),
            "format": gettext_lazy("Format"),
            "language": gettext_lazy("Language"),
            "recipients": gettext_lazy("Recipients, one address per line"),
            "is_enabled": gettext_lazy("Enabled"),
        }
        widgets = {"recipients": forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})}

    def __init__(self, owner, editor, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.owner, self.editor = owner, editor
        self.fields["site"].queryset = access.sites(owner).order_by("name")
        self.fields["site"].empty_label = gettext("All")
        self.fields["report"].choices = [
            (name, title)
            for name, title in report_tables.TITLES.items()
            if report_mail.may_see(owner, name) and report_mail.may_see(editor, name)
        ]
        self.fields["group_by"].choices = list(report_tables.GROUPS.items())
        self.fields["every"].choices = list(EVERY.items())
        self.fields["format"].choices = [(name, name.upper()) for name in FORMATS]
        self.fields["language"].choices = settings.LANGUAGES

    def clean(self):
        values = super().clean()
        if not self.errors:
            chosen = (values[name] for name in ("report", "group_by", "site"))
            wrong = report_mail.wrong_with(self.owner, self.editor, *chosen)
            if "group_by" in wrong:
                groups = report_tables.GROUPS_OF[values["report"]]
                text = gettext("This report can be grouped by: {groups}.")
                named = ", ".join(str(report_tables.GROUPS[group]) for group in groups)
                wrong = {"group_by": text.format(groups=named)}
            for name, sentence in wrong.items():
                self.add_error(name, sentence)
        return values


class Subscriptions(Page):
    """One's own subscriptions, and the form of a new one; those who reach every charger see all."""

    permission_required = "transactions.view_transaction"
    template_name = "dashboard/report_subscriptions.html"
    subscription = None

    def visible(self):
        return report_mail.visible(self.request.user, ReportSubscription.objects.select_related("site", "owner"))

    def find(self, pk):
        self.subscription = self.visible().filter(pk=pk).first()
        if self.subscription is None:
            raise Http404(gettext("There is no such report by mail."))
        return self.subscription

    def form(self, data=None):
        owner = self.subscription.owner if self.subscription else self.request.user
        return SubscriptionForm(owner, self.request.user, data, instance=self.subscription)

    def get_context_data(self, form=None, **kwargs):
        rows = () if self.subscription else self.visible()
        context = {"subscriptions": rows, "subscription": self.subscription, "form": form or self.form()}
        return super().get_context_data(**kwargs) | context

    def post(self, request):
        return self.store(request)

    def store(self, request):
        form = self.form(request.POST)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form), status=400)
        stored = form.save(commit=False)
        if self.subscription is None:
            stored.owner = request.user
        report_mail.store(stored, datetime.now(UTC))
        messages.info(request, gettext("Changes saved."))
        return redirect("dashboard:report-subscriptions")


class EditSubscription(Subscriptions):
    """The form of a subscription."""

    template_name = "dashboard/report_subscription.html"

    def get(self, request, pk):
        self.find(pk)
        return super().get(request)

    def post(self, request, pk):
        self.find(pk)
        return self.store(request)


class DeleteSubscription(Subscriptions):
    """POST deletes a subscription."""

    http_method_names = ["post"]

    def post(self, request, pk):
        self.find(pk).delete()
        return redirect("dashboard:report-subscriptions")
