"""The page of a user about himself: password, language and API tokens."""

from datetime import UTC, datetime, timedelta

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.contrib.auth.views import PasswordChangeView
from django.db import IntegrityError, transaction
from django.shortcuts import redirect
from django.urls import reverse, reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.generic import TemplateView
from rest_framework.exceptions import ValidationError

from chargers.api.serializers.access import ApiTokenSerializer
from chargers.models import ApiToken
from core.http.errors import sentence
from core.sentences import translated
from dashboard.views.base import Page, form_values
from dashboard.views.editing import DeletePage, shown_once

# Days for which a token is valid, "" for ever.
LIFETIMES = {
    "30": gettext_lazy("30 days"),
    "90": gettext_lazy("90 days"),
    "365": gettext_lazy("A year"),
    "": gettext_lazy("No end"),
}


@method_decorator(never_cache, name="dispatch")
class Account(LoginRequiredMixin, TemplateView):
    template_name = "dashboard/account.html"

    def get_context_data(self, **kwargs):
        user = self.request.user
        return super().get_context_data(**kwargs) | {
            "tokens": ApiToken.objects.filter(user=user).order_by("name"),
            "now": datetime.now(UTC),
            "lifetimes": LIFETIMES,
            "roles": user.groups.order_by("name"),
        }


@method_decorator(never_cache, name="dispatch")
class Password(PasswordChangeView):
    template_name = "dashboard/password.html"
    success_url = reverse_lazy("dashboard:account")

    def form_valid(self, form):
        with transaction.atomic():
            answer = super().form_valid(form)
        messages.success(self.request, gettext("Your password was changed."))
        return answer


class NewToken(Page):
    """POST creates an API token of the user, which only the response shows."""

    permission_required = "chargers.add_apitoken"
    http_method_names = ["post"]

    def post(self, request):
        values = form_values(request)
        days = values.get("days", "365")
        end = datetime.now(UTC) + timedelta(days=int(days)) if days and days in LIFETIMES else None
        body = {"name": values.get("name", ""), "expires_at": end}
        serializer = ApiTokenSerializer(data=body, context={"request": request})
        try:
            serializer.is_valid(raise_exception=True)
            with transaction.atomic():
                row, token = ApiToken.make(request.user, serializer.validated_data["name"], end)
        except ValidationError as error:
            messages.error(request, translated(sentence(error)))
            return redirect("dashboard:account")
        except IntegrityError:
            messages.error(request, translated("You have a token of this name already."))
            return redirect("dashboard:account")
        title = gettext("API token {name}").format(name=row.name)
        text = gettext("Send it to the REST API in the header Authorization, as Token and this text.")
        return shown_once(self, title, text, gettext("Token"), token, reverse("dashboard:account"))


class RevokeToken(DeletePage):
    model = ApiToken
    back = "dashboard:account"

    def rows(self):
        return ApiToken.objects.filter(user=self.request.user)
