"""Without the indexes that others make superfluous: each of them costs every command."""

import commands.models
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chargers', '0003_room'),
        ('commands', '0003_everything_of_1_6'),
        ('transactions', '0003_partitions'),
    ]

    operations = [
        # By hand: Django's own way drops every index on this column alone, and one of them lets a charger be sent one
        # command at a time.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "DROP INDEX commands_command_charger_id_f518bf3f",
                    "CREATE INDEX commands_command_charger_id_f518bf3f ON commands_command (charger_id)",
                )
            ],
            state_operations=[
                migrations.AlterField(
                    model_name='command',
                    name='charger',
                    field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='commands', to='chargers.charger'),
                ),
            ],
        ),
        migrations.AlterField(
            model_name='command',
            name='task_id',
            field=models.CharField(default=commands.models.new_task_id, editable=False, max_length=36),
        ),
        migrations.AddConstraint(
            model_name='command',
            constraint=models.UniqueConstraint(fields=('task_id',), name='one_command_a_task'),
        ),
    ]
