"""The charger app: the socket, and what a charger is."""

from django.apps import AppConfig


class ChargersConfig(AppConfig):
    name = "chargers"

    def ready(self):
        from chargers import handlers, vendors  # noqa: F401  (registers its actions)

        vendors.load()
