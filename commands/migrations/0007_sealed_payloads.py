from django.db import migrations, models

import commands.fields


class Migration(migrations.Migration):

    dependencies = [
        ("commands", "0006_batches"),
    ]

    operations = [
        # The column keeps its name and its type: processes of the version before find no upload that is on its way.
        migrations.AlterField(
            model_name="upload",
            name="token",
            field=models.CharField(db_column="token", editable=False, max_length=64, unique=True),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField(model_name="upload", old_name="token", new_name="token_hash"),
            ]
        ),
        *(
            migrations.AlterField(model_name=model, name="payload", field=commands.fields.PayloadField())
            for model in ("batch", "command", "schedule")
        ),
    ]
