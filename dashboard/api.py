"""Reports by mail over REST."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.urls import include, path
from django_filters import rest_framework as filters
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.routers import SimpleRouter

from chargers.api.filters import AtSite
from chargers.api.serializers.base import Strict
from chargers.api.serializers.sites import SiteField
from chargers.api.viewsets import Editable, Scoped
from chargers.models import Site
from chargers.services.access import needs
from dashboard import report_mail
from dashboard.models import MAX_ADDRESSES, ReportSubscription

VIEW = "transactions.view_transaction"


class ReportSubscriptionSerializer(Strict, serializers.ModelSerializer):
    """A report that is sent by mail after each period, with what its owner may reach.

    `group_by` must be one of the report; that of faults has no groups. `due_at` is when the present period ends.
    """

    site = SiteField(required=False, allow_null=True, help_text="Written as the id or the name. Null: every site.")
    recipients = serializers.ListField(
        child=serializers.EmailField(), source="addresses", min_length=1, max_length=MAX_ADDRESSES
    )
    owner = serializers.CharField(source="owner.username", read_only=True)

    class Meta:
        model = ReportSubscription
        fields = ["id", "name", "report", "group_by", "site", "every", "format", "language", "recipients", "owner"]
        fields += ["is_enabled", "created_at", "due_at", "retry_at", "sent_at", "failures", "error"]
        read_only_fields = ["created_at", "due_at", "retry_at", "sent_at", "failures", "error"]

    def validate(self, fields: dict[str, Any]) -> dict[str, Any]:
        if "addresses" in fields:
            fields["recipients"] = "\n".join(fields.pop("addresses"))
        known = self.instance if isinstance(self.instance, ReportSubscription) else ReportSubscription()
        editor = self.context["request"].user
        owner = known.owner if known.pk else editor
        report, group_by, site = (fields.get(name, getattr(known, name)) for name in ("report", "group_by", "site"))
        if wrong := report_mail.wrong_with(owner, editor, report, group_by, site):
            raise serializers.ValidationError(wrong)
        return fields

    def create(self, fields: dict[str, Any]) -> ReportSubscription:
        made = ReportSubscription(**fields)
        report_mail.store(made, datetime.now(UTC))
        return made

    def update(self, subscription: ReportSubscription, fields: dict[str, Any]) -> ReportSubscription:
        for name, value in fields.items():
            setattr(subscription, name, value)
        report_mail.store(subscription, datetime.now(UTC))
        return subscription


class ReportSubscriptionFilter(AtSite):
    owner = filters.CharFilter("owner__username", strip=False)

    class Meta:
        model = ReportSubscription
        fields = ["name", "report", "group_by", "every", "format", "language", "is_enabled"]

    def at_site(self, rows: QuerySet[ReportSubscription], site: Site) -> QuerySet[ReportSubscription]:
        return rows.filter(site=site)


class ReportSubscriptionViewSet(Scoped, Editable):
    """One's own reports by mail; users who reach every charger see, change and delete all."""

    queryset = ReportSubscription.objects.select_related("site", "owner")
    serializer_class = ReportSubscriptionSerializer
    filterset_class = ReportSubscriptionFilter
    permission_classes = [needs(GET=VIEW, POST=VIEW, PUT=VIEW, PATCH=VIEW, DELETE=VIEW)]

    def visible(self, rows: QuerySet[ReportSubscription]) -> QuerySet[ReportSubscription]:
        return report_mail.visible(self.request.user, rows)

    def create(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        if not request.user.is_authenticated:
            raise PermissionDenied("A report by mail belongs to a user. Send the token of one.")
        return super().create(request, *args, **kwargs)

    def perform_create(self, serializer: Any) -> None:
        serializer.save(owner=self.request.user)


router = SimpleRouter()
router.register("report-subscriptions", ReportSubscriptionViewSet)
urlpatterns = [path("", include(router.urls))]
