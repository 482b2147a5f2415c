"""The commands app: what an operator asks of a charger, as jobs."""

from django.apps import AppConfig


class CommandsConfig(AppConfig):
    name = "commands"

    def ready(self):
        from commands import handlers  # noqa: F401  (registers what the socket asks of commands)
