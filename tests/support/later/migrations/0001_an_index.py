from django.db import migrations, models

from core.db.indexes import AddIndexBesideWriters


class AddIndexOfReadings(AddIndexBesideWriters):
    """An index of a model of another app than that of the migration."""

    def state_forwards(self, app_label, state):
        super().state_forwards("transactions", state)

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        super().database_forwards("transactions", schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("transactions", "0001_initial")]

    operations = [AddIndexOfReadings("reading", models.Index(fields=["received_at"], name="readings_by_receipt"))]
