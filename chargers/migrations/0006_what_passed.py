"""Messages in partitions by day, and which of them are kept of a charger."""

import django.db.models.deletion
from django.db import migrations, models


# No row of it is ever changed: it has no constraint, and its pages need no room.
PARTITIONED = """
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


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0005_what_happened'),
    ]

    operations = [
        migrations.AddField(
            model_name='charger',
            name='message_log',
            field=models.CharField(blank=True, choices=[('', 'as OCPP_MESSAGE_LOG says'), ('off', 'off'), ('errors', 'errors'), ('all', 'all')], db_default='', default='', help_text='Which of its messages are kept; it holds at once.', max_length=6),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(PARTITIONED, "DROP TABLE chargers_message")],
            state_operations=[
                migrations.CreateModel(
                    name='Message',
                    fields=[
                        ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                        ('at', models.DateTimeField(help_text='When it passed.')),
                        ('direction', models.CharField(choices=[('in', 'in'), ('out', 'out')], max_length=3)),
                        ('kind', models.CharField(choices=[('call', 'call'), ('result', 'result'), ('error', 'error'), ('other', 'other')], max_length=6)),
                        ('action', models.CharField(blank=True, help_text='Of the call, also of one that it answers.', max_length=50)),
                        ('message_id', models.CharField(blank=True, max_length=36)),
                        ('frame', models.TextField(help_text='As sent, but for its secrets; cut at 16,384 characters.')),
                        ('is_error', models.BooleanField(help_text='A CALLERROR, or a frame that was refused.', verbose_name='error')),
                        ('charger', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='chargers.charger')),
                    ],
                    options={
                        'ordering': ['-at', '-id'],
                        'indexes': [models.Index(fields=['charger', 'at'], name='messages_of_charger'), models.Index(fields=['at'], name='messages_by_time'), models.Index(condition=models.Q(('is_error', True)), fields=['at'], name='messages_with_errors')],
                    },
                ),
            ],
        ),
    ]
