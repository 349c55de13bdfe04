from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_grants"),
    ]

    operations = [
        migrations.AddField(
            model_name="grant",
            name="mail_due",
            field=models.DateTimeField(help_text="of the next try to tell the person; empty: none", null=True),
        ),
        migrations.AddField(
            model_name="grant",
            name="mail_tries",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
