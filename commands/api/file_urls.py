"""Paths for chargers, without a login: the token in the URL authorises them, see `commands.services.files`."""

from django.urls import path

from commands.api.views import files

urlpatterns = [
    path("firmware/<str:token>/<str:filename>", files.firmware),
    path("uploads/<str:token>", files.upload),
    path("uploads/<str:token>/", files.upload),
    path("uploads/<str:token>/<path:filename>", files.upload),
]
