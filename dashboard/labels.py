"""Names of states and outcomes, as pages show them."""

from django.utils.translation import gettext_lazy

LABELS = {
    # states of chargers, see `fleet.STATES`
    "faulted": gettext_lazy("Faulted"),
    "not accepted": gettext_lazy("Not accepted"),
    "offline": gettext_lazy("Offline"),
    "unavailable": gettext_lazy("Unavailable"),
    "charging": gettext_lazy("Charging"),
    "in use": gettext_lazy("In use"),
    "available": gettext_lazy("Available"),
    "never connected": gettext_lazy("Never connected"),
    # states of commands, batches and their items
    "waiting": gettext_lazy("Waiting"),
    "queued": gettext_lazy("Queued"),
    "sent": gettext_lazy("Sent"),
    "asked": gettext_lazy("Submitted"),
    "running": gettext_lazy("Running"),
    "finished": gettext_lazy("Finished"),
    "cancelling": gettext_lazy("Cancelling"),
    "cancelled": gettext_lazy("Cancelled"),
    "refused": gettext_lazy("Refused"),
    # outcomes of commands
    "answered": gettext_lazy("Answered"),
    "call_error": gettext_lazy("Call error"),
    "invalid_response": gettext_lazy("Invalid response"),
    "timed_out": gettext_lazy("Timed out"),
    "not_connected": gettext_lazy("Not connected"),
    "connection_lost": gettext_lazy("Connection lost"),
    "failed": gettext_lazy("Failed"),
    # sources of energy, see `transactions.services.energy`
    "corrected": gettext_lazy("Corrected"),
    "readings": gettext_lazy("Meter values"),
    # directions of messages
    "in": gettext_lazy("Received"),
    "out": gettext_lazy("Sent"),
    # statuses of transactions
    "Ongoing": gettext_lazy("Ongoing"),
    "Completed": gettext_lazy("Completed"),
    # validation of messages
    "strict": gettext_lazy("Strict"),
    "lenient": gettext_lazy("Lenient"),
}
