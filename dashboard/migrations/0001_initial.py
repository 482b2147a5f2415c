import dashboard.models
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.db.operations import Together


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('chargers', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [Together([
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
        migrations.CreateModel(
            name='Preference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('language', models.CharField(blank=True, choices=[('en', 'English'), ('de', 'Deutsch')], help_text='Empty: the language of the browser.', max_length=10)),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ReportSubscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('report', models.CharField(choices=[('energy', 'energy'), ('sessions', 'sessions'), ('commands', 'commands'), ('availability', 'availability'), ('faults', 'faults')], default='energy', max_length=20)),
                ('group_by', models.CharField(choices=[('site', 'site'), ('charger', 'charger'), ('port', 'port'), ('id_tag', 'id_tag'), ('action', 'action'), ('day', 'day'), ('month', 'month')], default='site', max_length=10)),
                ('every', models.CharField(choices=[('daily', 'daily'), ('weekly', 'weekly'), ('monthly', 'monthly')], default='monthly', max_length=10)),
                ('format', models.CharField(choices=[('csv', 'csv'), ('xlsx', 'xlsx'), ('pdf', 'pdf')], default='pdf', max_length=4)),
                ('language', models.CharField(choices=[('en', 'English'), ('de', 'Deutsch')], default='en', max_length=10)),
                ('recipients', models.TextField(help_text='Addresses, one in each line.', validators=[dashboard.models.are_addresses])),
                ('is_enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('due_at', models.DateTimeField(editable=False, help_text='When the present period ends and its report is sent.')),
                ('retry_at', models.DateTimeField(editable=False)),
                ('sent_at', models.DateTimeField(editable=False, null=True)),
                ('failures', models.PositiveIntegerField(default=0, editable=False, help_text='Attempts since it was last sent.')),
                ('error', models.TextField(blank=True, default='', editable=False)),
                ('owner', models.ForeignKey(editable=False, help_text='Whose reach it has.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('site', models.ForeignKey(blank=True, help_text='Empty: every site.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.site')),
            ],
            options={
                'ordering': ['name', 'id'],
            },
        ),
    ])]
