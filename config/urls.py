"""All URLs of the central system."""

from django.conf import settings
from django.contrib import admin
from django.shortcuts import redirect
from django.templatetags.static import static
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config import health, metrics

admin.site.site_title = "OCPP central system"
admin.site.site_header = f"{admin.site.site_title}, times in {settings.TIME_ZONE_DISPLAY}"
admin.site.index_title = "Chargers, transactions, commands"

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/ocpp/", include("chargers.api.urls")),
    path("api/ocpp/", include("transactions.api.urls")),
    path("api/ocpp/", include("commands.api.urls")),
    path("api/ocpp/", include("gateway.api")),
    path("api/ocpp/", include("dashboard.api")),
    path("files/", include("commands.api.views.files")),
    path("api/schema/", SpectacularAPIView.as_view(http_method_names=["get"]), name="schema"),
    path("api/docs/", SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get"]), name="docs"),
    path("healthz", csrf_exempt(health.alive)),
    path("readyz", csrf_exempt(health.ready)),
    path("metrics", metrics.metrics),
    path("favicon.ico", lambda request: redirect(static("dashboard/icon.svg"))),
    path("", include("dashboard.urls")),
]

handler400 = "core.http.errors.bad_request"
handler403 = "dashboard.views.base.forbidden"
handler404 = "dashboard.views.base.not_found"
handler500 = "dashboard.views.base.broken"
