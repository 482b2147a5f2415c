"""Paths of commands and tasks."""

from django.urls import path

from commands import views

urlpatterns = [
    path("start/<charger:charger_id>/", views.start),
    path("stop/<charger:charger_id>/", views.stop),
    path("authorize/<charger:charger_id>/", views.authorize),
    path("commands/", views.CommandList.as_view()),
    path("tasks/<slug:task_id>/", views.TaskDetail.as_view()),
]
