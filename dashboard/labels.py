"""Names of states, outcomes and fields, as pages show them."""

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
    "created": gettext_lazy("Submitted"),
    "running": gettext_lazy("Running"),
    "finished": gettext_lazy("Finished"),
    "cancelling": gettext_lazy("Cancelling"),
    "cancelled": gettext_lazy("Cancelled"),
    "refused": gettext_lazy("Refused"),
    # states of firmware campaigns and of their chargers
    "draft": gettext_lazy("Draft"),
    "paused": gettext_lazy("Paused"),
    "stopped": gettext_lazy("Stopped early"),
    "skipped": gettext_lazy("Skipped"),
    # deliveries to webhooks
    "pending": gettext_lazy("Pending"),
    "delivered": gettext_lazy("Delivered"),
    "dead": gettext_lazy("Failed for good"),
    # lines of an imported file
    "new": gettext_lazy("New"),
    "changed": gettext_lazy("Changed"),
    # states of power limits and of the chargers that keep them
    "active": gettext_lazy("In force"),
    "removing": gettext_lazy("Being removed"),
    "ended": gettext_lazy("Ended"),
    "installed": gettext_lazy("Installed"),
    # outcomes of commands
    "answered": gettext_lazy("Answered"),
    "call_error": gettext_lazy("Call error"),
    "invalid_response": gettext_lazy("Invalid response"),
    "timed_out": gettext_lazy("Timed out"),
    "not_connected": gettext_lazy("Not connected"),
    "connection_lost": gettext_lazy("Connection lost"),
    "failed": gettext_lazy("Failed"),
    # confirmations of commands
    "confirmed": gettext_lazy("Confirmed"),
    "not_seen": gettext_lazy("Not seen"),
    "not_applicable": gettext_lazy("Effect can't be seen"),
    # sources of energy, see `transactions.services.energy`
    "corrected": gettext_lazy("Corrected"),
    "readings": gettext_lazy("Meter values"),
    # intents, see `commands.actions.intents`
    "start": gettext_lazy("Remote start"),
    "stop": gettext_lazy("Remote stop"),
    "reset": gettext_lazy("Restart"),
    "unlock": gettext_lazy("Unlocking"),
    "availability": gettext_lazy("Availability"),
    "trigger": gettext_lazy("Message request"),
    "limit": gettext_lazy("Power limit"),
    "read_configuration": gettext_lazy("Configuration report"),
    "fetch_log": gettext_lazy("Log upload"),
    "renew_certificate": gettext_lazy("Certificate renewal"),
    # incidents, see `chargers.models.incidents`
    "open": gettext_lazy("Open"),
    "acknowledged": gettext_lazy("Acknowledged"),
    "closed": gettext_lazy("Closed"),
    "info": gettext_lazy("Info"),
    "warning": gettext_lazy("Warning"),
    "critical": gettext_lazy("Critical"),
    "opened": gettext_lazy("Opened"),
    "recurred": gettext_lazy("Recurred"),
    "assigned": gettext_lazy("Assigned"),
    "note": gettext_lazy("Note"),
    "notified": gettext_lazy("Notified"),
    "escalated": gettext_lazy("Escalated"),
    # notifications
    "email": gettext_lazy("E-mail"),
    "slack": gettext_lazy("Slack"),
    "teams": gettext_lazy("Microsoft Teams"),
    "ntfy": gettext_lazy("ntfy"),
    "webhook": gettext_lazy("Webhook (JSON)"),
    "obsolete": gettext_lazy("Not needed any more"),
    "test": gettext_lazy("Test"),
    # directions of messages
    "in": gettext_lazy("Received"),
    "out": gettext_lazy("Sent"),
    # kinds of messages, see `chargers.models.messages`
    "call": gettext_lazy("Call"),
    "result": gettext_lazy("Result"),
    "error": gettext_lazy("Error"),
    "other": gettext_lazy("Other"),
    # statuses of transactions
    "Ongoing": gettext_lazy("Ongoing"),
    "Completed": gettext_lazy("Completed"),
    # validation of messages
    "strict": gettext_lazy("Strict"),
    "lenient": gettext_lazy("Lenient"),
    # kinds of protocol issues, see `chargers.models.findings`
    "too_long": gettext_lazy("Too long"),
    "unknown_field": gettext_lazy("Unknown member"),
    "wrong_type": gettext_lazy("Wrong type"),
    "not_a_number": gettext_lazy("Not a number"),
    "unknown_value": gettext_lazy("Unknown value"),
    "null": gettext_lazy("Null"),
    "missing": gettext_lazy("Missing"),
    "bad_item": gettext_lazy("Unreadable item"),
    "out_of_range": gettext_lazy("Out of range"),
    "clock": gettext_lazy("Implausible time"),
    "reused": gettext_lazy("Used again"),
    "unreadable": gettext_lazy("Unreadable"),
    "rejected": gettext_lazy("Refused"),
}

# Parameters of intents, see `commands.actions.intents`.
PARAMETERS = {
    "id_tag": gettext_lazy("ID tag"),
    "id_token_type": gettext_lazy("Type of the ID tag (from OCPP 2.0.1)"),
    "evse_id": gettext_lazy("EVSE (in OCPP 1.6: connector)"),
    "connector_id": gettext_lazy("Connector of the EVSE"),
    "reference": gettext_lazy("Transaction"),
    "is_immediate": gettext_lazy("At once, without stopping transactions first"),
    "is_operative": gettext_lazy("Operative"),
    "message": gettext_lazy("Message"),
    "amount": gettext_lazy("Limit"),
    "unit": gettext_lazy("Unit"),
    "kind": gettext_lazy("Log"),
}

# How often reports are sent by mail.
EVERY = {
    "daily": gettext_lazy("daily"),
    "weekly": gettext_lazy("weekly"),
    "monthly": gettext_lazy("monthly"),
}

# Fields of the form of an id tag.
TAGS = {
    "id_tag": gettext_lazy("ID tag"),
    "type": gettext_lazy("Type"),
    "status": gettext_lazy("Status"),
    "expiry_date": gettext_lazy("Valid until"),
    "parent_id_tag": gettext_lazy("Group"),
    "description": gettext_lazy("Description"),
    "groups": gettext_lazy("Only at chargers of these groups"),
    "chargers": gettext_lazy("Only at these chargers"),
    "concurrent_limit": gettext_lazy("Transactions at the same time, at most"),
    "master_pass": gettext_lazy("Master pass"),
    "language": gettext_lazy("Language"),
    "message": gettext_lazy("Message to the driver"),
}
TAG_HINTS = {
    "type": gettext_lazy("OCPP 2.0.1 only; empty: any type"),
    "parent_id_tag": gettext_lazy("tags of a group may stop each other's transactions"),
    "chargers": gettext_lazy("one ID per line; without chargers and groups: everywhere"),
    "concurrent_limit": gettext_lazy("empty: any number"),
    "master_pass": gettext_lazy("may stop every transaction, starts none"),
    "language": gettext_lazy("such as de"),
    "message": gettext_lazy("OCPP 2.0.1 only"),
}

# Fields of the form of a charger.
CHARGERS = {
    "description": gettext_lazy("Description"),
    "site": gettext_lazy("Site"),
    "boot_policy": gettext_lazy("Boot policy"),
    "read_configuration_after_boot": gettext_lazy("Read the configuration after each boot"),
    "security_profile": gettext_lazy("Security profile"),
    "message_log": gettext_lazy("Stored messages"),
    "validation": gettext_lazy("Validation"),
    "ping_interval": gettext_lazy("Seconds between pings"),
    "ping_timeout": gettext_lazy("Seconds without a response until disconnection"),
    "boot_wait": gettext_lazy("Seconds until the first command"),
    "authorization_key": gettext_lazy("Own key"),
    "allow_short_key": gettext_lazy("Allow a short key"),
}
CHARGER_HINTS = {
    "boot_policy": gettext_lazy("the answer to its BootNotification"),
    "message_log": gettext_lazy("empty: server default"),
    "validation": gettext_lazy("empty: server default"),
    "ping_interval": gettext_lazy("0: none; empty: server default"),
    "ping_timeout": gettext_lazy("empty: server default"),
    "boot_wait": gettext_lazy("0: none; empty: server default"),
    "authorization_key": gettext_lazy("32 to 40 hex digits or 16 to 20 characters; empty: no change"),
    "allow_short_key": gettext_lazy("of 8 to 15 characters, which can be guessed"),
}
# Fields of the form of a webhook.
WEBHOOKS = {
    "name": gettext_lazy("Name"),
    "url": gettext_lazy("URL"),
    "kinds": gettext_lazy("Events"),
    "group": gettext_lazy("Only of chargers in this group"),
    "is_enabled": gettext_lazy("Enabled"),
}
# Fields of the form of a firmware image.
IMAGES = {
    "description": gettext_lazy("Name"),
    "version": gettext_lazy("Version"),
    "file": gettext_lazy("File"),
    "signature": gettext_lazy("Signature"),
    "signing_certificate": gettext_lazy("Signing certificate"),
}
IMAGE_HINTS = {
    "description": gettext_lazy("with the models that it is for"),
    "version": gettext_lazy("that chargers report with it; empty: unknown"),
    "signature": gettext_lazy("Base64; only of signed images"),
    "signing_certificate": gettext_lazy("PEM; only of signed images"),
}
WEBHOOK_HINTS = {"url": gettext_lazy("http:// or https://, without user and password")}
