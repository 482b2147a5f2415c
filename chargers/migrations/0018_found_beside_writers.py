from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations, models

from core.db.indexes import AddIndexBesideWriters


class Migration(migrations.Migration):
    """These tables may have millions of rows."""

    atomic = False

    dependencies = [
        ('chargers', '0017_chargers_take_turns'),
    ]

    operations = [
        AddIndexBesideWriters(
            model_name='datatransfer',
            index=models.Index(fields=['charger', 'call_id'], name='data_transfer_by_call'),
        ),
        AddIndexBesideWriters(
            model_name='securityevent',
            index=models.Index(fields=['charger', 'call_id'], name='security_event_by_call'),
        ),
        AddIndexBesideWriters(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['webhook', 'charger', 'event'], name='deliveries_by_turn'),
        ),
        RemoveIndexConcurrently(
            model_name='delivery',
            name='deliveries_in_turn',
        ),
    ]
