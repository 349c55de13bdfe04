from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Text",
            fields=[
                ("page", models.SlugField(primary_key=True, serialize=False)),
                ("body", models.TextField(max_length=20000)),
                ("changed", models.DateTimeField(auto_now=True)),
            ],
        ),
    ]
