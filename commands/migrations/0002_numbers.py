"""The numbers a central system gives to reservations and charging profiles, each given once."""

from django.db import migrations

SEQUENCES = ("commands_reservation_id", "commands_charging_profile_id")


class Migration(migrations.Migration):
    dependencies = [("commands", "0001_initial")]

    operations = [
        migrations.RunSQL(
            f"CREATE SEQUENCE IF NOT EXISTS {name} AS integer", f"DROP SEQUENCE IF EXISTS {name}"
        )
        for name in SEQUENCES
    ]
