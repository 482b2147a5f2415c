import django.core.validators
import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.text
import transactions.models.reservations
from django.db import migrations, models

from core.db.operations import Together
from transactions.models import day_totals, transaction_events
from transactions.services import energy, samples

# A partition holds a month of readings, by when they were received; see core.db.partitions.
READINGS = """
CREATE TABLE transactions_reading (
    id bigint NOT NULL,
    charger_id bigint NOT NULL,
    transaction_id integer,
    reported_transaction_id bigint,
    evse_id integer NOT NULL CHECK (evse_id >= 0),
    timestamp timestamp with time zone NOT NULL,
    raw_timestamp varchar(64) NOT NULL,
    received_at timestamp with time zone NOT NULL,
    samples text NOT NULL,
    message_hash integer,
    seq_no bigint,
    trigger_reason text NOT NULL DEFAULT '',
    event_members text NOT NULL DEFAULT ''
) PARTITION BY RANGE (received_at);
CREATE SEQUENCE transactions_reading_number OWNED BY transactions_reading.id;
ALTER TABLE transactions_reading ALTER COLUMN id SET DEFAULT nextval('transactions_reading_number');
ALTER TABLE transactions_reading ADD PRIMARY KEY (id, received_at);
CREATE INDEX readings_of_a_transaction ON transactions_reading (transaction_id, message_hash);
CREATE INDEX readings_without_transaction
    ON transactions_reading (charger_id, evse_id, timestamp, message_hash) WHERE transaction_id IS NULL;
CREATE TABLE transactions_reading_default PARTITION OF transactions_reading DEFAULT;
DO $$
BEGIN
    EXECUTE format('CREATE TABLE transactions_reading_first PARTITION OF transactions_reading '
        'FOR VALUES FROM (MINVALUE) TO (%L)', (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month')
        AT TIME ZONE 'UTC');
END $$;
"""
RESERVATION_IDS = "CREATE SEQUENCE transactions_reservation_id AS integer"
# An update finds room on the page of its row and touches no index then. Sessions that begin together lie on one page,
# and one batch may update all of them, so more than half of a page is left free.
FILLFACTOR = "ALTER TABLE transactions_transaction SET (fillfactor = 45)"
DEFAULT_FILLFACTOR = "ALTER TABLE transactions_transaction RESET (fillfactor)"


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('chargers', '0001_initial'),
    ]

    operations = [Together([
        migrations.RunSQL(energy.EVIDENCE, energy.NO_EVIDENCE),
        migrations.RunSQL(RESERVATION_IDS, "DROP SEQUENCE transactions_reservation_id"),
        migrations.CreateModel(
            name='IdTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('id_tag', models.CharField(max_length=255, validators=[django.core.validators.RegexValidator('^[\\x20-\\x7e]+$', 'Only printable ASCII characters.')])),
                ('type', models.CharField(blank=True, choices=[('', 'any'), ('Central', 'Central'), ('eMAID', 'eMAID'), ('ISO14443', 'ISO14443'), ('ISO15693', 'ISO15693'), ('KeyCode', 'KeyCode'), ('Local', 'Local'), ('MacAddress', 'MacAddress')], db_default='', default='', help_text='Type of the token; empty matches any type. OCPP 1.6 has no types.', max_length=20)),
                ('status', models.CharField(choices=[('Accepted', 'Accepted'), ('Blocked', 'Blocked'), ('Expired', 'Expired'), ('Invalid', 'Invalid'), ('NoCredit', 'NoCredit'), ('NotAllowedTypeEVSE', 'NotAllowedTypeEVSE'), ('NotAtThisLocation', 'NotAtThisLocation'), ('NotAtThisTime', 'NotAtThisTime')], default='Accepted', max_length=20)),
                ('expiry_date', models.DateTimeField(blank=True, null=True)),
                ('parent_id_tag', models.CharField(blank=True, help_text='Tags with the same parent are a group.', max_length=255)),
                ('master_pass', models.BooleanField(db_default=False, default=False, help_text='It may stop every transaction, and starts none.')),
                ('language', models.CharField(blank=True, db_default='', default='', help_text='Such as de or en-US.', max_length=8, validators=[django.core.validators.RegexValidator('^[A-Za-z]{2,3}(-[A-Za-z0-9]+)*$', 'A language tag such as de or en-US.')])),
                ('message', models.CharField(blank=True, db_default='', default='', help_text='Shown to the driver by chargers of OCPP 2.0.1.', max_length=512)),
                ('description', models.CharField(blank=True, max_length=255)),
                ('concurrent_limit', models.PositiveIntegerField(blank=True, help_text='Transactions it may have under way at a time; empty: any number.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('last_authorized_at', models.DateTimeField(blank=True, editable=False, help_text='When a charger last sent it by Authorize.', null=True)),
                ('chargers', models.ManyToManyField(blank=True, help_text='Where it may charge; without chargers and groups: everywhere.', related_name='+', to='chargers.charger')),
                ('groups', models.ManyToManyField(blank=True, help_text='Where it may charge, too.', related_name='+', to='chargers.chargergroup', verbose_name='charger groups')),
            ],
            options={
                'ordering': ['id_tag', 'type'],
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Upper('id_tag'), models.F('type'), name='one_tag_whatever_its_case', violation_error_message='This id tag exists already with this type (compared without case).')],
            },
        ),
        migrations.CreateModel(
            name='Tariff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('description', models.CharField(max_length=255, unique=True)),
                ('currency', models.CharField(max_length=3, validators=[django.core.validators.RegexValidator('^[A-Z]{3}$', 'A currency such as EUR (ISO 4217).')])),
                ('energy_per_kwh', models.DecimalField(decimal_places=4, default=0, help_text='Price of a kWh.', max_digits=12, validators=[django.core.validators.MinValueValidator(0)])),
                ('per_minute', models.DecimalField(decimal_places=4, default=0, help_text='Price of a minute.', max_digits=12, validators=[django.core.validators.MinValueValidator(0)])),
                ('per_session', models.DecimalField(decimal_places=4, default=0, help_text='Price of a session.', max_digits=12, validators=[django.core.validators.MinValueValidator(0)])),
                ('vat_percent', models.DecimalField(decimal_places=2, default=0, help_text='Added to the prices.', max_digits=5, validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(100)], verbose_name='VAT (%)')),
                ('text', models.CharField(blank=True, default='', help_text='Shown to drivers by chargers of OCPP 2.0.1 that can.', max_length=512)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('chargers', models.ManyToManyField(blank=True, related_name='+', to='chargers.charger')),
                ('groups', models.ManyToManyField(blank=True, related_name='+', to='chargers.chargergroup', verbose_name='charger groups')),
                ('id_tags', models.ManyToManyField(blank=True, related_name='+', to='transactions.idtag')),
            ],
            options={
                'ordering': ['description'],
            },
        ),
        migrations.CreateModel(
            name='Transaction',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False, verbose_name='transaction id')),
                ('own_reference', models.CharField(blank=True, db_default='', default='', help_text='The id that the charger gave it; empty in OCPP 1.6, where the transaction id is sent to it.', max_length=255, verbose_name='reference')),
                ('evse_id', models.PositiveIntegerField(blank=True, help_text='In OCPP 1.6 it equals the connector id.', null=True)),
                ('connector_id', models.PositiveIntegerField(blank=True, help_text='Empty until it is known, which in OCPP 2.0.1 may be after the start.', null=True)),
                ('id_tag', models.CharField(max_length=255)),
                ('id_token_type', models.TextField(blank=True, db_default='', default='', help_text='Empty in OCPP 1.6.')),
                ('charging_state', models.TextField(blank=True, db_default='', default='', help_text='As the charger reported it; empty in OCPP 1.6.')),
                ('id_tag_status', models.CharField(help_text='The verdict given at the start.', max_length=20)),
                ('reservation_id', models.BigIntegerField(blank=True, null=True)),
                ('remote_start_id', models.BigIntegerField(blank=True, help_text='Id of the command that started it.', null=True)),
                ('missing_since', models.DateTimeField(blank=True, editable=False, help_text='Since when a gap in the numbers of its events is known.', null=True)),
                ('numbered_until', models.BigIntegerField(editable=False, help_text='All its events from the start up to this number are stored.', null=True)),
                ('missing_requested_at', models.DateTimeField(editable=False, help_text='When the charger was last requested to deliver missing events.', null=True)),
                ('start_time', models.DateTimeField()),
                ('raw_start_time', models.CharField(max_length=64)),
                ('start_received_at', models.DateTimeField()),
                ('meter_start', models.BigIntegerField(blank=True, null=True, verbose_name='meter start (Wh)')),
                ('raw_meter_start', models.TextField(blank=True, db_default='', default='', help_text='As sent, where rounded.')),
                ('stop_time', models.DateTimeField(blank=True, null=True)),
                ('raw_stop_time', models.CharField(blank=True, max_length=64)),
                ('stop_received_at', models.DateTimeField(blank=True, null=True)),
                ('meter_stop', models.BigIntegerField(blank=True, null=True, verbose_name='meter stop (Wh)')),
                ('raw_meter_stop', models.TextField(blank=True, db_default='', default='', help_text='As sent, where rounded.')),
                ('stop_reason', models.TextField(blank=True)),
                ('stop_id_tag', models.CharField(blank=True, max_length=255)),
                ('stop_id_token_type', models.TextField(blank=True, db_default='', default='', editable=False, help_text='Empty in OCPP 1.6.')),
                ('meter_first', models.BigIntegerField(blank=True, null=True, verbose_name='first energy register (Wh)')),
                ('meter_latest', models.BigIntegerField(blank=True, null=True, verbose_name='highest energy register (Wh)')),
                ('meter_newest', models.BigIntegerField(blank=True, null=True, verbose_name='energy register received last (Wh)')),
                ('power_latest', models.IntegerField(blank=True, null=True, verbose_name='latest power (W)')),
                ('soc_latest', models.PositiveSmallIntegerField(blank=True, null=True, verbose_name='latest state of charge (%)')),
                ('read_until', models.DateTimeField(blank=True, editable=False, help_text='Time of the newest reading.', null=True)),
                ('closed_at', models.DateTimeField(blank=True, help_text='When an operator closed it by hand.', null=True)),
                ('closed_by', models.CharField(blank=True, db_default='', default='', max_length=150)),
                ('clock_skew', models.BooleanField(db_default=False, default=False, help_text="The charger's clock said what can't be.")),
                ('start_message_id', models.CharField(blank=True, db_default='', default='', editable=False, max_length=36)),
                ('recurrence', models.PositiveIntegerField(db_default=0, default=0, editable=False, help_text='Sessions before it that began with an equal message, or to which the charger gave its reference.')),
                ('is_id_used', models.BooleanField(db_default=False, default=False, editable=False, help_text='Its charger has named its id since.')),
                ('corrected_meter_start', models.BigIntegerField(blank=True, editable=False, null=True)),
                ('corrected_meter_stop', models.BigIntegerField(blank=True, editable=False, null=True)),
                ('corrected_stop_time', models.DateTimeField(blank=True, editable=False, null=True)),
                ('corrected_at', models.DateTimeField(blank=True, editable=False, null=True)),
                ('corrected_by', models.CharField(blank=True, db_default='', default='', editable=False, max_length=150)),
                ('note', models.TextField(blank=True, db_default='', default='')),
                ('total_cost', models.DecimalField(blank=True, decimal_places=2, editable=False, help_text='With VAT.', max_digits=14, null=True)),
                ('currency', models.CharField(blank=True, db_default='', default='', editable=False, max_length=3)),
                ('tariff', models.ForeignKey(blank=True, db_index=False, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='transactions.tariff')),
                ('energy_wh', models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('corrected_meter_start', None), ('corrected_meter_stop', None), ('meter_stop', None), ('meter_latest', None)), then=None), models.When(models.Q(('corrected_meter_start', None), ('corrected_meter_stop', None), ('meter_stop', None), ('meter_latest__gte', models.F('meter_start')), ('meter_start__range', (0, 2147483647))), then=django.db.models.expressions.CombinedExpression(models.F('meter_latest'), '-', models.F('meter_start'))), default=models.Func(models.F('meter_start'), models.F('meter_stop'), models.F('meter_first'), models.F('meter_latest'), models.F('meter_newest'), models.F('corrected_meter_start'), models.F('corrected_meter_stop'), models.F('start_time'), models.F('start_received_at'), models.F('stop_time'), models.F('stop_received_at'), template='(transactions_evidence(%(expressions)s))[1]'), output_field=models.BigIntegerField()), output_field=models.BigIntegerField())),
                ('energy_source', models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('corrected_meter_start', None), ('corrected_meter_stop', None), ('meter_stop', None), ('meter_latest', None)), then=models.Value('none')), models.When(models.Q(('corrected_meter_start', None), ('corrected_meter_stop', None), ('meter_stop', None), ('meter_latest__gte', models.F('meter_start')), ('meter_start__range', (0, 2147483647))), then=models.Value('readings')), default=models.Func(models.F('meter_start'), models.F('meter_stop'), models.F('meter_first'), models.F('meter_latest'), models.F('meter_newest'), models.F('corrected_meter_start'), models.F('corrected_meter_stop'), models.F('start_time'), models.F('start_received_at'), models.F('stop_time'), models.F('stop_received_at'), template="('{none,stop,readings,corrected}'::text[])[(transactions_evidence(%(expressions)s))[2]]"), output_field=models.CharField(max_length=9)), output_field=models.CharField(max_length=9))),
                ('charger', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='transactions', to='chargers.charger')),
                ('superseded_by', models.ForeignKey(blank=True, db_index=False, help_text='A later start on the same connector, while this one had no stop.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='transactions.transaction')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='OrphanStop',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ocpp_version', models.CharField(db_default='ocpp1.6', default='ocpp1.6', max_length=20)),
                ('action', models.CharField(db_default='StopTransaction', default='StopTransaction', max_length=30)),
                ('refused_because', models.TextField(blank=True, db_default='', default='', help_text='Empty: it was acknowledged.')),
                ('reported_transaction_id', models.BigIntegerField(blank=True, null=True)),
                ('payload', models.TextField(help_text='The request as JSON.')),
                ('received_at', models.DateTimeField()),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='orphan_stops', to='chargers.charger')),
                ('transaction', models.ForeignKey(blank=True, help_text='Where it was attached to.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='transactions.transaction')),
            ],
            options={
                'verbose_name': 'message not applied',
                'verbose_name_plural': 'messages not applied',
                'ordering': ['-id'],
            },
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(READINGS, "DROP TABLE transactions_reading")],
            state_operations=[
                migrations.CreateModel(
                    name='Reading',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('reported_transaction_id', models.BigIntegerField(null=True)),
                        ('evse_id', models.PositiveIntegerField(help_text='In OCPP 1.6 it equals the connector id.')),
                        ('timestamp', models.DateTimeField()),
                        ('raw_timestamp', models.CharField(max_length=64)),
                        ('received_at', models.DateTimeField()),
                        ('samples', models.TextField(help_text='JSON, see `services.samples`; the view of `MeterValue` has a row for each.')),
                        ('message_hash', models.IntegerField(help_text='Of the message id, or of the content of a plain event: by it one that is sent again is found.', null=True)),
                        ('seq_no', models.BigIntegerField(help_text='Of the plain event that brought it, see `services.plain_events`.', null=True)),
                        ('trigger_reason', models.TextField(blank=True, db_default='', default='')),
                        ('event_members', models.TextField(blank=True, db_default='', default='', help_text='JSON, see `services.plain_events`.')),
                        ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='chargers.charger')),
                        ('transaction', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='readings', to='transactions.transaction')),
                    ],
                    options={
                        'default_permissions': (),
                        'indexes': [
                            models.Index(fields=['transaction', 'message_hash'], name='readings_of_a_transaction'),
                            models.Index(condition=models.Q(('transaction', None)), fields=['charger', 'evse_id', 'timestamp', 'message_hash'], name='readings_without_transaction'),
                        ],
                    },
                ),
            ],
        ),
        migrations.RunSQL(samples.METER_VALUES, samples.NO_METER_VALUES),
        migrations.CreateModel(
            name='MeterValue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reading_id', models.BigIntegerField(editable=False)),
                ('reported_transaction_id', models.BigIntegerField(null=True)),
                ('evse_id', models.PositiveIntegerField(help_text='In OCPP 1.6 it equals the connector id.')),
                ('timestamp', models.DateTimeField()),
                ('raw_timestamp', models.CharField(max_length=64)),
                ('received_at', models.DateTimeField()),
                ('value', models.TextField(help_text='As sent; signed data verbatim.')),
                ('number', models.DecimalField(decimal_places=9, max_digits=24, null=True)),
                ('measurand', models.TextField()),
                ('unit', models.TextField()),
                ('phase', models.TextField()),
                ('context', models.TextField()),
                ('location', models.TextField()),
                ('format', models.TextField(help_text='unreadable: the value is the JSON of a sample.')),
                ('message_hash', models.IntegerField(editable=False, null=True)),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='chargers.charger')),
                ('transaction', models.ForeignKey(null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='meter_values', to='transactions.transaction')),
            ],
            options={
                'ordering': ['reading_id', 'id'],
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='UnknownIdTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('id_tag', models.CharField(max_length=255)),
                ('type', models.TextField(db_default='', default='', help_text='Empty in OCPP 1.6.')),
                ('charger', models.ForeignKey(help_text='Where it was presented last.', on_delete=django.db.models.deletion.CASCADE, to='chargers.charger')),
                ('first_seen', models.DateTimeField()),
                ('last_seen', models.DateTimeField()),
                ('presented', models.PositiveIntegerField(help_text='How many times.')),
            ],
            options={
                'ordering': ['-last_seen'],
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Upper('id_tag'), models.F('type'), name='one_unknown_tag_whatever_its_case')],
            },
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.IntegerField(default=transactions.models.reservations.next_reservation_id, editable=False, primary_key=True, serialize=False, verbose_name='reservation id')),
                ('charger', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reservations', to='chargers.charger')),
                ('evse_id', models.PositiveIntegerField(blank=True, help_text='0: any EVSE. In OCPP 1.6 it equals the connector id.', null=True)),
                ('connector_id', models.PositiveIntegerField(default=0, help_text='0: any connector.')),
                ('connector_type', models.CharField(blank=True, db_default='', default='', help_text='Only connectors of this type, such as cCCS2; not in OCPP 1.6.', max_length=20)),
                ('id_tag', models.CharField(max_length=255)),
                ('id_token_type', models.CharField(blank=True, db_default='', default='', help_text='Empty in OCPP 1.6.', max_length=20)),
                ('parent_id_tag', models.CharField(blank=True, max_length=255)),
                ('expiry_date', models.DateTimeField()),
                ('state', models.CharField(choices=[('Inactive', 'Inactive'), ('Active', 'Active'), ('Used', 'Used'), ('Cancelled', 'Cancelled'), ('Expired', 'Expired')], default='Inactive', editable=False, max_length=10)),
                ('ended_because', models.CharField(blank=True, editable=False, max_length=100)),
                ('end_reported_at', models.DateTimeField(blank=True, editable=False, help_text='When its charger reported that it has ended.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'Active')), fields=['charger'], name='active_reservations')],
            },
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(fields=['charger', '-id'], name='transactions_of_charger'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(fields=['start_time'], name='transactions_by_start'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(fields=['id_tag', '-id'], name='transactions_of_tag'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(condition=models.Q(('missing_since__isnull', False)), fields=['id'], name='transactions_with_gaps'),
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
            index=models.Index(condition=models.Q(('stop_received_at', None)), fields=['charger', 'evse_id'], name='transactions_without_stop'),
        ),
        migrations.AddIndex(
            model_name='transaction',
            index=models.Index(django.db.models.functions.text.Upper('id_tag'), condition=models.Q(('closed_at', None), ('stop_received_at', None)), name='transactions_under_way_of_tag'),
        ),
        migrations.AddConstraint(
            model_name='transaction',
            constraint=models.UniqueConstraint(condition=models.Q(('own_reference', '')), fields=('charger', 'connector_id', 'id_tag', 'raw_start_time', 'meter_start', 'recurrence'), name='one_row_a_start', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='transaction',
            constraint=models.UniqueConstraint(condition=models.Q(('own_reference', ''), _negated=True), fields=('charger', 'own_reference', 'recurrence'), name='one_row_a_reference'),
        ),
        migrations.AddConstraint(
            model_name='orphanstop',
            constraint=models.UniqueConstraint(models.F('charger'), models.F('action'), django.db.models.functions.text.MD5('payload'), name='one_row_a_waiting_message'),
        ),
        migrations.CreateModel(
            name='RecordedEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq_no', models.BigIntegerField(help_text='Counted by the charger from 0; -1 if it has sent none.')),
                ('digest', models.IntegerField(editable=False, help_text='Of its content: a charger may not count.')),
                ('event_type', models.TextField(help_text='Started, Updated or Ended.')),
                ('trigger_reason', models.TextField()),
                ('timestamp', models.DateTimeField(help_text="By the charger's clock.")),
                ('raw_timestamp', models.CharField(max_length=64)),
                ('clock_skew', models.BooleanField(help_text='The time cannot be right.')),
                ('received_at', models.DateTimeField()),
                ('offline', models.BooleanField(help_text='It happened while the charger was offline.')),
                ('charging_state', models.TextField(blank=True)),
                ('stopped_reason', models.TextField(blank=True)),
                ('evse_id', models.PositiveIntegerField(null=True)),
                ('connector_id', models.PositiveIntegerField(null=True)),
                ('id_token', models.CharField(blank=True, max_length=255)),
                ('id_token_type', models.TextField(blank=True)),
                ('id_token_status', models.CharField(blank=True, help_text='The verdict in the answer.', max_length=20)),
                ('meter_start', models.BigIntegerField(help_text='Register in Wh with the context Transaction.Begin.', null=True)),
                ('meter_stop', models.BigIntegerField(help_text='Register in Wh at the end of the transaction.', null=True)),
                ('reservation_id', models.BigIntegerField(null=True)),
                ('remote_start_id', models.BigIntegerField(null=True)),
                ('details', models.TextField(blank=True, help_text='The other members that were sent, as JSON; no readings.')),
                ('transaction', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='recorded_events', to='transactions.transaction')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('transaction', 'seq_no', 'digest'), name='one_row_a_recorded_event')],
            },
        ),
        migrations.RunSQL(transaction_events.TRANSACTION_EVENTS, transaction_events.NO_TRANSACTION_EVENTS),
        migrations.CreateModel(
            name='TransactionEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('seq_no', models.BigIntegerField(help_text='Counted by the charger from 0; -1 if it has sent none.')),
                ('digest', models.IntegerField(editable=False, help_text='Of its content: a charger may not count.')),
                ('event_type', models.TextField(help_text='Started, Updated or Ended.')),
                ('trigger_reason', models.TextField()),
                ('timestamp', models.DateTimeField(help_text="By the charger's clock.")),
                ('raw_timestamp', models.CharField(max_length=64)),
                ('clock_skew', models.BooleanField(help_text='The time cannot be right.')),
                ('received_at', models.DateTimeField()),
                ('offline', models.BooleanField(help_text='It happened while the charger was offline.')),
                ('charging_state', models.TextField(blank=True)),
                ('stopped_reason', models.TextField(blank=True)),
                ('evse_id', models.PositiveIntegerField(null=True)),
                ('connector_id', models.PositiveIntegerField(null=True)),
                ('id_token', models.CharField(blank=True, max_length=255)),
                ('id_token_type', models.TextField(blank=True)),
                ('id_token_status', models.CharField(blank=True, help_text='The verdict in the answer.', max_length=20)),
                ('meter_start', models.BigIntegerField(help_text='Register in Wh with the context Transaction.Begin.', null=True)),
                ('meter_stop', models.BigIntegerField(help_text='Register in Wh at the end of the transaction.', null=True)),
                ('reservation_id', models.BigIntegerField(null=True)),
                ('remote_start_id', models.BigIntegerField(null=True)),
                ('details', models.TextField(blank=True, help_text='The other members that were sent, as JSON; no readings.')),
                ('transaction', models.ForeignKey(on_delete=django.db.models.deletion.DO_NOTHING, related_name='transaction_events', to='transactions.transaction')),
            ],
            options={
                'ordering': ['transaction', 'seq_no', 'id'],
                'default_permissions': (),
                'managed': False,
            },
        ),
        migrations.CreateModel(
            name='DayTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(help_text='Empty for sessions without a cost.', max_length=3)),
                ('sessions', models.PositiveIntegerField()),
                ('charged', models.PositiveIntegerField(help_text='Sessions with an energy above 0.')),
                ('succeeded', models.PositiveIntegerField(help_text='Those of them that ended for a usual reason.')),
                ('without_energy', models.PositiveIntegerField(help_text='Sessions whose energy is unknown.')),
                ('energy_wh', models.BigIntegerField()),
                ('duration_s', models.BigIntegerField()),
                ('cost', models.DecimalField(decimal_places=2, max_digits=20)),
                ('day', models.DateField()),
                ('id_tag', models.CharField(help_text='As it may be shown: a PIN is hidden.', max_length=255)),
                ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
            ],
            options={
                'ordering': ['day', 'charger', 'id_tag'],
                'default_permissions': (),
                'indexes': [models.Index(fields=['day'], name='day_totals_by_day')],
                'constraints': [models.UniqueConstraint(fields=('charger', 'day', 'id_tag', 'currency'), name='one_row_a_day_total')],
            },
        ),
        migrations.CreateModel(
            name='MonthTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('currency', models.CharField(help_text='Empty for sessions without a cost.', max_length=3)),
                ('sessions', models.PositiveIntegerField()),
                ('charged', models.PositiveIntegerField(help_text='Sessions with an energy above 0.')),
                ('succeeded', models.PositiveIntegerField(help_text='Those of them that ended for a usual reason.')),
                ('without_energy', models.PositiveIntegerField(help_text='Sessions whose energy is unknown.')),
                ('energy_wh', models.BigIntegerField()),
                ('duration_s', models.BigIntegerField()),
                ('cost', models.DecimalField(decimal_places=2, max_digits=20)),
                ('month', models.DateField(help_text='Its first day.')),
                ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
            ],
            options={
                'ordering': ['month', 'charger'],
                'default_permissions': (),
                'indexes': [models.Index(fields=['month'], name='month_totals_by_month')],
                'constraints': [models.UniqueConstraint(fields=('charger', 'month', 'currency'), name='one_row_a_month_total')],
            },
        ),
        migrations.CreateModel(
            name='StaleDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField(null=True)),
                ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Outage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.BigIntegerField(editable=False, help_text='Of the event that began it.', unique=True)),
                ('evse_id', models.PositiveIntegerField()),
                ('connector_id', models.PositiveIntegerField()),
                ('kind', models.CharField(choices=[('offline', 'offline'), ('faulted', 'faulted'), ('unavailable', 'unavailable')], max_length=11)),
                ('error_code', models.TextField(blank=True)),
                ('vendor_id', models.TextField(blank=True)),
                ('vendor_error_code', models.TextField(blank=True)),
                ('began_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('excluded_because', models.CharField(blank=True, choices=[('utility', 'interruption of the electric utility service'), ('vehicle', 'fault of the vehicle'), ('maintenance', 'scheduled maintenance'), ('vandalism', 'vandalism'), ('disaster', 'natural disaster')], db_default='', default='', help_text='An operator says that it does not count in the uptime of the US NEVI rule.', max_length=11)),
                ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='chargers.charger')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['charger', 'began_at'], name='outages_of_charger'), models.Index(fields=['began_at'], name='outages_by_begin'), models.Index(fields=['ended_at'], name='outages_by_end'), models.Index(condition=models.Q(('ended_at', None)), fields=['charger'], name='outages_under_way')],
            },
        ),
        migrations.RunSQL(day_totals.MARKS, day_totals.NO_MARKS),
        migrations.RunSQL(FILLFACTOR, DEFAULT_FILLFACTOR),
    ])]
