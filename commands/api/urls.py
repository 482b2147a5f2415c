"""Paths of commands, tasks, batches and the models that commands use."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from commands.api.views import (
    batches,
    campaigns,
    certificates,
    charging,
    command_reports,
    files,
    library,
    power_limits,
    reports,
    tasks,
    variables,
)

router = SimpleRouter()
router.register("campaigns", campaigns.CampaignViewSet)
router.register("charging-profiles", library.ChargingProfileViewSet)
router.register("contract-roots", certificates.ContractRootViewSet)
router.register("firmware", library.FirmwareViewSet)
router.register("schedules", batches.ScheduleViewSet)

urlpatterns = [
    path("", include(router.urls)),
    path("start/<charger:charger_id>/", tasks.start),
    path("stop/<charger:charger_id>/", tasks.stop),
    path("authorize/<charger:charger_id>/", tasks.authorize),
    path("chargers/<charger:charger_id>/variables/", variables.VariableList.as_view()),
    path("power-limits/", power_limits.PowerLimitList.as_view()),
    path("power-limits/<int:pk>/", power_limits.PowerLimitDetail.as_view()),
    path("chargers/<charger:charger_id>/composite-schedule/", charging.CompositeScheduleView.as_view()),
    path("charging-needs/", charging.ChargingNeedsList.as_view()),
    path("charging-schedules/", charging.EVScheduleList.as_view()),
    path("chargers/<charger:charger_id>/reports/", reports.ReportList.as_view()),
    path("chargers/<charger:charger_id>/reports/<int:request_id>/", reports.ReportDetail.as_view()),
    path("chargers/<charger:charger_id>/reports/<int:request_id>/difference/", reports.ReportDifference.as_view()),
    path("reports/commands/", command_reports.CommandsReport.as_view()),
    path("commands/", tasks.CommandList.as_view()),
    path("tasks/<slug:task_id>/", tasks.TaskDetail.as_view()),
    path("tasks/<slug:task_id>/retry/", tasks.retry),
    path("batches/", batches.BatchList.as_view()),
    path("batches/<slug:id>/", batches.BatchDetail.as_view()),
    path("batches/<slug:id>/commands/", batches.BatchItemList.as_view()),
    path("batches/<slug:id>/cancel/", batches.cancel),
    path("campaigns/<int:pk>/items/", campaigns.CampaignItemList.as_view()),
    path("local-lists/<charger:charger_id>/", library.LocalListView.as_view()),
    path("display-messages/", library.DisplayMessageList.as_view()),
    path("published-firmware/", library.PublishedFirmwareList.as_view()),
    path("uploads/", library.UploadList.as_view()),
    path("uploads/<int:pk>/file/", files.uploaded_file),
    path("certificates/", certificates.CertificateList.as_view()),
    path("certificates/<int:pk>/revoke/", certificates.revoke_certificate),
    path("installed-certificates/", certificates.InstalledCertificateList.as_view()),
    path("certificates/roots/", certificates.root_certificates),
    path("certificates/roots/v2g/", certificates.v2g_root_certificate),
    path("certificate-inquiries/", certificates.CertificateInquiryList.as_view()),
]
