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


class AddressForm(forms.Form):
    """Where raw data can be fetched."""

    url = forms.URLField(label="Web address of a file", max_length=2000, assume_scheme="https")


class NameForm(forms.ModelForm):
    class Meta:
        model = Dataset
        fields = ("name",)


OWN = "own"
CUTS = {
    "median": "two classes: up to the median, and above",
    "quantiles": "four classes of about the same size (quartiles)",
    OWN: "my own limits",
    "each": "no ranges: each number is a class",
}


class ChoicesForm(forms.Form):
    """Target, ranges of a target of numbers, modality, split, seed, and what else was doubtful; empty: guessed."""

    data_set = forms.ChoiceField(label="Data set", required=False)
    target = forms.CharField(
        label="Column to predict", required=False, max_length=500, help_text="Separate several with commas."
    )
    label_cuts = forms.ChoiceField(label="Ranges of its numbers", required=False, choices=[("", "none"), *CUTS.items()])
    limits = forms.CharField(
        label="Own limits",
        required=False,
        max_length=500,
        help_text="For example 10,20: up to 10, to 20, above 20.",
    )
    modality = forms.ChoiceField(label="Read it as", required=False)
    encoding = forms.ChoiceField(
        label="Encoding of what is not UTF-8", required=False, help_text="Take the one whose letters are right."
    )
    date_order = forms.ChoiceField(
        label="In dates such as 03/04/2024",
        required=False,
        choices=[("day", "the day comes first"), ("month", "the month comes first")],
    )
    test_size = forms.FloatField(
        label="Test share",
        required=False,
        min_value=0.05,
        max_value=0.8,
        help_text="0.25 is a quarter. A split given in your files is kept.",
    )
    seed = forms.IntegerField(
        label="Seed of the split",
        required=False,
        min_value=0,
        max_value=2**31 - 1,
        help_text="Another seed gives another split.",
    )

    def __init__(
        self, *args: Any, report: dict[str, Any] | None = None, question: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        used = (report or {}).get("options", {})
        possible = used.get("modality_candidates") or list(MODALITIES)
        guess = [("", "guess from the files")]
        modality = self.fields["modality"]
        assert isinstance(modality, forms.ChoiceField)
        modality.choices = guess + [(name, MODALITIES.get(name, name)) for name in possible]
        self._offer_data_sets((question or {}).get("data_sets") or used.get("data_set_candidates"))
        self._offer_targets(used, question, no_table=report is not None)
        initial = {**{name: used.get(name) for name in self.fields}, **(self.initial or {})}
        if question and "column" in question:
            initial |= {"target": question["column"], "label_cuts": "median"}
        if initial.get("label_cuts") not in (None, "", *CUTS):
            initial |= {"label_cuts": OWN, "limits": initial["label_cuts"]}
        self.initial = initial
        if not initial.get("label_cuts") and not self.data.get("label_cuts"):
            del self.fields["label_cuts"], self.fields["limits"]

        self._offer_readings(used)

    def _offer_readings(self, used: dict[str, Any]) -> None:
        """Encodings and orders of dates, where the data do not tell."""
        readings = used.get("encoding_candidates")
        if readings:
            encoding = self.fields["encoding"]
            assert isinstance(encoding, forms.ChoiceField)
            encoding.choices = [(one["name"], f"{one['title']}: {one['sample']}") for one in readings]
        else:
            del self.fields["encoding"]
        if not used.get("date_order"):
            del self.fields["date_order"]

    def _offer_data_sets(self, keys: list[str] | None) -> None:
        """Where one upload holds several AutoDL data sets."""
        if not keys:
            del self.fields["data_set"]
            return
        field = self.fields["data_set"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(key, key) for key in keys]

    def _offer_targets(self, used: dict[str, Any], question: dict[str, Any] | None, no_table: bool) -> None:
        """The columns that a report or a question names; of anything else the user may know the name."""
        targets = used.get("target_candidates") or []
        now = str(used.get("target") or "")
        if question and "column" in question:
            now, targets = question["column"], question["others"]
        if targets:
            several = [] if now in ("", *targets) else [(now, now)]
            self.fields["target"] = forms.ChoiceField(
                label="Column to predict", required=False, choices=[*several, *((name, name) for name in targets)]
            )
        elif no_table or question:
            del self.fields["target"]  # nothing to choose

    def clean(self) -> dict[str, Any]:
        chosen = super().clean() or {}
        limits = chosen.pop("limits", "")
        if chosen.get("label_cuts") == OWN:
            if not limits:
                self.add_error("limits", "Give the limits between the classes, such as 10,20.")
            chosen["label_cuts"] = limits
        return chosen

    def options(self) -> dict[str, Any]:
        """What was chosen, without what was left open."""
        return {name: value for name, value in self.cleaned_data.items() if value not in (None, "")}
