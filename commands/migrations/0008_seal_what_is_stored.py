from django.db import migrations

from core.db import sealing

HASH = "UPDATE commands_upload SET token = encode(sha256(convert_to(token, 'UTF8')), 'hex') WHERE length(token) = 32"


def seal(apps, schema_editor):
    sealing.reseal([apps.get_model("commands", name) for name in ("Command", "Batch", "Schedule")])


class Migration(migrations.Migration):
    """Row by row, each at once: no row is locked for long, and what was cut off is run again."""

    atomic = False

    dependencies = [
        ("commands", "0007_sealed_payloads"),
    ]

    operations = [
        migrations.RunSQL(HASH, migrations.RunSQL.noop, elidable=True),
        migrations.RunPython(seal, migrations.RunPython.noop, elidable=True),
    ]
