import commands.fields
import commands.models.command
import commands.models.library
import core.db.sealing
import django.db.models.deletion
import django.db.models.functions.datetime
import timezone_field.fields
import uuid
from django.conf import settings
from django.db import migrations, models

# Numbers that this system assigns, each once.
SEQUENCES = ("commands_charging_profile_id", "commands_request_id")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('chargers', '0001_initial'),
        ('django_celery_beat', '0019_alter_periodictasks_options'),
        ('transactions', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *(migrations.RunSQL(f"CREATE SEQUENCE {name} AS integer", f"DROP SEQUENCE {name}") for name in SEQUENCES),
        migrations.CreateModel(
            name='Batch',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('intent', models.CharField(blank=True, max_length=20)),
                ('action', models.CharField(blank=True, max_length=40)),
                ('payload', commands.fields.PayloadField(help_text='The parameters of the intent, or the OCPP request of the action.')),
                ('timeout', models.FloatField(blank=True, help_text='Seconds each charger has to answer.', null=True)),
                ('chosen', commands.fields.OrderedJSONField(help_text='The list or the filter of chargers, as submitted.')),
                ('total', models.PositiveIntegerField(help_text='Number of chargers of the batch.')),
                ('spread_seconds', models.PositiveIntegerField(default=0, help_text='Seconds over which the commands are spread.')),
                ('start_at', models.DateTimeField(help_text='When the first charger gets its command.')),
                ('note', models.CharField(blank=True, max_length=255)),
                ('requested_by', models.CharField(blank=True, max_length=150)),
                ('idempotency_key', models.CharField(blank=True, max_length=255)),
                ('request_digest', models.CharField(blank=True, editable=False, max_length=64)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('cancelled_at', models.DateTimeField(blank=True, null=True)),
                ('cancelled_by', models.CharField(blank=True, max_length=150)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('counts', commands.fields.OrderedJSONField(blank=True, editable=False, null=True)),
            ],
            options={
                'verbose_name_plural': 'batches',
                'ordering': ['-created_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='ChargingProfile',
            fields=[
                ('id', models.IntegerField(default=commands.models.library.next_profile_id, editable=False, primary_key=True, serialize=False, verbose_name='charging profile id')),
                ('description', models.CharField(max_length=255, unique=True)),
                ('profile', commands.fields.OrderedJSONField(help_text='csChargingProfiles of OCPP 1.6 or chargingProfile of 2.0.1, without its id.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
            ],
            options={
                'ordering': ['description'],
            },
        ),
        migrations.CreateModel(
            name='Firmware',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('description', models.CharField(max_length=255, unique=True)),
                ('file', models.FileField(upload_to='firmware/')),
                ('signing_certificate', models.TextField(blank=True, help_text='PEM', max_length=5500)),
                ('signature', models.CharField(blank=True, help_text='Base64', max_length=800)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'firmware',
                'ordering': ['description'],
            },
            bases=(commands.models.library.HasFile, models.Model),
        ),
        migrations.CreateModel(
            name='Command',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('task_id', models.CharField(default=commands.models.command.new_task_id, editable=False, max_length=36)),
                ('ocpp_version', models.CharField(editable=False, help_text='The version of action and payload.', max_length=20)),
                ('action', models.CharField(max_length=40)),
                ('payload', commands.fields.PayloadField()),
                ('timeout', models.FloatField(help_text='Seconds that the charger has to answer after the command is sent.')),
                ('state', models.CharField(choices=[('queued', 'queued'), ('sent', 'sent'), ('finished', 'finished')], default='queued', max_length=10)),
                ('outcome', models.CharField(blank=True, choices=[('answered', 'answered'), ('call_error', 'call_error'), ('invalid_response', 'invalid_response'), ('timed_out', 'timed_out'), ('not_connected', 'not_connected'), ('connection_lost', 'connection_lost'), ('cancelled', 'cancelled'), ('failed', 'failed')], max_length=20)),
                ('simulated', models.BooleanField(default=False)),
                ('response', commands.fields.OrderedJSONField(blank=True, null=True)),
                ('simulated_response', commands.fields.OrderedJSONField(blank=True, null=True)),
                ('error', commands.fields.OrderedJSONField(blank=True, help_text='code, description, details', null=True)),
                ('late_response', commands.fields.OrderedJSONField(blank=True, help_text='Received after the task was finished.', null=True)),
                ('warning', models.TextField(blank=True)),
                ('request_id', models.IntegerField(blank=True, editable=False, help_text='Id of this command in notifications of the charger.', null=True)),
                ('progress', commands.fields.OrderedJSONField(db_default=models.Value([], commands.fields.OrderedJSONField()), default=list, editable=False, help_text='Notifications of the charger: status, at.')),
                ('report', commands.fields.OrderedJSONField(blank=True, editable=False, help_text='The whole report that was delivered, if it is small.', null=True)),
                ('retry_full', models.BooleanField(db_default=False, default=False, help_text='Send a Full list if a Differential one fails.')),
                ('claim_token', models.CharField(blank=True, editable=False, help_text='Token of the socket that sent it.', max_length=32)),
                ('requested_by', models.CharField(blank=True, max_length=150)),
                ('idempotency_key', models.CharField(blank=True, max_length=255)),
                ('request_digest', models.CharField(blank=True, editable=False, max_length=64)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('completed_at', models.DateTimeField(blank=True, editable=False, help_text='When the charger reported the end of its delivery; if nothing is delivered, when finished.', null=True)),
                ('confirmation', models.CharField(choices=[('pending', 'pending'), ('confirmed', 'confirmed'), ('not_seen', 'not_seen'), ('not_applicable', 'not_applicable')], db_default='not_applicable', default='not_applicable', editable=False, help_text='Whether its effect was seen after the answer.', max_length=14)),
                ('confirmed_at', models.DateTimeField(blank=True, editable=False, help_text='When its effect was seen.', null=True)),
                ('confirmation_detail', models.TextField(blank=True, db_default='', default='', editable=False, help_text='What was seen, or was expected and not seen.')),
                ('confirm_until', models.DateTimeField(blank=True, editable=False, help_text='Until when its effect is looked for.', null=True)),
                ('look_at', models.DateTimeField(editable=False, help_text='When its effect is looked for next.', null=True)),
                ('noted', commands.fields.OrderedJSONField(editable=False, help_text='What was known before its effect.', null=True)),
                ('charger', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='chargers.charger')),
                ('follows', models.ForeignKey(blank=True, help_text='Command that caused this one.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='followed_by', to='commands.command')),
                ('transaction', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='commands', to='transactions.transaction')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='CertificateRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('certificate_type', models.TextField(blank=True, db_default='', default='', help_text='As the charger sent it; always empty in OCPP 1.6.')),
                ('common_name', models.CharField(max_length=255)),
                ('csr', models.TextField(verbose_name='signing request')),
                ('state', models.CharField(choices=[('Received', 'Received'), ('Signed', 'Signed'), ('Accepted', 'Accepted'), ('Rejected', 'Rejected'), ('Failed', 'Failed'), ('Revoked', 'Revoked')], default='Received', max_length=10)),
                ('error', models.TextField(blank=True)),
                ('certificate_chain', models.TextField(blank=True)),
                ('serial_number', models.CharField(blank=True, db_index=True, max_length=40)),
                ('not_after', models.DateTimeField(blank=True, null=True)),
                ('renewal_requested_at', models.DateTimeField(blank=True, help_text='When the charger was last asked to renew the certificate.', null=True)),
                ('received_at', models.DateTimeField()),
                ('charger', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='certificate_requests', to='chargers.charger')),
                ('command', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to='commands.command')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='BatchItem',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('due_at', models.DateTimeField()),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('created', 'created'), ('cancelled', 'cancelled'), ('refused', 'refused')], default='waiting', max_length=10)),
                ('reason', models.TextField(blank=True, help_text='Why it was refused.')),
                ('batch', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='commands.batch')),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
                ('command', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='batch_item', to='commands.command')),
            ],
            options={
                'verbose_name': 'charger of a batch',
                'verbose_name_plural': 'chargers of batches',
                'ordering': ['id'],
            },
        ),
        migrations.CreateModel(
            name='LocalList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.IntegerField()),
                ('entries', commands.fields.OrderedJSONField(help_text='As on the wire, each with the information about its token.')),
                ('accepted_at', models.DateTimeField(auto_now=True)),
                ('charger', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='local_list', to='chargers.charger')),
            ],
        ),
        migrations.CreateModel(
            name='Schedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('intent', models.CharField(blank=True, max_length=20)),
                ('action', models.CharField(blank=True, max_length=40)),
                ('payload', commands.fields.PayloadField(help_text='The parameters of the intent, or the OCPP request of the action.')),
                ('timeout', models.FloatField(blank=True, null=True)),
                ('chosen', commands.fields.OrderedJSONField(help_text='List or filter of chargers, evaluated at each run.')),
                ('only_connected', models.BooleanField(default=False)),
                ('spread_seconds', models.PositiveIntegerField(default=0)),
                ('at', models.DateTimeField(blank=True, help_text='Time of a single run.', null=True)),
                ('every_seconds', models.PositiveIntegerField(blank=True, help_text='Seconds between repeated runs.', null=True)),
                ('crontab', models.CharField(blank=True, help_text='minute hour day month weekday', max_length=100)),
                ('timezone', timezone_field.fields.TimeZoneField(default='UTC', help_text='Time zone of the crontab.')),
                ('is_enabled', models.BooleanField(default=True)),
                ('requested_by', models.CharField(blank=True, editable=False, max_length=150)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_run_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('next_run_at', models.DateTimeField(blank=True, db_index=True, editable=False, null=True)),
                ('note', models.TextField(blank=True, editable=False, help_text='Why the last run created no batch.')),
                ('owner', models.ForeignKey(blank=True, help_text='User whose permissions apply: the last one who changed the schedule.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('periodic_task', models.OneToOneField(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='django_celery_beat.periodictask')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.AddField(
            model_name='batch',
            name='schedule',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='batches', to='commands.schedule'),
        ),
        migrations.CreateModel(
            name='Upload',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token_hash', models.CharField(db_column='token', editable=False, max_length=64, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('file', models.FileField(blank=True, max_length=400, upload_to=commands.models.library.upload_path)),
                ('size', models.BigIntegerField(blank=True, null=True, verbose_name='size (bytes)')),
                ('received_at', models.DateTimeField(blank=True, null=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uploads', to='chargers.charger')),
                ('command', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='upload', to='commands.command')),
            ],
            options={
                'ordering': ['-id'],
            },
            bases=(commands.models.library.HasFile, models.Model),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(fields=['charger', '-id'], name='commands_of_charger'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(('state', 'finished'), _negated=True), fields=['charger', 'id'], name='unfinished_commands'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(fields=['created_at'], name='commands_by_time'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(fields=['action', '-id'], name='commands_by_action'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(fields=['outcome', '-id'], name='commands_by_outcome'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(('action', 'RemoteStartTransaction'), ('transaction', None)), fields=['charger', 'sent_at'], name='remote_starts_without_sequel'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(models.Q(('state', 'finished'), _negated=True), ('requested_by', 'central system')), fields=['created_at'], name='commands_of_our_own'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(('confirmation', 'pending')), fields=['look_at'], name='commands_to_confirm'),
        ),
        migrations.AddIndex(
            model_name='command',
            index=models.Index(condition=models.Q(('confirmation', 'not_seen')), fields=['-id'], name='commands_not_confirmed'),
        ),
        migrations.AddConstraint(
            model_name='command',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'sent')), fields=('charger',), name='one_sent_command_a_charger'),
        ),
        migrations.AddConstraint(
            model_name='command',
            constraint=models.UniqueConstraint(fields=('task_id',), name='one_command_a_task'),
        ),
        migrations.AddConstraint(
            model_name='command',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), fields=('requested_by', 'idempotency_key'), name='one_command_an_idempotency_key'),
        ),
        migrations.AddIndex(
            model_name='certificaterequest',
            index=models.Index(condition=models.Q(('state', 'Received')), fields=['id'], name='requests_to_be_signed'),
        ),
        migrations.AddIndex(
            model_name='batchitem',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['due_at'], name='waiting_batch_items'),
        ),
        migrations.AddConstraint(
            model_name='batchitem',
            constraint=models.UniqueConstraint(fields=('batch', 'charger'), name='one_command_a_charger_of_a_batch'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(fields=['-created_at'], name='batches_by_time'),
        ),
        migrations.AddIndex(
            model_name='batch',
            index=models.Index(condition=models.Q(('finished_at', None)), fields=['id'], name='unfinished_batches'),
        ),
        migrations.AddConstraint(
            model_name='batch',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key', ''), _negated=True), fields=('requested_by', 'idempotency_key'), name='one_batch_an_idempotency_key'),
        ),
        migrations.CreateModel(
            name='ReportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(max_length=40)),
                ('request_id', models.BigIntegerField(help_text='The id of the command that requested the report.')),
                ('seq_no', models.BigIntegerField(help_text='Empty for messages that are not numbered.', null=True)),
                ('is_last', models.BooleanField()),
                ('items', commands.fields.OrderedJSONField(help_text='The list in the message, without secrets.')),
                ('digest', models.CharField(editable=False, help_text='Of the items.', max_length=32)),
                ('received_at', models.DateTimeField()),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='report_parts', to='chargers.charger')),
            ],
            options={
                'ordering': ['charger', 'action', 'request_id', 'seq_no', 'id'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('charger', 'action', 'request_id', 'seq_no', 'digest'), name='one_row_a_report_part', nulls_distinct=False)],
            },
        ),
        migrations.CreateModel(
            name='DisplayMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('message_id', models.BigIntegerField(help_text='Its id at the charger.')),
                ('priority', models.TextField(blank=True, help_text='AlwaysFront, InFront or NormalCycle.')),
                ('state', models.TextField(blank=True, help_text='The state of the charger in which it is shown; empty: any.')),
                ('start_at', models.DateTimeField(blank=True, null=True)),
                ('end_at', models.DateTimeField(blank=True, help_text='When the charger removes it.', null=True)),
                ('transaction_reference', models.TextField(blank=True, help_text='The transaction at whose end it is removed.')),
                ('format', models.TextField(blank=True, help_text='ASCII, HTML, URI or UTF8.')),
                ('language', models.TextField(blank=True)),
                ('content', models.TextField(blank=True)),
                ('component', models.TextField(blank=True, help_text='The display; empty: the main one.')),
                ('component_instance', models.TextField(blank=True)),
                ('evse_id', models.IntegerField(blank=True, null=True)),
                ('connector_id', models.IntegerField(blank=True, null=True)),
                ('accepted_at', models.DateTimeField(blank=True, help_text='When the charger accepted it from here.', null=True)),
                ('reported_at', models.DateTimeField(blank=True, help_text='When the charger last reported it.', null=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='display_messages', to='chargers.charger')),
                ('transaction', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='display_messages', to='transactions.transaction')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('charger', 'message_id'), name='one_row_a_display_message')],
            },
        ),
        migrations.CreateModel(
            name='PublishedFirmware',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('checksum', models.TextField(blank=True, help_text='MD5 of the image; empty if no command requested it.')),
                ('location', models.TextField(blank=True, help_text='Where the charger fetches it, without secrets.')),
                ('request_id', models.BigIntegerField(blank=True, help_text='The id of the command that requested it.', null=True)),
                ('status', models.TextField(blank=True, help_text='As the charger last notified it, or Unpublished.')),
                ('locations', commands.fields.OrderedJSONField(default=list, help_text='The URLs under which other chargers can fetch it.')),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='published_firmware', to='chargers.charger')),
            ],
            options={
                'verbose_name_plural': 'published firmware',
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('charger', 'checksum'), name='one_row_a_published_firmware')],
            },
        ),
        migrations.CreateModel(
            name='CustomerInformationPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq_no', models.BigIntegerField()),
                ('is_last', models.BooleanField()),
                ('data', core.db.sealing.SealedField()),
                ('received_at', models.DateTimeField()),
                ('command', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='customer_information', to='commands.command')),
            ],
            options={
                'ordering': ['command', 'seq_no'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('command', 'seq_no'), name='one_row_a_customer_information_part')],
            },
        ),
        migrations.CreateModel(
            name='EVChargingNeeds',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evse_id', models.PositiveIntegerField()),
                ('status', models.CharField(help_text='The answer: Accepted, Processing or Rejected.', max_length=10)),
                ('reason', models.TextField(blank=True, help_text='Why it was rejected.')),
                ('received_at', models.DateTimeField()),
                ('energy_transfer', models.TextField(help_text='DC, AC_single_phase, AC_two_phase or AC_three_phase.')),
                ('departure_time', models.DateTimeField(blank=True, null=True)),
                ('energy_wh', models.BigIntegerField(blank=True, null=True, verbose_name='energy needed (Wh)')),
                ('max_rate', models.FloatField(blank=True, help_text='What the vehicle can take: watts, for AC amperes per phase.', null=True)),
                ('max_periods', models.BigIntegerField(blank=True, help_text='Of a schedule for the vehicle.', null=True)),
                ('parameters', commands.fields.OrderedJSONField(help_text='The charging parameters as the charger sent them.')),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
                ('command', models.ForeignKey(blank=True, help_text='The SetChargingProfile that followed.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='commands.command')),
                ('transaction', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='transactions.transaction')),
            ],
            options={
                'verbose_name': 'charging needs',
                'verbose_name_plural': 'charging needs',
                'ordering': ['-id'],
                'abstract': False,
                'indexes': [models.Index(fields=['transaction', '-id'], name='charging_needs_of_transaction')],
            },
        ),
        migrations.CreateModel(
            name='EVChargingSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evse_id', models.PositiveIntegerField()),
                ('status', models.CharField(help_text='The answer: Accepted, Processing or Rejected.', max_length=10)),
                ('reason', models.TextField(blank=True, help_text='Why it was rejected.')),
                ('received_at', models.DateTimeField()),
                ('begins_at', models.DateTimeField()),
                ('schedule', commands.fields.OrderedJSONField(help_text='The schedule as the charger sent it.')),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
                ('command', models.ForeignKey(blank=True, help_text='The SetChargingProfile that followed.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='commands.command')),
                ('transaction', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='transactions.transaction')),
            ],
            options={
                'verbose_name': 'charging schedule',
                'ordering': ['-id'],
                'abstract': False,
                'indexes': [models.Index(fields=['transaction', '-id'], name='ev_schedules_of_transaction')],
            },
        ),
        migrations.CreateModel(
            name='ContractRoot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('certificate', models.TextField(help_text='PEM')),
                ('fingerprint', models.CharField(editable=False, help_text='SHA-256 in hex digits.', max_length=64, unique=True)),
                ('subject', models.TextField(editable=False)),
                ('serial_number', models.CharField(editable=False, max_length=40)),
                ('not_after', models.DateTimeField(editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['subject', 'id'],
            },
        ),
        migrations.CreateModel(
            name='CertificateInquiry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(max_length=40)),
                ('subject', models.TextField(help_text='A serial number in hex digits, an eMAID, or Install or Update.')),
                ('server', models.TextField(blank=True, help_text='The server that was asked, without its login.')),
                ('status', models.TextField(help_text='As it was answered to the charger.')),
                ('detail', models.TextField(blank=True, help_text='Why it is no other status.')),
                ('call_id', models.CharField(editable=False, max_length=36)),
                ('received_at', models.DateTimeField()),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='certificate_inquiries', to='chargers.charger')),
            ],
            options={
                'verbose_name_plural': 'certificate inquiries',
                'ordering': ['-id'],
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('charger', 'call_id'), name='one_row_a_certificate_inquiry')],
            },
        ),
    ]
