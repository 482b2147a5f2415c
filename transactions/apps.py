"""The transactions app: what was charged, and who may charge."""

from django.apps import AppConfig


class TransactionsConfig(AppConfig):
    name = "transactions"

    def ready(self) -> None:
        from chargers.services import audit
        from transactions.models import IdTag, Outage, Tariff
        from transactions.services import key_codes

        columns = ["id_tag", "type", "status", "expiry_date", "parent_id_tag", "concurrent_limit", "description"]
        columns += ["master_pass", "language", "message", "chargers", "groups"]
        audit.watch(IdTag, *columns, secrets=key_codes.secret_columns)
        audit.watch(Outage, "excluded_because")
        prices = ["energy_per_kwh", "per_minute", "per_session", "vat_percent"]
        audit.watch(Tariff, "description", "currency", *prices, "text", "chargers", "groups", "id_tags")
