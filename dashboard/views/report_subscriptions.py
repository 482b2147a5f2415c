"""Reports by mail: the list of one's subscriptions, and their creation and deletion."""

from datetime import UTC, datetime

from django import forms
from django.contrib import messages
from django.http import Http404
from django.shortcuts import redirect
from django.utils.translation import gettext

from chargers.services import access
from dashboard import report_mail
from dashboard.models import ReportSubscription
from dashboard.views.base import Page


class SubscriptionForm(forms.ModelForm):
    """A subscription to a report of a site that the user may see."""

    class Meta:
        model = ReportSubscription
        fields = ["name", "report", "group_by", "site", "every", "format", "language", "recipients"]
        widgets = {"recipients": forms.Textarea(attrs={"rows": 2})}

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["site"].queryset = access.sites(user).order_by("name")


class Subscriptions(Page):
    """One's own subscriptions; those who reach every charger see all."""

    permission_required = "transactions.view_transaction"
    template_name = "dashboard/report_subscriptions.html"
    form = None

    def visible(self):
        rows = ReportSubscription.objects.select_related("site", "owner")
        user = self.request.user
        return rows if access.reaches_every_charger(user) else rows.filter(owner=user)

    def get_context_data(self, **kwargs):
        form = self.form or SubscriptionForm(self.request.user)
        return super().get_context_data(**kwargs) | {"subscriptions": self.visible(), "form": form}

    def post(self, request):
        self.form = SubscriptionForm(request.user, request.POST)
        if not self.form.is_valid():
            return self.render_to_response(self.get_context_data(), status=400)
        subscription = self.form.save(commit=False)
        subscription.owner = request.user
        report_mail.plan(subscription, datetime.now(UTC))
        subscription.save()
        messages.info(request, gettext("Changes saved."))
        return redirect("dashboard:report-subscriptions")


class DeleteSubscription(Subscriptions):
    """POST deletes a subscription."""

    http_method_names = ["post"]

    def post(self, request, pk):
        deleted, _ = self.visible().filter(pk=pk).delete()
        if not deleted:
            raise Http404
        return redirect("dashboard:report-subscriptions")
