"""What an owner says of a challenge and of its phases; times are those of the server."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django import forms
from django.forms.models import BaseInlineFormSet

from webapp.challenges.models import Challenge, Phase

MOST_PHASES = 3


class ChallengeForm(forms.ModelForm):
    class Meta:
        model = Challenge
        fields = ("title", "description", "public_percent", "runs_allowed", "public")
        labels = {
            "public_percent": "Percent of the test samples for the public board",
            "runs_allowed": "Participants may also train here; their runs take your storage",
            "public": "List it for everybody; else only who has the link finds it",
        }
        widgets = {"description": forms.Textarea({"rows": 6})}
        help_texts = {
            "public_percent": "Fixed, and the same share of each class. The rest counts on the final board.",
            "runs_allowed": "",
            "public": "",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})
        self.fields["description"].help_text = "Plain text; an empty line begins a paragraph."
        if self.instance.opened:
            del self.fields["public_percent"]  # it would change the scores that everybody has seen


class PhaseForm(forms.ModelForm):
    class Meta:
        model = Phase
        fields = ("name", "start", "end", "per_day", "total")
        widgets = {name: forms.DateTimeInput({"type": "datetime-local"}, "%Y-%m-%dT%H:%M") for name in ("start", "end")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"label_suffix": "", **kwargs})

    def has_changed(self) -> bool:
        """A new phase without a name and dates is none, whatever its limits say."""
        return super().has_changed() and (
            bool(self.instance.pk) or any(self[name].data for name in ("name", "start", "end"))
        )

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        if found.get("start") and found.get("end") and found["end"] <= found["start"]:
            self.add_error("end", "The phase must end after it begins.")
        return found


class Phases(BaseInlineFormSet):
    """At least one phase, and never two at once."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields["DELETE"].label = "Leave out"

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        filled = [
            form.cleaned_data
            for form in self.forms
            if form.cleaned_data.get("name") and not form.cleaned_data.get("DELETE")
        ]
        if not filled:
            raise forms.ValidationError("Give at least one phase.")
        filled.sort(key=lambda phase: phase["start"])
        for before, after in pairwise(filled):
            if after["start"] < before["end"]:
                raise forms.ValidationError(f"{after['name']} begins before {before['name']} ends: change a date.")


PhaseForms = forms.inlineformset_factory(
    Challenge, Phase, PhaseForm, Phases, extra=MOST_PHASES, max_num=MOST_PHASES, validate_max=True
)
