"""The transactions app: what was charged, and who may charge."""

from django.apps import AppConfig


class TransactionsConfig(AppConfig):
    name = "transactions"

    def ready(self):
        from transactions import handlers  # noqa: F401  (registers its actions)
