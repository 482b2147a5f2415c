"""Totals of the sessions of a day, for reports."""

from django.db import models

from chargers.models import Charger

# A session that ends, or is changed after its end, by whichever statement, notes the day that must be computed again.
# The condition is evaluated by the update. It is false for open sessions, which are nearly all that are updated. Rows
# are only appended, because a unique one would make batches wait for each other. The day is that of UTC, so that no
# zone is looked up: the local day is the same one, the one before or the one after.
_COLUMNS = (
    *("charger_id", "start_time", "id_tag", "id_token_type", "stop_time", "corrected_stop_time"),
    *("energy_wh", "total_cost", "currency", "stop_reason", "stop_received_at", "closed_at"),
)


def _row(name: str) -> str:
    return f"({', '.join(f'{name}.{column}' for column in _COLUMNS)})"


def _has_ended(name: str) -> str:
    return f"num_nonnulls({name}.stop_received_at, {name}.closed_at) > 0"


def marks_of_chargers(stale: str, moved: str, zone_changed: str) -> str:
    """Return the triggers that mark all days of a charger in the table `stale` when its local days become others."""
    return f"""CREATE TRIGGER {moved} AFTER UPDATE OF site_id ON chargers_charger FOR EACH ROW
    WHEN (OLD.site_id IS DISTINCT FROM NEW.site_id) EXECUTE FUNCTION transactions_mark_charger('{stale}');
CREATE TRIGGER {zone_changed} AFTER UPDATE OF time_zone ON chargers_site FOR EACH ROW
    WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone) EXECUTE FUNCTION transactions_mark_charger('{stale}');"""


MARKS = f"""
CREATE FUNCTION transactions_mark_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO transactions_staleday (charger_id, day)
            VALUES (OLD.charger_id, (OLD.start_time AT TIME ZONE 'UTC')::date);
    END IF;
    IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE'
            AND (NEW.charger_id, NEW.start_time) IS DISTINCT FROM (OLD.charger_id, OLD.start_time) THEN
        INSERT INTO transactions_staleday (charger_id, day)
            VALUES (NEW.charger_id, (NEW.start_time AT TIME ZONE 'UTC')::date);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER session_changed AFTER UPDATE ON transactions_transaction FOR EACH ROW
    WHEN (({_has_ended("NEW")} OR {_has_ended("OLD")}) AND {_row("OLD")} IS DISTINCT FROM {_row("NEW")})
    EXECUTE FUNCTION transactions_mark_day();
CREATE TRIGGER session_imported AFTER INSERT ON transactions_transaction FOR EACH ROW
    WHEN ({_has_ended("NEW")}) EXECUTE FUNCTION transactions_mark_day();
CREATE TRIGGER session_deleted AFTER DELETE ON transactions_transaction FOR EACH ROW
    WHEN ({_has_ended("OLD")}) EXECUTE FUNCTION transactions_mark_day();

CREATE FUNCTION transactions_mark_charger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO %I (charger_id) SELECT id FROM chargers_charger WHERE %I = $1', TG_ARGV[0],
        CASE TG_TABLE_NAME WHEN 'chargers_charger' THEN 'id' ELSE 'site_id' END) USING NEW.id;
    RETURN NULL;
END $$;
{marks_of_chargers("transactions_staleday", "charger_moved", "zone_changed")}
"""
NO_MARKS = """
DROP TRIGGER zone_changed ON chargers_site;
DROP TRIGGER charger_moved ON chargers_charger;
DROP FUNCTION transactions_mark_charger;
DROP TRIGGER session_deleted ON transactions_transaction;
DROP TRIGGER session_imported ON transactions_transaction;
DROP TRIGGER session_changed ON transactions_transaction;
DROP FUNCTION transactions_mark_day;
"""


class Sums(models.Model):
    """Sums over ended sessions of a charger and currency. `energy_wh` sums the known energies."""

    charger = models.ForeignKey(Charger, models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    currency = models.CharField(max_length=3, help_text="Empty for sessions without a cost.")
    sessions = models.PositiveIntegerField()
    charged = models.PositiveIntegerField(help_text="Sessions with an energy above 0.")
    succeeded = models.PositiveIntegerField(help_text="Those of them that ended for a usual reason.")
    without_energy = models.PositiveIntegerField(help_text="Sessions whose energy is unknown.")
    energy_wh = models.BigIntegerField()
    duration_s = models.BigIntegerField()
    cost = models.DecimalField(max_digits=20, decimal_places=2)

    class Meta:
        abstract = True


class DayTotal(Sums):
    """The sessions of a tag that began on `day`, a local day (`services.day_totals`).

    It is computed from the sessions, and can be computed again at any time.
    """

    day = models.DateField()
    id_tag = models.CharField(max_length=255, help_text="As it may be shown: a PIN is hidden.")

    class Meta:
        ordering = ["day", "charger", "id_tag"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["charger", "day", "id_tag", "currency"], name="one_row_a_day_total")
        ]
        indexes = [models.Index(fields=["day"], name="day_totals_by_day")]


class MonthTotal(Sums):
    """The sums of the day totals of a month, because a year of a large fleet has as many of these as sessions."""

    month = models.DateField(help_text="Its first day.")

    class Meta:
        ordering = ["month", "charger"]
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["charger", "month", "currency"], name="one_row_a_month_total")]
        indexes = [models.Index(fields=["month"], name="month_totals_by_month")]


class Stale(models.Model):
    """A day (UTC) of a charger whose rows have changed, or all its days if `day` is NULL. Triggers insert it."""

    charger = models.ForeignKey(Charger, models.CASCADE, db_constraint=False, db_index=False, related_name="+")
    day = models.DateField(null=True)

    class Meta:
        abstract = True
        default_permissions = ()


class StaleDay(Stale):
    """A day whose sessions have changed."""
