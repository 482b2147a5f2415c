from decimal import Decimal

import chargers.models.events
import chargers.models.incidents
import chargers.models.sites
import core.db.sealing
import django.core.serializers.json
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import timezone_field.fields
from django.conf import settings
from django.db import migrations, models

from core.db.operations import Together

# Rows of it are never changed: it has no constraint, and its pages need no room.
MESSAGES = """
CREATE TABLE chargers_message (
    id bigint NOT NULL,
    charger_id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    direction varchar(3) NOT NULL,
    kind varchar(6) NOT NULL,
    action varchar(50) NOT NULL,
    message_id varchar(36) NOT NULL,
    frame text NOT NULL,
    is_error boolean NOT NULL
) PARTITION BY RANGE (at);
CREATE SEQUENCE chargers_message_number OWNED BY chargers_message.id;
ALTER TABLE chargers_message ALTER COLUMN id SET DEFAULT nextval('chargers_message_number');
ALTER TABLE chargers_message ADD PRIMARY KEY (id, at);
CREATE INDEX messages_of_charger ON chargers_message (charger_id, at);
CREATE INDEX messages_by_time ON chargers_message (at);
CREATE INDEX messages_with_errors ON chargers_message (at) WHERE is_error;
CREATE TABLE chargers_message_default PARTITION OF chargers_message DEFAULT;
"""
# An update finds room on the page of its row and touches no index then.
FILLFACTORS = """
ALTER TABLE chargers_charger SET (fillfactor = 50);
ALTER TABLE chargers_connector SET (fillfactor = 50);
"""
DEFAULT_FILLFACTORS = """
ALTER TABLE chargers_charger RESET (fillfactor);
ALTER TABLE chargers_connector RESET (fillfactor);
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [Together([
        migrations.CreateModel(
            name='Site',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('address', models.TextField(blank=True)),
                ('latitude', models.DecimalField(blank=True, decimal_places=6, help_text='Degrees, north is positive.', max_digits=8, null=True, validators=[django.core.validators.MinValueValidator(Decimal('-90')), django.core.validators.MaxValueValidator(Decimal('90'))])),
                ('longitude', models.DecimalField(blank=True, decimal_places=6, help_text='Degrees, east is positive.', max_digits=9, null=True, validators=[django.core.validators.MinValueValidator(Decimal('-180')), django.core.validators.MaxValueValidator(Decimal('180'))])),
                ('time_zone', timezone_field.fields.TimeZoneField(default=chargers.models.sites.default_zone, help_text='An IANA name, such as Europe/Berlin.')),
                ('contacts', models.TextField(blank=True, help_text='Names, telephone numbers and addresses, one in each line.')),
                ('power_limit_w', models.PositiveIntegerField(blank=True, help_text='Power of its grid connection in W. Empty: unknown.', null=True, verbose_name='power limit')),
                ('offline_minutes', models.PositiveIntegerField(blank=True, help_text='Minutes without a connection after which a charger is an incident. Empty: OCPP_OFFLINE_MINUTES.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(43200)])),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('roles', models.ManyToManyField(blank=True, related_name='sites', to='auth.group')),
                ('users', models.ManyToManyField(blank=True, related_name='sites', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Charger',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('identity', models.CharField(help_text='As in its URL; upper and lower case differ.', max_length=255, unique=True)),
                ('description', models.CharField(blank=True, max_length=255)),
                ('site', models.ForeignKey(blank=True, help_text='Where it stands.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='chargers', to='chargers.site')),
                ('authorization_key_hash', models.CharField(blank=True, editable=False, max_length=128)),
                ('next_authorization_key_hashes', models.JSONField(blank=True, db_default=models.Value([], models.JSONField()), default=list, editable=False, help_text='Hashes of keys sent to the charger, the latest last; it may start to use any of them.')),
                ('security_profile', models.PositiveSmallIntegerField(blank=True, choices=[(0, '0: no authentication'), (1, '1: Basic auth'), (2, '2: Basic auth over TLS'), (3, '3: TLS with a client certificate')], help_text='Empty: a key is required if one is set; else it may connect from OCPP_OPEN_NETWORKS only.', null=True)),
                ('next_security_profile', models.PositiveSmallIntegerField(editable=False, help_text='Accepted by the charger, but not used for a connection yet.', null=True)),
                ('boot_policy', models.CharField(choices=[('Accepted', 'Accepted'), ('Pending', 'Pending'), ('Rejected', 'Rejected')], db_default='Accepted', default='Accepted', help_text='The answer to its BootNotification.', max_length=10)),
                ('registration_status', models.CharField(blank=True, db_default='', default='', editable=False, help_text='The answer to its last BootNotification.', max_length=10)),
                ('read_configuration_after_boot', models.BooleanField(db_default=False, default=False, help_text='Read its whole configuration after each boot.')),
                ('message_log', models.CharField(blank=True, choices=[('', 'as set by OCPP_MESSAGE_LOG'), ('off', 'off'), ('errors', 'errors'), ('all', 'all')], db_default='', default='', help_text='Which of its messages are logged. A change takes effect at once.', max_length=6)),
                ('validation', models.CharField(blank=True, choices=[('', 'as set by OCPP_VALIDATION'), ('lenient', 'lenient'), ('strict', 'strict')], db_default='', default='', help_text='Lenient: messages that violate their schema are repaired if possible. Takes effect at once.', max_length=7)),
                ('ping_interval', models.PositiveSmallIntegerField(blank=True, help_text='Seconds between two pings, 0 for none. A change takes effect at once. Empty: OCPP_PING_INTERVAL.', null=True, validators=[django.core.validators.MaxValueValidator(3600)])),
                ('ping_timeout', models.PositiveSmallIntegerField(blank=True, help_text='Seconds after a ping until a charger that sends nothing is disconnected. A change takes effect at once. Empty: OCPP_PING_TIMEOUT.', null=True, validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(3600)])),
                ('boot_wait', models.PositiveSmallIntegerField(blank=True, help_text='Seconds for which commands wait after it has connected, until it sends its first message; 0 for none. A change takes effect at once. Empty: OCPP_BOOT_WAIT.', null=True, validators=[django.core.validators.MaxValueValidator(3600)])),
                ('vendor', models.TextField(blank=True)),
                ('model', models.TextField(blank=True)),
                ('serial_number', models.TextField(blank=True)),
                ('charge_box_serial_number', models.TextField(blank=True)),
                ('firmware_version', models.TextField(blank=True)),
                ('iccid', models.TextField(blank=True, verbose_name='ICCID')),
                ('imsi', models.TextField(blank=True, verbose_name='IMSI')),
                ('meter_type', models.TextField(blank=True)),
                ('meter_serial_number', models.TextField(blank=True)),
                ('last_boot_at', models.DateTimeField(blank=True, null=True)),
                ('boot_reason', models.TextField(blank=True, db_default='', default='', help_text='Empty in OCPP 1.6.')),
                ('firmware_status', models.TextField(blank=True)),
                ('firmware_status_at', models.DateTimeField(blank=True, null=True)),
                ('diagnostics_status', models.TextField(blank=True)),
                ('diagnostics_status_at', models.DateTimeField(blank=True, null=True)),
                ('log_status', models.TextField(blank=True, db_default='', default='')),
                ('log_status_at', models.DateTimeField(blank=True, null=True)),
                ('local_list_version', models.IntegerField(default=0, help_text='Version of the last local list it accepted.')),
                ('ocpp_version', models.CharField(blank=True, db_default='', default='', editable=False, help_text='The subprotocol of its present or last connection, empty if it has never connected.', max_length=20)),
                ('connected_at', models.DateTimeField(blank=True, null=True)),
                ('disconnected_at', models.DateTimeField(blank=True, editable=False, help_text='When its last socket was closed, or was last seen open.', null=True)),
                ('last_seen', models.DateTimeField(blank=True, help_text='Time of its last frame of any kind.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_call_id', models.CharField(blank=True, editable=False, max_length=36)),
                ('last_call_digest', models.CharField(blank=True, editable=False, max_length=32)),
                ('last_answer', models.TextField(blank=True, editable=False)),
            ],
            options={
                'ordering': ['identity'],
            },
        ),
        migrations.CreateModel(
            name='ChargerGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('description', models.CharField(blank=True, max_length=255)),
                ('chargers', models.ManyToManyField(blank=True, related_name='groups', to='chargers.charger')),
                ('roles', models.ManyToManyField(blank=True, related_name='charger_groups', to='auth.group')),
                ('users', models.ManyToManyField(blank=True, related_name='charger_groups', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
                'permissions': [('reach_every_charger', 'Can reach every charger, whatever its group')],
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('charger.online', 'charger.online'), ('charger.offline', 'charger.offline'), ('charger.over_budget', 'charger.over_budget'), ('connector.status', 'connector.status'), ('transaction.started', 'transaction.started'), ('transaction.stopped', 'transaction.stopped'), ('transaction.corrected', 'transaction.corrected'), ('command.finished', 'command.finished'), ('command.completed', 'command.completed'), ('command.confirmed', 'command.confirmed'), ('command.not_seen', 'command.not_seen'), ('security.event', 'security.event'), ('campaign.started', 'campaign.started'), ('campaign.paused', 'campaign.paused'), ('campaign.stopped', 'campaign.stopped'), ('campaign.finished', 'campaign.finished'), ('campaign.item_failed', 'campaign.item_failed'), ('incident.opened', 'incident.opened'), ('incident.acknowledged', 'incident.acknowledged'), ('incident.closed', 'incident.closed'), ('monitoring.event', 'monitoring.event'), ('transaction.updated', 'transaction.updated')], max_length=30)),
                ('at', models.DateTimeField(help_text='When it was recorded.')),
                ('body', models.JSONField()),
                ('charger', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Finding',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('action', models.CharField(blank=True, help_text='Ends with Response for answers to commands.', max_length=60)),
                ('field', models.CharField(blank=True, help_text='Empty for the message as a whole.', max_length=255)),
                ('kind', models.CharField(choices=[('too_long', 'too_long'), ('unknown_field', 'unknown_field'), ('wrong_type', 'wrong_type'), ('not_a_number', 'not_a_number'), ('unknown_value', 'unknown_value'), ('null', 'null'), ('missing', 'missing'), ('bad_item', 'bad_item'), ('out_of_range', 'out_of_range'), ('clock', 'clock'), ('reused', 'reused'), ('unreadable', 'unreadable'), ('rejected', 'rejected')], max_length=20)),
                ('count', models.BigIntegerField(help_text='Messages in which it was found.')),
                ('first_seen', models.DateTimeField()),
                ('last_seen', models.DateTimeField()),
                ('example', models.TextField(blank=True, help_text='The latest value as sent, as JSON; secrets are hidden.')),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='findings', to='chargers.charger')),
            ],
            options={
                'ordering': ['-last_seen', '-id'],
            },
        ),
        migrations.CreateModel(
            name='HeldSerial',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('serial', models.CharField(max_length=64, unique=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='held_serials', to='chargers.charger')),
            ],
            options={
                'verbose_name': 'serial number for certificates',
                'verbose_name_plural': 'serial numbers for certificates',
                'ordering': ['serial'],
            },
        ),
        migrations.CreateModel(
            name='InstalledCertificate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('certificate_type', models.TextField()),
                ('hash_algorithm', models.TextField()),
                ('issuer_name_hash', models.TextField()),
                ('issuer_key_hash', models.TextField()),
                ('serial_number', models.TextField()),
                ('is_reported', models.BooleanField(db_default=False, default=False, help_text="The charger has listed it; its hash algorithm is the charger's.")),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='installed_certificates', to='chargers.charger')),
                ('parent', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='children', to='chargers.installedcertificate')),
            ],
            options={
                'ordering': ['certificate_type', 'id'],
            },
        ),
        migrations.CreateModel(
            name='InstalledProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evse_id', models.PositiveIntegerField(help_text='0 is the charger as a whole. In OCPP 1.6 the connector id.')),
                ('charging_profile_id', models.BigIntegerField()),
                ('stack_level', models.BigIntegerField()),
                ('purpose', models.TextField()),
                ('source', models.TextField(db_default='CSO', default='CSO', help_text='Who set it: CSO is this system.')),
                ('transaction_id', models.IntegerField(blank=True, db_index=True, null=True)),
                ('valid_from', models.DateTimeField(blank=True, null=True)),
                ('valid_to', models.DateTimeField(blank=True, null=True)),
                ('profile', models.JSONField(help_text='As sent or reported.')),
                ('installed_at', models.DateTimeField(auto_now_add=True)),
                ('reported_at', models.DateTimeField(blank=True, help_text='When the charger last reported it.', null=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='installed_profiles', to='chargers.charger')),
            ],
            options={
                'ordering': ['evse_id', 'purpose', '-stack_level'],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(MESSAGES, "DROP TABLE chargers_message")],
            state_operations=[
migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(help_text='When it was received or sent.')),
                ('direction', models.CharField(choices=[('in', 'in'), ('out', 'out')], max_length=3)),
                ('kind', models.CharField(choices=[('call', 'call'), ('result', 'result'), ('error', 'error'), ('other', 'other')], max_length=6)),
                ('action', models.CharField(blank=True, help_text='Action of the call, or of the call that it answers.', max_length=50)),
                ('message_id', models.CharField(blank=True, max_length=36)),
                ('frame', models.TextField(help_text='As sent, except for masked secrets; cut at 16,384 characters.')),
                ('is_error', models.BooleanField(help_text='A CALLERROR, or a frame that was refused.', verbose_name='error')),
                ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='chargers.charger')),
            ],
            options={
                'ordering': ['-at', '-id'],
            },
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['charger', 'at'], name='messages_of_charger'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(fields=['at'], name='messages_by_time'),
        ),
        migrations.AddIndex(
            model_name='message',
            index=models.Index(condition=models.Q(('is_error', True)), fields=['at'], name='messages_with_errors'),
        ),
            ],
        ),
        migrations.CreateModel(
            name='Refusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('charger_id', models.CharField(blank=True, help_text='As in its URL; "" if the path has none.', max_length=255)),
                ('kind', models.CharField(choices=[('unknown', 'no charger with this id is known'), ('credentials', 'its key, certificate or network is not accepted'), ('subprotocol', 'speaks another version of OCPP'), ('upgrade', 'the request is not a WebSocket handshake'), ('path', 'the path names no charger')], max_length=12)),
                ('status', models.PositiveSmallIntegerField(help_text='The HTTP status of the last answer.')),
                ('reason', models.CharField(help_text='The text of the last answer.', max_length=500)),
                ('address', models.CharField(blank=True, help_text='Address of the last handshake.', max_length=45)),
                ('count', models.PositiveBigIntegerField()),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'verbose_name': 'refused connection',
                'ordering': ['-last_at', '-id'],
                'constraints': [models.UniqueConstraint(fields=('charger_id', 'kind'), name='one_row_a_refusal')],
            },
        ),
        migrations.CreateModel(
            name='SecurityEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('type', models.TextField()),
                ('timestamp', models.DateTimeField()),
                ('raw_timestamp', models.CharField(blank=True, max_length=64)),
                ('tech_info', models.TextField(blank=True)),
                ('call_id', models.CharField(blank=True, db_default='', editable=False, max_length=36)),
                ('received_at', models.DateTimeField()),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='security_events', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='Webhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('url', models.CharField(max_length=1000, validators=[chargers.models.events.is_url, chargers.models.events.without_login, chargers.models.events.is_reachable], verbose_name='URL')),
                ('secret', core.db.sealing.SealedField(default=chargers.models.events.new_secret, editable=False)),
                ('kinds', models.JSONField(default=chargers.models.events.kept_kinds, help_text='Kinds of events that are sent.')),
                ('is_enabled', models.BooleanField(default=True, help_text='Events that happen while it is disabled are never sent.', verbose_name='enabled')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('group', models.ForeignKey(blank=True, help_text='Send events of its chargers only. Empty: of every charger.', null=True, on_delete=django.db.models.deletion.CASCADE, to='chargers.chargergroup')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('charger', models.BigIntegerField(db_default=0, default=0, help_text='The charger of its event, because chargers take turns.')),
                ('state', models.CharField(choices=[('pending', 'pending'), ('delivered', 'delivered'), ('dead', 'dead')], default='pending', max_length=10)),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0)),
                ('due_at', models.DateTimeField(help_text='Time of the next attempt.')),
                ('answered_status', models.PositiveIntegerField(blank=True, help_text='HTTP status of the last answer.', null=True)),
                ('error', models.CharField(blank=True, db_default='', default='', max_length=300)),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='chargers.event')),
                ('webhook', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='chargers.webhook')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('created', models.DateTimeField(auto_now_add=True)),
                ('expiry', models.DateTimeField(blank=True, null=True)),
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('digest', models.CharField(editable=False, max_length=128, unique=True)),
                ('token_key', models.CharField(db_index=True, editable=False, max_length=25)),
                ('name', models.CharField(help_text='Its purpose, or the place where it is stored.', max_length=100)),
                ('last_used', models.DateTimeField(blank=True, editable=False, help_text='With a precision of one hour.', null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='auth_token_set', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API token',
                'ordering': ['user', 'name'],
                'constraints': [models.UniqueConstraint(fields=('user', 'name'), name='one_token_a_name')],
            },
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_index=True)),
                ('who', models.CharField(blank=True, max_length=150)),
                ('address', models.CharField(blank=True, help_text='Address of the client.', max_length=45)),
                ('action', models.CharField(max_length=20)),
                ('kind', models.CharField(help_text='Kind of the object.', max_length=30)),
                ('name', models.CharField(help_text='Name of the object.', max_length=300)),
                ('before', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('after', models.JSONField(blank=True, encoder=django.core.serializers.json.DjangoJSONEncoder, null=True)),
                ('charger', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, to='chargers.charger')),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['charger', '-id'], name='audit_of_charger'), models.Index(fields=['who', '-id'], name='audit_by_who'), models.Index(fields=['kind', '-id'], name='audit_by_kind')],
            },
        ),
        migrations.CreateModel(
            name='Variable',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('component', models.CharField(blank=True, help_text='Empty for a configuration key of OCPP 1.6.', max_length=100)),
                ('component_instance', models.CharField(blank=True, max_length=100)),
                ('evse_id', models.PositiveIntegerField(blank=True, null=True)),
                ('connector_id', models.PositiveIntegerField(blank=True, null=True)),
                ('variable', models.CharField(max_length=255)),
                ('instance', models.CharField(blank=True, max_length=100)),
                ('attribute', models.CharField(default='Actual', help_text='Actual, Target, MinSet or MaxSet.', max_length=50)),
                ('value', models.TextField(blank=True, null=True)),
                ('mutability', models.CharField(default='ReadWrite', help_text='ReadWrite, ReadOnly or WriteOnly.', max_length=50)),
                ('persistent', models.BooleanField(help_text='Whether it survives a reboot. Empty if not reported.', null=True)),
                ('constant', models.BooleanField(help_text='Whether it never changes. Empty if not reported.', null=True)),
                ('characteristics', models.JSONField(blank=True, help_text='data_type, unit, values_list, min_limit, max_limit and supports_monitoring, as far as reported.', null=True)),
                ('reboot_required', models.BooleanField(default=False, help_text='It takes effect at the next boot.')),
                ('reported_at', models.DateTimeField(auto_now=True, help_text='When it was last reported or accepted.')),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='variables', to='chargers.charger')),
            ],
            options={
                'ordering': ['component', 'component_instance', 'evse_id', 'connector_id', 'variable', 'instance', 'attribute'],
                'constraints': [models.UniqueConstraint(fields=('charger', 'component', 'component_instance', 'evse_id', 'connector_id', 'variable', 'instance', 'attribute'), name='one_row_a_variable', nulls_distinct=False)],
                'indexes': [models.Index(fields=['variable'], name='variables_by_name')],
            },
        ),
        migrations.CreateModel(
            name='Connector',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evse_id', models.PositiveIntegerField(db_default=0, default=0, help_text='In OCPP 1.6 it equals the connector id.')),
                ('connector_id', models.PositiveIntegerField()),
                ('status', models.TextField(help_text='A status of OCPP, or another text that the charger sent.')),
                ('error_code', models.TextField(blank=True, help_text='Empty if it is Faulted without an error code.')),
                ('info', models.TextField(blank=True)),
                ('vendor_id', models.TextField(blank=True)),
                ('vendor_error_code', models.TextField(blank=True)),
                ('timestamp', models.DateTimeField(help_text='Time of the change by the charger, but not later than received_at.')),
                ('raw_timestamp', models.CharField(blank=True, max_length=64)),
                ('received_at', models.DateTimeField()),
                ('scheduled_availability', models.CharField(blank=True, db_default='', default='', help_text='Availability that takes effect when its transaction ends.', max_length=11)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='connectors', to='chargers.charger')),
            ],
            options={
                'ordering': ['evse_id', 'connector_id'],
                'constraints': [models.UniqueConstraint(fields=('charger', 'connector_id', 'evse_id'), name='one_row_a_connector')],
            },
        ),
        migrations.CreateModel(
            name='DataTransfer',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('vendor_id', models.TextField(blank=True)),
                ('message_id', models.TextField(blank=True)),
                ('data', models.TextField(blank=True)),
                ('status', models.CharField(max_length=20)),
                ('answered_data', models.TextField(blank=True, help_text='Without secrets.')),
                ('sealed_answer', core.db.sealing.SealedField(editable=False, help_text='The data as answered, if it contains a secret.', null=True)),
                ('call_id', models.CharField(blank=True, db_default='', editable=False, max_length=36)),
                ('received_at', models.DateTimeField()),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='data_transfers', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['charger', 'call_id'], name='data_transfer_by_call')],
            },
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['charger', '-id'], name='events_of_charger'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['kind', '-id'], name='events_by_kind'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(fields=['at'], name='events_by_time'),
        ),
        migrations.AddIndex(
            model_name='finding',
            index=models.Index(fields=['-last_seen', '-id'], name='findings_by_time'),
        ),
        migrations.AddConstraint(
            model_name='finding',
            constraint=models.UniqueConstraint(fields=('charger', 'action', 'field', 'kind'), name='one_row_a_finding'),
        ),
        migrations.AddConstraint(
            model_name='installedprofile',
            constraint=models.UniqueConstraint(fields=('charger', 'charging_profile_id', 'evse_id'), name='one_row_an_installed_profile'),
        ),
        migrations.AddIndex(
            model_name='securityevent',
            index=models.Index(fields=['charger', 'call_id'], name='security_event_by_call'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['webhook', '-id'], name='deliveries_of_webhook'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['webhook', 'due_at'], name='deliveries_due'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'pending')), fields=['webhook', 'charger', 'event'], name='deliveries_by_turn'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('state', 'delivered'), _negated=True), fields=['state'], name='deliveries_not_taken'),
        ),
        migrations.RunSQL(FILLFACTORS, DEFAULT_FILLFACTORS),
        migrations.CreateModel(
            name='NetworkProfile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slot', models.IntegerField()),
                ('status', models.CharField(help_text='The answer to the last SetNetworkProfile.', max_length=50)),
                ('answered_at', models.DateTimeField(help_text='When it was answered.')),
                ('connection', models.JSONField(blank=True, help_text='The connectionData that was accepted last, without secrets.', null=True)),
                ('security_profile', models.IntegerField(help_text='The one of the connection.', null=True)),
                ('accepted_at', models.DateTimeField(help_text='When the connection was accepted.', null=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='network_profiles', to='chargers.charger')),
            ],
            options={
                'ordering': ['charger', 'slot'],
                'constraints': [models.UniqueConstraint(fields=('charger', 'slot'), name='one_row_a_network_slot')],
            },
        ),
        migrations.CreateModel(
            name='VariableChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('component', models.CharField(blank=True, help_text='Empty for a configuration key of OCPP 1.6.', max_length=100)),
                ('component_instance', models.CharField(blank=True, max_length=100)),
                ('evse_id', models.PositiveIntegerField(blank=True, null=True)),
                ('connector_id', models.PositiveIntegerField(blank=True, null=True)),
                ('variable', models.CharField(max_length=255)),
                ('instance', models.CharField(blank=True, max_length=100)),
                ('attribute', models.CharField(default='Actual', help_text='Actual, Target, MinSet or MaxSet.', max_length=50)),
                ('old_value', models.TextField(null=True)),
                ('new_value', models.TextField(help_text='Empty if the charger no longer has the variable.', null=True)),
                ('source', models.CharField(help_text='The message by which it became known.', max_length=40)),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('charger', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='variable_changes', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['charger', '-id'], name='variable_changes_of_charger'), models.Index(fields=['at'], name='variable_changes_by_time')],
            },
        ),
        migrations.CreateModel(
            name='Monitor',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('component', models.CharField(blank=True, max_length=255)),
                ('component_instance', models.CharField(blank=True, max_length=255)),
                ('evse_id', models.BigIntegerField(blank=True, null=True)),
                ('connector_id', models.BigIntegerField(blank=True, null=True)),
                ('variable', models.CharField(blank=True, max_length=255)),
                ('instance', models.CharField(blank=True, max_length=255)),
                ('monitor_id', models.BigIntegerField(help_text='The id by which the charger names it.')),
                ('type', models.TextField(help_text='UpperThreshold, LowerThreshold, Delta, Periodic or PeriodicClockAligned.')),
                ('value', models.FloatField(blank=True, help_text='A threshold, a difference, or for a periodic one the interval in seconds.', null=True)),
                ('severity', models.BigIntegerField(blank=True, help_text='0 is the most severe, 9 the least.', null=True)),
                ('transaction', models.BooleanField(default=False, help_text='It is active only during a transaction.')),
                ('source', models.TextField(blank=True, help_text='custom, preconfigured or hardwired. Empty: reports do not say it, only events do.')),
                ('reported_at', models.DateTimeField(help_text='When it was last reported or accepted.')),
                ('charger', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='monitors', to='chargers.charger')),
            ],
            options={
                'ordering': ['charger', 'monitor_id'],
                'constraints': [models.UniqueConstraint(fields=('charger', 'monitor_id'), name='one_row_a_monitor')],
            },
        ),
        migrations.CreateModel(
            name='MonitoringEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('component', models.CharField(blank=True, max_length=255)),
                ('component_instance', models.CharField(blank=True, max_length=255)),
                ('evse_id', models.BigIntegerField(blank=True, null=True)),
                ('connector_id', models.BigIntegerField(blank=True, null=True)),
                ('variable', models.CharField(blank=True, max_length=255)),
                ('instance', models.CharField(blank=True, max_length=255)),
                ('event_id', models.BigIntegerField(blank=True, help_text='The id by which the charger names it.', null=True)),
                ('cause', models.BigIntegerField(blank=True, help_text='The event_id of the event that caused it.', null=True)),
                ('timestamp', models.DateTimeField(help_text='By the clock of the charger.')),
                ('raw_timestamp', models.CharField(blank=True, max_length=64)),
                ('trigger', models.TextField(blank=True, help_text='Alerting, Delta or Periodic.')),
                ('notification_type', models.TextField(blank=True, help_text='HardWiredNotification, HardWiredMonitor, PreconfiguredMonitor or CustomMonitor.')),
                ('actual_value', models.TextField(blank=True, help_text='Without secrets.')),
                ('cleared', models.BooleanField(default=False, help_text='The monitored situation has ended.')),
                ('tech_code', models.TextField(blank=True)),
                ('tech_info', models.TextField(blank=True)),
                ('monitor_id', models.BigIntegerField(blank=True, help_text='The monitor that caused it.', null=True)),
                ('severity', models.BigIntegerField(blank=True, help_text='That of its monitor, if it is known.', null=True)),
                ('reference', models.CharField(blank=True, help_text="The charger's own id of the transaction that it belongs to.", max_length=255)),
                ('seq_no', models.BigIntegerField(blank=True, help_text='The number of its message in a notification.', null=True)),
                ('generated_at', models.DateTimeField(help_text='When the charger made its message.')),
                ('received_at', models.DateTimeField()),
                ('digest', models.CharField(editable=False, help_text='Of the event and the head of its message.', max_length=32)),
                ('charger', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='monitoring_events', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['charger', '-id'], name='monitoring_events_of_charger'), models.Index(fields=['received_at'], name='monitoring_events_by_time')],
                'constraints': [models.UniqueConstraint(fields=('charger', 'digest'), name='one_row_a_monitoring_event')],
            },
        ),
        migrations.CreateModel(
            name='ChargingLimit',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('evse_id', models.PositiveIntegerField(default=0, help_text='0 is the charger as a whole.')),
                ('source', models.TextField(help_text='EMS, SO, CSO or Other, or another text that the charger sent.')),
                ('is_grid_critical', models.BooleanField(help_text='Null if the charger did not say.', null=True)),
                ('schedules', models.JSONField(help_text='As the charger sent them; empty if it sent none.')),
                ('received_at', models.DateTimeField()),
                ('cleared_at', models.DateTimeField(blank=True, help_text='When it was cleared or replaced; null while it is active.', null=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='charging_limits', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('cleared_at', None)), fields=['charger'], name='active_charging_limits')],
            },
        ),
        migrations.CreateModel(
            name='Incident',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('fault', 'fault'), ('high_temperature', 'high_temperature'), ('offline', 'offline'), ('silent', 'silent'), ('refused', 'refused'), ('unknown_charger', 'unknown_charger'), ('command_failed', 'command_failed'), ('campaign_stopped', 'campaign_stopped'), ('message_rejected', 'message_rejected'), ('clock', 'clock'), ('security', 'security'), ('monitoring', 'monitoring'), ('system', 'system')], max_length=20)),
                ('cause', models.CharField(help_text='What tells this cause from others of its kind.', max_length=300)),
                ('severity', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], max_length=10)),
                ('evse_id', models.PositiveIntegerField(blank=True, null=True)),
                ('connector_id', models.PositiveIntegerField(blank=True, null=True)),
                ('code', models.TextField(blank=True, help_text='An error code, an action or another word of its cause.')),
                ('vendor_code', models.TextField(blank=True, help_text='The error code of the manufacturer.')),
                ('detail', models.TextField(blank=True, help_text='What was reported.')),
                ('state', models.CharField(choices=[('open', 'open'), ('acknowledged', 'acknowledged'), ('closed', 'closed')], default='open', max_length=12)),
                ('is_current', models.BooleanField(default=True, editable=False)),
                ('recurrences', models.PositiveIntegerField(db_default=0, default=0, help_text='How often it ended and began again.')),
                ('opened_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField(help_text='When its cause was last present, to some minutes.')),
                ('cleared_at', models.DateTimeField(blank=True, help_text='Since when its cause is absent.', null=True)),
                ('acknowledged_at', models.DateTimeField(blank=True, null=True)),
                ('acknowledged_by', models.CharField(blank=True, max_length=150)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('closed_by', models.CharField(blank=True, help_text='Empty if its cause ended.', max_length=150)),
                ('assignee', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='incidents', to=settings.AUTH_USER_MODEL)),
                ('charger', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='incidents', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['charger', '-id'], name='incidents_of_charger'), models.Index(fields=['kind', '-id'], name='incidents_by_kind'), models.Index(condition=models.Q(('state', 'closed'), _negated=True), fields=['state', '-id'], name='incidents_not_closed'), models.Index(fields=['closed_at'], name='incidents_by_end')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_current', True)), fields=('kind', 'cause'), name='one_current_incident_a_cause')],
            },
        ),
        migrations.CreateModel(
            name='IncidentEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('action', models.CharField(choices=[('opened', 'opened'), ('recurred', 'recurred'), ('changed', 'changed'), ('acknowledged', 'acknowledged'), ('assigned', 'assigned'), ('note', 'note'), ('notified', 'notified'), ('escalated', 'escalated'), ('closed', 'closed')], max_length=12)),
                ('who', models.CharField(blank=True, help_text='The user; empty for the system.', max_length=150)),
                ('text', models.TextField(blank=True)),
                ('incident', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='entries', to='chargers.incident')),
            ],
            options={
                'verbose_name_plural': 'incident entries',
                'ordering': ['id'],
                'constraints': [models.UniqueConstraint(condition=models.Q(('action', 'recurred')), fields=('incident',), name='one_entry_of_recurrences')],
            },
        ),
        migrations.CreateModel(
            name='NotificationRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, unique=True)),
                ('is_enabled', models.BooleanField(default=True, verbose_name='enabled')),
                ('severity', models.CharField(choices=[('info', 'info'), ('warning', 'warning'), ('critical', 'critical')], default='warning', help_text='The least severity.', max_length=10)),
                ('kinds', models.JSONField(blank=True, default=list, help_text='Kinds of incidents. Empty: all kinds.')),
                ('weekdays', models.JSONField(default=chargers.models.incidents.every_day, help_text='1 is Monday, 7 is Sunday.')),
                ('from_time', models.TimeField(blank=True, help_text='In the time zone of the site. Empty: from the beginning of the day.', null=True)),
                ('until_time', models.TimeField(blank=True, help_text='Before from_time: of the next day. Empty: until the end of the day.', null=True)),
                ('channel', models.CharField(choices=[('email', 'email'), ('slack', 'slack'), ('teams', 'teams'), ('ntfy', 'ntfy'), ('webhook', 'webhook')], max_length=10)),
                ('target', core.db.sealing.SealedField(help_text='Addresses, one in each line, or the URL of the channel.')),
                ('template', models.JSONField(blank=True, help_text='Of a webhook: the JSON body. Its texts may contain {title}, {text}, {link}…', null=True)),
                ('language', models.CharField(choices=[('en', 'English'), ('de', 'Deutsch')], default='en', help_text='Of the title and the text of its messages.', max_length=10)),
                ('notify_end', models.BooleanField(default=False, help_text='Also when an incident is closed.')),
                ('escalate_after', models.PositiveIntegerField(blank=True, help_text='Minutes without acknowledgement until escalation_target is notified.', null=True)),
                ('escalation_target', core.db.sealing.SealedField(blank=True, help_text='As target.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('site', models.ForeignKey(blank=True, help_text='Incidents of its chargers only. Empty: all incidents.', null=True, on_delete=django.db.models.deletion.CASCADE, to='chargers.site')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='NotificationDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reason', models.CharField(choices=[('opened', 'opened'), ('recurred', 'recurred'), ('escalated', 'escalated'), ('closed', 'closed'), ('test', 'test')], max_length=10)),
                ('number', models.PositiveIntegerField(db_default=0, default=0, help_text='Recurrences when it was created.')),
                ('state', models.CharField(choices=[('pending', 'pending'), ('delivered', 'delivered'), ('dead', 'dead'), ('obsolete', 'obsolete')], default='pending', max_length=10)),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0)),
                ('created_at', models.DateTimeField()),
                ('due_at', models.DateTimeField(help_text='Time of the next attempt.')),
                ('answered_status', models.PositiveIntegerField(blank=True, help_text='HTTP status of the last answer.', null=True)),
                ('error', models.CharField(blank=True, db_default='', default='', max_length=300)),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
                ('incident', models.ForeignKey(help_text='Null for a test.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='chargers.incident')),
                ('rule', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='deliveries', to='chargers.notificationrule')),
            ],
            options={
                'verbose_name_plural': 'notification deliveries',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['rule', '-id'], name='notifications_of_rule'), models.Index(condition=models.Q(('state', 'pending')), fields=['rule', 'due_at'], name='notifications_due')],
                'constraints': [models.UniqueConstraint(fields=('rule', 'incident', 'reason', 'number'), name='one_notification_a_reason')],
            },
        ),
    ])]
