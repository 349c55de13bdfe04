"""Adding and editing a portfolio row; parameters are typed as YAML (of which JSON is a part)."""

from __future__ import annotations

from typing import Any

import yaml
from django import forms

from webapp import engine
from webapp.portfolio.models import PortfolioRow

MODALITIES = ("image", "video", "audio", "text", "tabular", "timeseries")


class RowForm(forms.ModelForm):
    modality = forms.ChoiceField(choices=[(name, name) for name in MODALITIES])
    model = forms.ChoiceField(help_text="the engine's learner")
    params_text = forms.CharField(
        label="Parameters",
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "code"}),
        help_text="YAML or JSON: one “name: value” a line",
    )

    class Meta:
        model = PortfolioRow
        fields = ("name", "modality", "model", "origin", "position", "enabled")
        widgets = {"origin": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        names = sorted({*engine.model_names(), self.instance.model} - {"", "auto"})
        model = self.fields["model"]
        assert isinstance(model, forms.ChoiceField)
        model.choices = [(name, name) for name in names]
        if self.instance.pk:
            self.fields["name"].disabled = True  # runs and scores are known by it
        if self.instance.params:
            self.initial["params_text"] = yaml.safe_dump(self.instance.params, sort_keys=False)

    def clean_params_text(self) -> dict[str, Any]:
        try:
            params = yaml.safe_load(self.cleaned_data["params_text"]) or {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" in line {mark.line + 1}" if mark else ""
            raise forms.ValidationError(f"This is neither YAML nor JSON{where}.") from error
        if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
            raise forms.ValidationError("Parameters are names with values, such as “epochs: 10”.")
        return params

    def save(self, commit: bool = True) -> PortfolioRow:
        """A changed row gets the next version and is no longer overwritten by the shipped files."""
        row = super().save(commit=False)
        row.params = self.cleaned_data["params_text"]
        if row.pk and self.has_changed():
            row.version += 1
        if set(self.changed_data) - {"enabled"}:
            row.edited = True
        if commit:
            row.save()
        return row
