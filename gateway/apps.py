"""The app of the sockets of chargers, and of the messages that arrive there."""

from django.apps import AppConfig


class GatewayConfig(AppConfig):
    name = "gateway"

    def ready(self) -> None:
        from gateway import vendors

        vendors.load()
