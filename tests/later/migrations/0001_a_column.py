from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("chargers", "0001_initial")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE chargers_charger ADD COLUMN later integer", "ALTER TABLE chargers_charger DROP COLUMN later"
        )
    ]
