from django.db import migrations, models

from core.db.indexes import AddIndexBesideWriters


class Migration(migrations.Migration):
    """The table of meter values may have thousands of millions of rows."""

    atomic = False

    dependencies = [
        ('transactions', '0007_stored_once'),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name='metervalue',
            index=models.Index(fields=['transaction', 'message_hash'], name='readings_of_a_transaction'),
        ),
        AddIndexBesideWriters(
            model_name='metervalue',
            index=models.Index(condition=models.Q(('transaction', None)), fields=['charger', 'connector_id', 'timestamp', 'message_hash'], name='readings_without_transaction'),
        ),
    ]
