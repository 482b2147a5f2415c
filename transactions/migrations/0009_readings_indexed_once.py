import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """What the indexes of the migration before make superfluous."""

    dependencies = [
        ('transactions', '0008_readings_by_message'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='metervalue',
            name='readings_of_no_transaction',
        ),
        migrations.AlterField(
            model_name='metervalue',
            name='transaction',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='meter_values', to='transactions.transaction'),
        ),
    ]
