from django.db import migrations

import chargers.models.events
import chargers.sealing


def seal(apps, schema_editor):
    chargers.sealing.reseal([apps.get_model("chargers", "Webhook")])


class Migration(migrations.Migration):

    dependencies = [
        ("chargers", "0011_refused_connections"),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhook",
            name="secret",
            field=chargers.sealing.SealedField(default=chargers.models.events.new_secret, editable=False),
        ),
        migrations.RunPython(seal, migrations.RunPython.noop, elidable=True),
    ]
