"""An index for each filter of the admin and the API, and none that another makes superfluous."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0003_room'),
        ('transactions', '0003_partitions'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='transaction',
            name='transactions_under_way',
        ),
        migrations.AlterField(
            model_name='metervalue',
            name='charger',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, to='chargers.charger'),
        ),
        migrations.AlterField(
            model_name='transaction',
            name='charger',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='transactions', to='chargers.charger'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(condition=models.Q(('clock_skew', True)), fields=['id'], name='transactions_with_clock_skew'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(condition=models.Q(('closed_at__isnull', False)), fields=['id'], name='transactions_closed_by_hand'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(condition=models.Q(('stop_received_at', None)), fields=['charger', 'connector_id'], name='transactions_without_stop'),
        ),
    ]
