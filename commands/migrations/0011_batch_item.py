from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("commands", "0010_times_of_the_database")]

    operations = [migrations.RenameModel("Member", "BatchItem")]
