"""Room in the pages of what is updated with every message: an update stays on its page and touches no index."""

from django.db import migrations

ROOM = """
ALTER TABLE chargers_charger SET (fillfactor = 50);
ALTER TABLE chargers_connector SET (fillfactor = 50);
"""
NO_ROOM = """
ALTER TABLE chargers_charger RESET (fillfactor);
ALTER TABLE chargers_connector RESET (fillfactor);
"""


class Migration(migrations.Migration):
    dependencies = [("chargers", "0002_everything_of_1_6")]
    operations = [
        migrations.RunSQL(ROOM, NO_ROOM),
        # Who is not accepted is told by the statement that ends each batch, from rows in hand.
        migrations.RemoveIndex("Charger", "chargers_not_accepted"),
    ]
