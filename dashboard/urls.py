"""URLs of the pages. Charger ids in paths are percent-encoded, as in the API."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, re_path

from dashboard.views import (
    batches,
    charger,
    commands,
    fleet,
    incidents,
    language,
    messages,
    notification_rules,
    refusals,
    tokens,
    transactions,
    variables,
)

app_name = "dashboard"
urlpatterns = [
    path("", fleet.Fleet.as_view(), name="fleet"),
    path("login/", LoginView.as_view(template_name="dashboard/login.html"), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("language/", language.Language.as_view(), name="language"),
    path("curves/fleet.json", fleet.FleetCurves.as_view(), name="fleet-curves"),
    path("curves/transactions/<int:pk>.json", transactions.TransactionCurves.as_view(), name="transaction-curves"),
    path("chargers/<charger:charger_id>/", charger.ChargerPage.as_view(), name="charger"),
    path("chargers/<charger:charger_id>/submit/<str:action>/", charger.SubmitPage.as_view(), name="submit"),
    path("chargers/<charger:charger_id>/variables/", variables.Variables.as_view(), name="variables"),
    path("chargers/<charger:charger_id>/variables/<int:pk>/", variables.VariablePage.as_view(), name="variable"),
    path("chargers/<charger:charger_id>/findings.csv", charger.Findings.as_view(), name="findings"),
    path("tokens.json", tokens.Tokens.as_view(), name="tokens"),
    path("refused/", refusals.Refusals.as_view(), name="refusals"),
    path("refused/<int:pk>/add/", refusals.AddCharger.as_view(), name="add-charger"),
    path("incidents/", incidents.Incidents.as_view(), name="incidents"),
    path("incidents/<int:pk>/", incidents.IncidentPage.as_view(), name="incident"),
    path("notification-rules/", notification_rules.NotificationRules.as_view(), name="notification-rules"),
    path("notification-rules/new/", notification_rules.NewRule.as_view(), name="new-notification-rule"),
    path("notification-rules/<int:pk>/", notification_rules.RulePage.as_view(), name="notification-rule"),
    path("transactions/", transactions.Transactions.as_view(), name="transactions"),
    re_path(r"^transactions/export\.(?P<kind>csv|xlsx)$", transactions.Export.as_view(), name="export"),
    path("transactions/<int:pk>/", transactions.TransactionPage.as_view(), name="transaction"),
    path("transactions/<int:pk>/close/", transactions.CloseTransaction.as_view(), name="close"),
    path("transactions/<int:pk>/correct/", transactions.CorrectTransaction.as_view(), name="correct"),
    path("messages/", messages.Messages.as_view(), name="messages"),
    path("commands/", commands.Commands.as_view(), name="commands"),
    path("commands/<str:task_id>/", commands.CommandPage.as_view(), name="command"),
    path("commands/<str:task_id>/again/", commands.Again.as_view(), name="again"),
    path("batches/", batches.Batches.as_view(), name="batches"),
    path("batches/new/<str:action>/", batches.NewBatch.as_view(), name="new-batch"),
    path("batches/new/<str:action>/<str:version>/", batches.NewBatch.as_view(), name="new-batch"),
    path("batches/<uuid:pk>/", batches.BatchPage.as_view(), name="batch"),
    path("batches/<uuid:pk>/cancel/", batches.CancelBatch.as_view(), name="cancel-batch"),
    path("schedules/<int:pk>/", batches.ChangeSchedule.as_view(), name="schedule"),
]
