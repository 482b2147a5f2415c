from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0014_sealed_webhook_secrets'),
        ('transactions', '0006_energy_by_evidence'),
    ]

    operations = [
        migrations.AddField(
            model_name='metervalue',
            name='message_hash',
            field=models.IntegerField(blank=True, editable=False, help_text='Of the message id: a message that is sent again is found by it.', null=True),
        ),
        migrations.AddField(
            model_name='transaction',
            name='read_until',
            field=models.DateTimeField(blank=True, editable=False, help_text='Time of the newest reading.', null=True),
        ),
    ]
