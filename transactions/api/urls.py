"""Paths of transactions and id tags."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from transactions.api import reports, views

router = SimpleRouter()
router.register("id-tags", views.IdTagViewSet)
router.register("unknown-id-tags", views.UnknownIdTagViewSet)
router.register("tariffs", views.TariffViewSet)
router.register("reservations", views.ReservationViewSet)
router.register("outages", reports.OutageViewSet)

urlpatterns = [
    path("id-tags/import/", views.IdTagImport.as_view()),
    path("id-tags/export.csv", views.IdTagExport.as_view()),
    path("", include(router.urls)),
    path("reports/energy/", reports.EnergyReport.as_view()),
    path("reports/sessions/", reports.SessionsReport.as_view()),
    path("reports/availability/", reports.AvailabilityReport.as_view()),
    path("reports/faults/", reports.FaultReport.as_view()),
    path("transactions/", views.TransactionList.as_view()),
    path("transactions/<charger:charger_id>/", views.ChargerTransactionList.as_view()),
    path("transactions/<charger:charger_id>/<int:transaction_id>/", views.TransactionDetail.as_view()),
    path("transactions/<charger:charger_id>/<int:transaction_id>/close/", views.close),
    path("transactions/<charger:charger_id>/<int:transaction_id>/events/", views.TransactionEventList.as_view()),
    path("transactions/<charger:charger_id>/<int:transaction_id>/meter-values/", views.MeterValueList.as_view()),
]
