"""The words of pages, messages and documents: no private vocabulary, and documents of a bounded length."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PHRASES = (
    "what it takes for what",
    "last word on them",
    "ask the model",
    "correct when said",
    r"95 % sure",
    "in the middle of",
    "each class in its share",
    "drawn with seed",
    r"mend\b",
    "cannot be used",
    "look at this first",
    "was set aside",
    "how long may it learn",
    "challenge's own",
    "read it differently",
    "choices of chance",
    "what the engine wrote",
    "learned what it can",
    r"broke off",
    "kept back",
    "if it stays",
    "may not do this",
    "what you may use",
    "how it goes",
    "it stands here",
    "learned in public",
    "chosen by you",
    r"is noted\b",
    r"no run of anybody",
    "is everything running",
    "better than the line",
)
"""Phrases that must appear nowhere, neither on pages nor in code."""

WORDS = (r"teach\w*", r"ladders?", r"rungs?", "newcomers?", "trunks?", "blend(s|ed)?", "first look", "quick look")
"""Words that are forbidden in prose; an identifier in code spans, template tags or attributes may contain them."""

IN_CODE = re.compile(rf"\b(?:{'|'.join(PHRASES)})", re.IGNORECASE)
IN_PROSE = re.compile(rf"\b(?:{'|'.join(PHRASES)}|(?:{'|'.join(WORDS)})\b)", re.IGNORECASE)
NO_PROSE = {
    ".html": re.compile(
        r"{%.*?%}|{{.*?}}|{#.*?#}|\b(?:action|aria-describedby|class|for|href|id|name)=\"[^\"]*\"", re.S
    ),
    ".md": re.compile(r"```.*?```|`[^`]*`|\]\([^)]*\)", re.S),
    ".js": re.compile(r"(?!)"),
}
"""What is not prose, by suffix."""

PAGES = sorted(
    path
    for pattern in ("templates/**/*.html", "static/js/*.js", "docs/*.md", "*.md")
    for path in ROOT.glob(pattern)
    if path.suffix in NO_PROSE
)
CODE = sorted(
    path
    for folder in ("webapp", "formatters", "automl_engine")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations" not in path.parts
)


def words_of(document: str) -> list[str]:
    """Words of a document; a bar alone is none."""
    return re.findall(r"[^\s|]*\w[^\s|]*", (ROOT / document).read_text("utf-8"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_uses_the_words_of_the_field(path: Path) -> None:
    prose = NO_PROSE[path.suffix].sub("", path.read_text("utf-8"))
    assert [match[0] for match in IN_PROSE.finditer(prose)] == []


def test_code_and_messages_use_plain_phrases() -> None:
    found = {
        str(path.relative_to(ROOT)): matches
        for path in CODE
        if (matches := [match[0] for match in IN_CODE.finditer(path.read_text("utf-8"))])
    }
    assert found == {}


def test_documents_are_short() -> None:
    assert len(words_of("README.md")) <= 1000
    assert len(words_of("docs/results.md")) <= 2500


def test_the_glossary_is_short_and_linked() -> None:
    glossary = (ROOT / "templates" / "ops" / "glossary.html").read_text("utf-8")
    assert glossary.count("<dt") <= 12
    assert "`/glossary`" in (ROOT / "README.md").read_text("utf-8")
