"""Every path of the product."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from chargers.errors import page_not_found
from config import health

admin.site.site_header = admin.site.site_title = "OCPP central system"
admin.site.index_title = "Chargers, transactions, commands"

urlpatterns = [
    path("", RedirectView.as_view(url="/admin/")),
    path("admin/", admin.site.urls),
    path("api/ocpp/", include("chargers.urls")),
    path("api/ocpp/", include("transactions.urls")),
    path("api/ocpp/", include("commands.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema")),
    # Also with DEBUG, where Django would show its own page.
    re_path(r"^api/", page_not_found),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", health.metrics),
]

handler404 = "chargers.errors.page_not_found"
handler500 = "chargers.errors.server_error"
