"""A column that nothing reads, as a later version might add one: it takes ACCESS EXCLUSIVE for a moment."""

from django.db import migrations


class Migration(migrations.Migration):
    operations = [
        migrations.RunSQL(
            "ALTER TABLE chargers_charger ADD COLUMN chaos text",
            "ALTER TABLE chargers_charger DROP COLUMN chaos",
        )
    ]
