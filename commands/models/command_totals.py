"""Totals of the commands of a day, for reports.

They are kept as those of sessions are (`transactions.models.day_totals`). Retention deletes commands, so a trigger
adds the counts of deleted commands to `DeletedCommands`. Totals are computed from both.
"""

from django.db import models

from chargers.models import Charger
from commands.models.command import SUCCESSES
from transactions.models.day_totals import Stale, marks_of_chargers

# A finished command is one of the first six. An answer succeeds if its status, and that of each of its parts, does.
_SUCCESSES = ", ".join(f"'{status}'" for status in SUCCESSES)
_CONDITIONS = {
    "accepted": "c.outcome = 'answered' AND commands_succeeds(c.response)",
    "refused": "c.outcome = 'answered' AND NOT commands_succeeds(c.response)",
    "failed": "c.outcome IN ('call_error', 'invalid_response', 'failed')",
    "timed_out": "c.outcome IN ('timed_out', 'connection_lost')",
    "not_connected": "c.outcome = 'not_connected'",
    "cancelled": "c.outcome = 'cancelled'",
    "simulated": "c.simulated",
    "confirmed": "c.confirmation = 'confirmed'",
    "not_seen": "c.confirmation = 'not_seen'",
}
COUNTS = ("commands", *_CONDITIONS)
COUNTED = ", ".join(
    f"count(*) FILTER (WHERE {condition}) AS {name}"
    for name, condition in {"commands": "true", **_CONDITIONS}.items()
)

# An update of the progress or the report of a command changes no count. Rows of stale days are only appended.
MARKS = f"""
CREATE FUNCTION commands_succeeds(response text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF response IS NULL OR left(response, 1) <> '{{' THEN
        RETURN response IS NOT NULL;
    END IF;
    IF coalesce(response::json ->> 'status', 'Accepted') NOT IN ({_SUCCESSES}) THEN
        RETURN false;
    END IF;
    RETURN response NOT LIKE '%attributeStatus%' OR NOT EXISTS (
        SELECT FROM json_each(response::json) AS member, json_array_elements(
            CASE json_typeof(member.value) WHEN 'array' THEN member.value ELSE '[]' END) AS part
        WHERE json_typeof(part) = 'object' AND part ->> 'attributeStatus' NOT IN ({_SUCCESSES}));
END $$;

CREATE FUNCTION commands_mark_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commands_stalecommandday (charger_id, day)
        VALUES (NEW.charger_id, (NEW.created_at AT TIME ZONE 'UTC')::date);
    RETURN NULL;
END $$;
CREATE TRIGGER command_finished AFTER UPDATE ON commands_command FOR EACH ROW
    WHEN (NEW.state = 'finished' AND (NEW.state, NEW.outcome, NEW.simulated, NEW.confirmation)
        IS DISTINCT FROM (OLD.state, OLD.outcome, OLD.simulated, OLD.confirmation))
    EXECUTE FUNCTION commands_mark_day();
CREATE TRIGGER command_imported AFTER INSERT ON commands_command FOR EACH ROW
    WHEN (NEW.state = 'finished') EXECUTE FUNCTION commands_mark_day();

CREATE FUNCTION commands_keep_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commands_deletedcommands (charger_id, action, quarter, {", ".join(COUNTS)})
        SELECT c.charger_id, c.action, date_bin('15 minutes', c.created_at, '2000-01-01Z'), {COUNTED}
        FROM deleted c WHERE c.state = 'finished' GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;
CREATE TRIGGER commands_deleted AFTER DELETE ON commands_command REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION commands_keep_counts();

{marks_of_chargers("commands_stalecommandday", "charger_moved_commands", "zone_changed_commands")}
"""
NO_MARKS = """
DROP TRIGGER zone_changed_commands ON chargers_site;
DROP TRIGGER charger_moved_commands ON chargers_charger;
DROP TRIGGER commands_deleted ON commands_command;
DROP FUNCTION commands_keep_counts;
DROP TRIGGER command_imported ON commands_command;
DROP TRIGGER command_finished ON commands_command;
DROP FUNCTION commands_mark_day;
DROP FUNCTION commands_succeeds;
"""


class CommandCounts(models.Model):
    """Counts of finished commands of a charger and an action."""

    charger = models.ForeignKey(Charger, models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    action = models.CharField(max_length=40)
    commands = models.PositiveIntegerField()
    accepted = models.PositiveIntegerField(help_text="Answered with a status of success, or with none.")
    refused = models.PositiveIntegerField(help_text="Answered with another status.")
    failed = models.PositiveIntegerField(help_text="Answered with a CALLERROR or an invalid response, or failed.")
    timed_out = models.PositiveIntegerField(help_text="Sent, and not answered in time or until the connection ended.")
    not_connected = models.PositiveIntegerField()
    cancelled = models.PositiveIntegerField()
    simulated = models.PositiveIntegerField(help_text="With a simulated result.")
    confirmed = models.PositiveIntegerField(help_text="The effect was seen.")
    not_seen = models.PositiveIntegerField(help_text="The effect was looked for, and not seen.")

    class Meta:
        abstract = True


class CommandDayTotal(CommandCounts):
    """The commands that were submitted on `day`, a local day, and have finished (`services.command_totals`)."""

    day = models.DateField()

    class Meta:
        ordering = ["day", "charger", "action"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["charger", "day", "action"], name="one_row_a_day_of_commands")]
        indexes = [models.Index(fields=["day"], name="command_totals_by_day")]


class CommandMonthTotal(CommandCounts):
    """The sums of the day totals of a month."""

    month = models.DateField(help_text="Its first day.")

    class Meta:
        ordering = ["month", "charger", "action"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["charger", "month", "action"], name="one_row_a_month_of_commands")
        ]
        indexes = [models.Index(fields=["month"], name="command_totals_by_month")]


class DeletedCommands(CommandCounts):
    """The commands of a quarter of an hour that were deleted. A trigger inserts a row for each statement.

    Days of all time zones begin with a quarter of an hour, so the totals of these can be computed again. Hourly
    maintenance merges the rows of a quarter (`services.command_totals.merge_deleted`). A quarter stays one, whatever
    its age, because it belongs to another local day when its charger moves or the zone of its site changes.
    """

    quarter = models.DateTimeField(help_text="When the quarter of an hour began in which they were submitted.")
    is_merged = models.BooleanField(
        default=False, db_default=False, help_text="The one row of its quarter; others are added to it."
    )

    class Meta:
        ordering = ["quarter", "charger", "action"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["charger", "quarter", "action"],
                condition=models.Q(is_merged=True),
                name="one_merged_row_a_quarter_of_commands",
            )
        ]
        indexes = [
            models.Index(fields=["charger", "quarter"], name="deleted_commands_of_charger"),
            models.Index(fields=["id"], condition=models.Q(is_merged=False), name="deleted_commands_to_merge"),
        ]


class StaleCommandDay(Stale):
    """A day whose commands have changed."""
