"""Forms to add, edit and import a configuration; parameters are YAML (which includes JSON)."""

from __future__ import annotations

from typing import Any

import yaml
from django import forms
from django.core.files.uploadedfile import UploadedFile

from webapp import engine
from webapp.accounts.models import User
from webapp.portfolio import history, imports, rows
from webapp.portfolio.models import MODALITIES, PortfolioRow
from webapp.runs.words import kind
from webapp.sizes import size

NAME_ERRORS = {"name": {"invalid": "Use letters of the English alphabet, digits, hyphens and underscores only."}}
KINDS = [(name, kind(name)) for name in MODALITIES]


class RowForm(forms.ModelForm):
    modality = forms.ChoiceField(label="Kind of data", choices=KINDS)
    model = forms.ChoiceField(help_text="a model of the engine")
    params_text = forms.CharField(
        label="Parameters",
        required=False,
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "class": "code"}),
        help_text="YAML or JSON, one “name: value” per line",
    )

    field_order = ("name", "modality", "model", "params_text", "origin", "position", "enabled")

    class Meta:
        model = PortfolioRow
        fields = ("name", "modality", "model", "origin", "position", "enabled")
        widgets = {"origin": forms.Textarea(attrs={"rows": 3})}
        error_messages = NAME_ERRORS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        names = sorted({*engine.model_names(), self.instance.model} - {"", "auto"})
        model = self.fields["model"]
        assert isinstance(model, forms.ChoiceField)
        model.choices = [(name, name) for name in names]
        if self.instance.pk:
            self.fields["name"].disabled = True  # runs and scores are known by it
            del self.fields["enabled"]  # the page has a switch for it
        if self.instance.params:
            self.initial["params_text"] = yaml.safe_dump(self.instance.params, sort_keys=False)

    def clean_params_text(self) -> dict[str, Any]:
        try:
            params = rows.parsed(self.cleaned_data["params_text"]) or {}
        except engine.DataError as error:
            raise forms.ValidationError(str(error)) from error
        if not isinstance(params, dict) or not all(isinstance(name, str) for name in params):
            raise forms.ValidationError("Parameters are names with values, such as “epochs: 10”.")
        return params

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        given = self.cleaned_data
        known = {"model", "params_text"} <= given.keys()
        if known and (wrong := rows.refusal(given["model"], given["params_text"])):
            self.add_error("params_text", wrong)
        if {"model", "modality"} <= given.keys() and (wrong := rows.wrong_kind(given["model"], given["modality"])):
            self.add_error("model", wrong)
        return cleaned

    def keep(self, by: User) -> PortfolioRow:
        """Save and log the change; an edited configuration is no longer overwritten by the shipped files."""
        row = self.instance
        row.params = self.cleaned_data["params_text"]
        row.edited = row.edited or bool(row.pk and self.changed_data)
        history.keep(row, by)
        return row


class FileForm(forms.Form):
    """A configuration from a file; ``keep`` saves it, switched off and last in the order."""

    file = forms.FileField(label="Configuration", help_text="row.yaml, from a search or the page of a configuration")
    most_bytes = 2**16

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        size_bytes = file.size or 0
        if size_bytes > self.most_bytes:
            most = size(self.most_bytes)
            raise forms.ValidationError(f"The file has {size(size_bytes)}; at most {most} can be imported.")
        return file

    def keep(self, by: User) -> PortfolioRow:
        """Raises DataError."""
        row = imports.described(self.cleaned_data["file"])
        form = RowForm(row | {"params_text": yaml.safe_dump(row["params"])}, instance=PortfolioRow(enabled=False))
        if not form.is_valid():
            raise engine.DataError(
                " ".join(f"{name}: {error}" for name, errors in form.errors.items() for error in errors)
            )
        return form.keep(by)


class BinaryForm(FileForm, forms.ModelForm):
    """A form with the name and origin, which the file does not hold."""

    field_order = ("name", "modality", "origin", "file")

    class Meta:
        model = PortfolioRow
        fields = ["name", "origin"]
        widgets = {"origin": forms.Textarea(attrs={"rows": 2})}
        error_messages = NAME_ERRORS

    @property
    def most_bytes(self) -> int:  # type: ignore[override]
        return imports.MAX_BYTES


class CodeForm(BinaryForm):
    modality = forms.ChoiceField(label="Kind of data", choices=KINDS)
    file = forms.FileField(label="Submission", help_text="a zip with model.py and its class Model(metadata)")
    trusted = forms.BooleanField(label="I have read this code, or I trust who wrote it.")

    class Meta(BinaryForm.Meta):
        fields = ["name", "modality", "origin"]

    def keep(self, by: User) -> PortfolioRow:
        return imports.code(self.instance, self.cleaned_data["file"], by)


class WeightsForm(BinaryForm):
    file = forms.FileField(
        label="Weights",
        help_text="a safetensors file: torchvision's MobileNetV2 (of width 1 or 0.35), or the output of “pretrain”",
    )

    def keep(self, by: User) -> PortfolioRow:
        return imports.weights(self.instance, self.cleaned_data["file"], by)
