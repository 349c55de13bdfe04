"""``manage.py notices``: THIRD_PARTY_NOTICES.md, from what the installed packages say of themselves."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from packaging.requirements import Requirement

HEAD = """# Third-party notices

AutoDL Self-Service is under the Apache License 2.0 (LICENSE). It uses these packages, each under the licence that it
names itself; `pip` installs their licence texts with them. This list is written by `python manage.py notices`.

Builds of torch for a GPU bring libraries of NVIDIA under NVIDIA's own terms. In `static/vendor` lie plotly.js and
tus-js-client (MIT), with their licence texts. One baseline needs a further package, which only
`requirements-baselines.txt` brings: CatBoost (Apache-2.0).

| package | licence | home |
|---|---|---|
"""
OF_DEVICES = re.compile(r"nvidia-(?!ml-py)|triton|cuda-")
"""Packages that only a build for a GPU brings."""
HOMES = ("homepage", "home", "home page", "source", "source code", "repository", "github", "documentation")
MOST_LETTERS = 60  # some give the whole text of the licence as its name


def notices_path() -> Path:
    return settings.BASE_DIR / "THIRD_PARTY_NOTICES.md"


def installed() -> dict[str, Distribution]:
    """The packages of requirements.txt that are installed here, and what they need, by normalized name."""
    lines = (settings.BASE_DIR / "requirements.txt").read_text().splitlines()
    todo = [Requirement(line) for line in lines if line and not line.startswith("#")]
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    while todo:
        requirement = todo.pop()
        name = normalized(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in asked or OF_DEVICES.match(name):
                continue
            asked.add((name, extra))
            try:
                found[name] = distribution(name)
            except PackageNotFoundError:  # for another platform
                continue
            needs = map(Requirement, found[name].requires or [])
            todo += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return dict(sorted(found.items()))


def normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(about: PackageMetadata) -> str:
    """The licence in the package's own words, as short as it gives them."""
    classes = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier") or [] if line.startswith("License")]
    names = (*_field(about, "License-Expression"), *_field(about, "License"), ", ".join(classes))
    short = (name.strip() for name in names if name and len(name) <= MOST_LETTERS and "\n" not in name.strip())
    return next((name for name in short if name not in ("", "UNKNOWN")), "see its licence file")


def _field(about: PackageMetadata, name: str) -> list[str]:
    return about.get_all(name) or []


def home(about: PackageMetadata) -> str:
    urls = dict(url.lower().split(", ", 1) for url in about.get_all("Project-URL") or [])
    places = (*_field(about, "Home-page"), *(urls.get(label) for label in HOMES))
    return next((place for place in places if place and place.startswith("http")), "")


def text() -> str:
    lines = (f"| {name} | {licence(of.metadata)} | {home(of.metadata)} |\n" for name, of in installed().items())
    return HEAD + "".join(lines)


class Command(BaseCommand):
    help = "Write THIRD_PARTY_NOTICES.md."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        notices_path().write_text(text(), encoding="utf-8")
