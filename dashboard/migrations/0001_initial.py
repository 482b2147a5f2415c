from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='FleetMinute',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(unique=True)),
                ('connected', models.PositiveIntegerField()),
                ('charging', models.PositiveIntegerField()),
                ('faulted', models.PositiveIntegerField()),
                ('power_w', models.BigIntegerField()),
                ('energy_today_wh', models.BigIntegerField(help_text='Charged since midnight, in TIME_ZONE_DISPLAY.')),
            ],
            options={
                'ordering': ['-at'],
            },
        ),
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
            ],
        ),
    ]
