from django.db import migrations, models

import chargers.models.events
import core.db.sealing


def seal(apps, schema_editor):
    core.db.sealing.reseal([apps.get_model("chargers", "Webhook")])


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0013_charger_over_budget'),
    ]

    operations = [
        migrations.AlterField(
            model_name="webhook",
            name="secret",
            field=core.db.sealing.SealedField(default=chargers.models.events.new_secret, editable=False),
        ),
        migrations.AddField(
            model_name="datatransfer",
            name="sealed_answer",
            field=core.db.sealing.SealedField(
                editable=False, help_text="The data as answered, where it holds a secret.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="datatransfer",
            name="answered_data",
            field=models.TextField(blank=True, help_text="Without secrets."),
        ),
        migrations.RunPython(seal, migrations.RunPython.noop, elidable=True),
    ]
