"""What the challenge's site told its visitors, for this site: from the overview to the credits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from webapp import engine
from webapp.datasets.models import Dataset
from webapp.guide.models import Text
from webapp.guide.samples import SAMPLES
from webapp.guide.texts import TEXTS
from webapp.streaming import stream_file

SCRIPT = Path(__file__).parent / "scripts" / "autodl_bundle.py"
PAGES = {
    "guide": "Overview",
    "guide-kit": "Starting kit",
    "guide-format": "Format your data",
    "guide-predictions": "Making predictions",
    "guide-score": "About the score",
    "guide-terms": "Terms",
    "guide-credits": "Credits",
}
LAYOUTS = (
    ("class-folders", "Folders of files", "class-folders.zip", "Images, sound or video: a folder for each class."),
    ("labelled-files", "Files and a table of labels", "labelled-files.zip", "A CSV with file names and labels."),
    ("table", "Table", "table.csv", "A sample per row, with or without a header; the class in any column."),
    ("texts", "Texts", "texts.csv", "A text and its class per row, or one .txt file per text in class folders."),
    ("series", "Time series", "series.csv", "A series per row, its readings in columns, and its class."),
    ("bundle", "AutoDL data set", "autodl-bundle.zip", "NAME.data and NAME.solution; the given split is kept."),
)
STEPS = ((10.0, 0.5), (60.0, 0.75), (300.0, 0.9))  # (t in s, NAUC) of the figure at first
WIDTH, HEIGHT = 600, 260
TICKS = (("10 s", 10), ("1 min", 60), ("5 min", 300), ("20 min", 1200))


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    return _render(request, name, {})


@require_safe
def kit(request: HttpRequest) -> HttpResponse:
    starters = Dataset.objects.filter(starter=True, public=True, state=Dataset.State.READY).order_by("created")
    return _render(request, "guide-kit", {"starters": starters})


@require_safe
def layouts(request: HttpRequest) -> HttpResponse:
    return _render(request, "guide-format", {"layouts": LAYOUTS})


@require_safe
def score(request: HttpRequest) -> HttpResponse:
    """The figure as it is without JavaScript; static/js/score.js makes its steps movable."""
    times, naucs = zip(*STEPS, strict=True)
    x, y = engine.curve.step_curve(times, naucs)
    corners = [(round(WIDTH * at, 1), round(HEIGHT * (1 - value), 1)) for at, value in zip(x, y, strict=True)]
    line = f"M{corners[0][0]} {corners[0][1]}" + "".join(f"H{at}V{value}" for at, value in corners[1:])
    ticks = [(label, round(WIDTH * engine.curve.time_transform(t), 1)) for label, t in TICKS]
    handles = [
        {"t": t, "nauc": nauc, "x": at, "y": value} for (t, nauc), (at, value) in zip(STEPS, corners[1:], strict=False)
    ]
    shown = {"line": line, "area": f"{line}V{HEIGHT}H0Z", "handles": handles, "ticks": ticks}
    size = {"width": WIDTH, "height": HEIGHT, "alc": engine.curve.alc(times, naucs)}
    return _render(request, "guide-score", shown | size)


@require_safe
def text(request: HttpRequest, name: str) -> HttpResponse:
    return _render(request, f"guide-{name}", {"name": name, "body": _body(name)})


class TextForm(forms.ModelForm):
    class Meta:
        model = Text
        fields = ("body",)
        labels = {"body": "Text"}
        widgets = {"body": forms.Textarea(attrs={"rows": 16})}
        help_texts = {"body": "An empty line begins a paragraph; addresses become links. Empty: the original text."}


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, name: str) -> HttpResponse:
    """For administrators; an empty text brings back the original."""
    if not (request.user.is_authenticated and request.user.is_staff):
        raise Http404
    form = TextForm(request.POST or None, initial={"body": _body(name)})
    form.fields["body"].required = False
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["body"]:
            Text.objects.update_or_create(page=name, defaults=form.cleaned_data)
        else:
            Text.objects.filter(page=name).delete()
        messages.success(request, "The text is saved.")
        return redirect(f"guide-{name}")
    return _render(request, f"guide-{name}", {"name": name, "form": form}, "guide/edit.html")


@require_safe
def sample(request: HttpRequest, name: str) -> HttpResponse:
    if name not in SAMPLES:
        raise Http404
    kind = "application/zip" if name.endswith(".zip") else "text/csv; charset=utf-8"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(SAMPLES[name](), content_type=kind, headers=headers)


@require_safe
def script(request: HttpRequest) -> HttpResponseBase:
    return stream_file(SCRIPT, SCRIPT.name, "text/x-python")


@require_safe
def starter(request: HttpRequest, dataset_id: str) -> HttpResponseBase:
    """The raw upload of a starter data set."""
    found = get_object_or_404(Dataset, id=dataset_id, starter=True, public=True)
    return stream_file(found.raw_path, found.raw_name)


def _body(name: str) -> str:
    own = Text.objects.filter(page=name).first()
    return own.body if own else TEXTS[name][1]


def _render(request: HttpRequest, name: str, context: dict[str, Any], template: str = "") -> HttpResponse:
    pages = list(PAGES.items())
    known = {"pages": pages, "here": name, "title": PAGES[name]}
    kind = "guide-text" if name in ("guide-terms", "guide-credits") else name
    return render(request, template or f"guide/{kind.removeprefix('guide-')}.html", known | context)
