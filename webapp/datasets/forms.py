"""The few choices a user may make instead of our guesses."""

from __future__ import annotations

from typing import Any

from django import forms

from webapp.datasets.models import Dataset

MODALITIES = {
    "image": "images",
    "video": "video clips",
    "audio": "sound recordings",
    "text": "text",
    "tabular": "a table of numbers and categories",
    "timeseries": "time series",
}


class UploadForm(forms.Form):
    """One file, for browsers without JavaScript."""

    file = forms.FileField(label="File")


class NameForm(forms.ModelForm):
    class Meta:
        model = Dataset
        fields = ("name",)


class ChoicesForm(forms.Form):
    """Target, modality, split, seed, and what else was doubtful; what is left empty is guessed."""

    target = forms.CharField(
        label="Column to predict", required=False, max_length=500, help_text="several: separated by commas"
    )
    modality = forms.ChoiceField(label="Read it as", required=False)
    encoding = forms.ChoiceField(
        label="Encoding of what is not UTF-8", required=False, help_text="take the one whose letters are right"
    )
    date_order = forms.ChoiceField(
        label="In dates such as 03/04/2024",
        required=False,
        choices=[("day", "the day comes first"), ("month", "the month comes first")],
    )
    test_size = forms.FloatField(
        label="Share kept for the test",
        required=False,
        min_value=0.05,
        max_value=0.8,
        help_text="0.25 = a quarter; a split given in your files is kept",
    )
    seed = forms.IntegerField(
        label="Seed of the split",
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        help_text="another seed, another split",
    )

    def __init__(self, *args: Any, report: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        used = (report or {}).get("options", {})
        possible = used.get("modality_candidates") or list(MODALITIES)
        guess = [("", "guess from the files")]
        modality = self.fields["modality"]
        assert isinstance(modality, forms.ChoiceField)
        modality.choices = guess + [(name, MODALITIES.get(name, name)) for name in possible]
        readings = used.get("encoding_candidates")
        if readings:
            encoding = self.fields["encoding"]
            assert isinstance(encoding, forms.ChoiceField)
            encoding.choices = [(one["name"], f"{one['title']}: {one['sample']}") for one in readings]
        else:
            del self.fields["encoding"]
        if not used.get("date_order"):
            del self.fields["date_order"]
        targets = used.get("target_candidates") or []
        if targets:
            now = str(used.get("target") or "")
            several = [] if now in ("", *targets) else [(now, now)]
            self.fields["target"] = forms.ChoiceField(
                label="Column to predict", required=False, choices=[*several, *((name, name) for name in targets)]
            )
        elif report is not None:
            del self.fields["target"]  # no table, nothing to choose
        if report is not None:
            self.initial = {**{name: used.get(name) for name in self.fields}, **(self.initial or {})}

    def options(self) -> dict[str, Any]:
        """What was chosen, without what was left open."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
