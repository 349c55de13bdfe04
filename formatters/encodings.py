"""The encoding of texts and of names: a mark at the start, UTF-8, UTF-16, and else the likeliest of the old ones.

decode_text(path) serves all readers; likeliest(data, encodings) tells old encodings apart by the languages they write.
Within ``with deciding(chosen) as decision`` a user's choice goes first, and what was decided is kept for the report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from automl_engine.errors import DataError

SAMPLE_BYTES, LOOK_LINES = 200_000, 1000
UTF_8 = ("utf-8", "utf-8-sig")
LATIN = ("cp1252", "cp1250", "cp1254", "iso8859_2", "iso8859_9", "mac_roman", "cp850")  # in order of preference
OTHERS = (
    *("gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1251", "koi8_r", "cp866", "cp1253", "cp1255", "cp1256"),
    "cp874",
)
ALPHABETS = (  # letters beyond ASCII; a text has those of one language, however few it is
    *("äöüß", "àâæçéèêëîïôœùûüÿ", "áéíñóúü", "àèéìîòóù", "ãâáàçéêíóôõú", "åäöé", "æøåé", "áéëèïíóöüĳ", "ðþæáéíóúýö"),
    *("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîșțşţ", "čćđšž", "çğıöşüâîû"),
)
LEADS = {  # the first bytes of frequent characters: rare ones alone are another encoding, misread
    "gb18030": (0xB0, 0xD7),
    "big5": (0xA4, 0xC6),
    "cp932": (0x82, 0x97),
    "euc_jp": (0xA4, 0xCF),
    "cp949": (0xB0, 0xC8),
}
_KANA = "".join(map(chr, range(0x3041, 0x30FB)))
FREQUENT = {  # characters that make up a good part of any text
    "gb18030": "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作",
    "big5": "的一是不了在人有我他這個們中來上大為和國地到以說時要就出會可也你對生能而子那得於著下自之年過發後作",
    "cp932": _KANA,
    "euc_jp": _KANA,
    "cp949": "이다는에의가을로하고지도한기사나어대리시자있은서아인를해들그으일수정과만니게부전여보라무제주안것상스연",
}
MIN_FREQUENT, SURELY_FREQUENT = 0.1, 0.5
LETTERS = {  # that make up most of any text in an alphabet of its own
    **dict.fromkeys(("cp1251", "koi8_r", "cp866"), "оеаинтсрвлкмдпуя"),
    "cp1253": "αοιετσνηυρπκμλςόάί",
    "cp1255": "יוהלאתרמבשנדעחק",
    "cp1256": "اليمونرتبةعدسفكهق",
    "cp874": "านรอกเงมยลวดทสตปบคห",
}
MIN_LETTERS = 0.55
USUAL_SYMBOLS = "°€£§©®™«»“”„‘’–—…•·±²³µ×¿¡½¼¾ªº´\u00a0\u00ad"  # of texts in Latin letters
SYMBOL = re.compile(r"[^\w\s\x00-\x7f\u0591-\u05c7\u064b-\u0652\u0e31-\u0e4e]")  # and no vowel sign
MIXED = re.compile(r"[a-zA-Z](?=[^\W\d_a-zA-Z])|(?<=[^\W\d_a-zA-Z])[a-zA-Z]")  # of two alphabets in one word
HIGH = re.compile(r"[^\W\d_a-zA-Z]")
NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
PAIRS = re.compile(rb"(?:[\x80-\xff]{2})+")
RARE = 0.05  # share of the letters that may be those of names from elsewhere
MAX_RARE_CHARACTERS = 0.2
SHOWN_WORDS, SHOWN_CHARS = 3, 20
NAMES = {  # for people
    "cp1252": "Western (Windows-1252)",
    "cp1250": "Central European (Windows-1250)",
    "iso8859_2": "Central European (ISO 8859-2)",
    "cp1254": "Turkish (Windows-1254)",
    "iso8859_9": "Turkish (ISO 8859-9)",
    "mac_roman": "Western (Mac)",
    "cp850": "Western (DOS, 850)",
    "cp437": "Western (DOS, 437)",
    "gb18030": "Chinese, simplified (GB 18030)",
    "big5": "Chinese, traditional (Big5)",
    "cp932": "Japanese (Shift JIS)",
    "euc_jp": "Japanese (EUC-JP)",
    "cp949": "Korean (EUC-KR)",
    "cp1251": "Cyrillic (Windows-1251)",
    "koi8_r": "Cyrillic (KOI8-R)",
    "cp866": "Cyrillic (DOS, 866)",
    "cp1253": "Greek (Windows-1253)",
    "cp1255": "Hebrew (Windows-1255)",
    "cp1256": "Arabic (Windows-1256)",
    "cp874": "Thai (Windows-874)",
}


@dataclass
class Decision:
    """The encoding that a user chose ("": none), and the first bytes for which one was looked for, with the answer."""

    chosen: str = ""
    data: bytes = b""
    encoding: str = ""

    def readings(self) -> list[dict[str, Any]]:
        """Words of the data in each encoding that can be meant: {"name", "title", "sample"}; the one taken first."""
        found: dict[str, str] = {}
        for encoding in dict.fromkeys((self.encoding, *NAMES)) if self.encoding else ():
            sample = _sample(self.data, encoding) if _decodes(self.data, encoding) else ""
            if sample and sample not in found.values():
                found[encoding] = sample
        return [{"name": name, "title": NAMES.get(name, name), "sample": sample} for name, sample in found.items()]


_decision: ContextVar[Decision | None] = ContextVar("decision", default=None)


@contextmanager
def deciding(chosen: str | None) -> Iterator[Decision]:
    """Read what is not UTF-8 in the ``chosen`` encoding.

    Raises:
        DataError: there is no such encoding.
    """
    if chosen:
        try:
            "a".encode(chosen)  # Python also knows codecs that are no encodings of text, such as base64
        except (LookupError, ValueError):
            known = ", ".join(NAMES)
            raise DataError(f"there is no encoding {chosen!r}; give one that Python knows, such as {known}.") from None
    decision = Decision(chosen or "")
    token = _decision.set(decision)
    try:
        yield decision
    finally:
        _decision.reset(token)


def _sample(data: bytes, encoding: str) -> str:
    """The first words with letters beyond ASCII."""
    words = re.findall(r"[^\W\d_]*[^\W\d_a-zA-Z][^\W\d_]*", data.decode(encoding))
    return ", ".join(word[:SHOWN_CHARS] for word in list(dict.fromkeys(words))[:SHOWN_WORDS])


def decode_text(path: Path) -> tuple[str, str]:
    """The text of a file and its encoding.

    Raises:
        DataError: the file is no text.
    """
    data = path.read_bytes()
    if data[:512].lstrip()[:9].lower() in (b"<!doctype", b"<html>"):
        raise DataError(f"{path.name} is a web page, not a table; download the file itself (often under 'Raw').")
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        raise DataError(f"{path.name} is an Excel workbook or an archive, not a text file; save the sheet as CSV.")
    if text := _mostly_utf_8(data):
        return text, UTF_8[0]
    encoding = _encoding(data)
    if encoding is None:
        raise DataError(f"{path.name} is a binary file, not text; save it as CSV or plain text in UTF-8.")
    decision = _decision.get()
    if decision and decision.chosen and encoding in (*LATIN, *OTHERS, "latin-1") and encoding != decision.chosen:
        raise DataError(f"{path.name} is not written in {decision.chosen}; choose another encoding, or none.")
    return data.decode(encoding), encoding


def _mostly_utf_8(data: bytes) -> str:
    """The text of a file put together of UTF-8 and of fewer lines in an old encoding; "" if it is none."""
    if b"\0" in data or data.isascii() or _decodes(data, "utf-8"):
        return ""
    lines = data.split(b"\n")
    written = [line for line in lines if not line.isascii()]
    if any(
        2 * sum(not _decodes(line, "utf-8") for line in some) >= len(some) for some in (written[:LOOK_LINES], written)
    ):
        return ""
    others = {at: line for at, line in enumerate(lines) if not _decodes(line, "utf-8")}
    encoding = likeliest(b"\n".join(others.values()), (*LATIN, *OTHERS)) or "latin-1"
    text = "\n".join(line.decode(encoding if at in others else "utf-8") for at, line in enumerate(lines))
    return text.removeprefix("\ufeff")


def _encoding(data: bytes) -> str | None:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16" if _decodes(data, "utf-16") else None
    if b"\0" in data[:SAMPLE_BYTES]:
        odd, even = data[1:SAMPLE_BYTES:2].count(0), data[0:SAMPLE_BYTES:2].count(0)
        guess = "utf-16-le" if odd > 4 * even else "utf-16-be"
        mostly_ascii = max(odd, even) > 0.35 * len(data[:SAMPLE_BYTES])
        return guess if mostly_ascii and _decodes(data, guess) else None
    if len(re.findall(rb"[\x01-\x08\x0e-\x1a]", data[:SAMPLE_BYTES])) > 0.01 * len(data[:SAMPLE_BYTES]):
        return None
    utf_8 = UTF_8[data.startswith(b"\xef\xbb\xbf")]
    return utf_8 if _decodes(data, utf_8) else likeliest(data, (*LATIN, *OTHERS)) or "latin-1"


def likeliest(data: bytes, encodings: Sequence[str]) -> str | None:
    """The encoding that the user chose, if it fits, else the one of these that wrote the data; None if none can."""
    decision = _decision.get() or Decision()
    fits = decision.chosen and _decodes(data, decision.chosen)
    found = decision.chosen if fits else _detected(data, encodings)
    if found and not decision.encoding:
        whole = data.rfind(b"\n", 0, SAMPLE_BYTES) + 1 if len(data) > SAMPLE_BYTES else len(data)
        decision.data, decision.encoding = data[: whole or SAMPLE_BYTES], found
    return found


def _detected(data: bytes, encodings: Sequence[str]) -> str | None:
    possible = [encoding for encoding in encodings if _decodes(data, encoding)]
    sample = b"\n".join({line: None for line in data[:SAMPLE_BYTES].split(b"\n") if not line.isascii()})
    if len(data) > SAMPLE_BYTES:  # the cut may part a character
        sample = sample[: sample.rfind(b"\n") + 1] or sample
    latin = {encoding: _latin_fit(sample.decode(encoding, "ignore")) for encoding in possible if encoding in LATIN}
    fitting = max(latin, key=latin.__getitem__, default=None)
    if fitting and latin[fitting] >= 1 - RARE:
        return fitting
    others = [encoding for encoding in possible if encoding not in LATIN and _is_common(sample, encoding)]
    eastern = max((e for e in others if e in LEADS), key=lambda e: _frequent_share(sample, e), default=None)
    if eastern and _frequent_share(sample, eastern) >= SURELY_FREQUENT:
        return eastern
    if "gb18030" in others and all(map(PAIRS.fullmatch, re.findall(rb"[\x80-\xff]+", sample))):
        return _by_frequency(sample, [e for e in others if e in LEADS], "gb18030")
    alphabets = {encoding: _letter_share(sample, encoding) for encoding in others if encoding in LETTERS}
    best = max(alphabets, key=alphabets.__getitem__, default=None)
    if best and alphabets[best] >= MIN_LETTERS:
        return best
    return _by_frequency(sample, others) or (fitting if fitting and latin[fitting] > 0 else best or fitting)


def _latin_fit(text: str) -> float:
    """The share of letters beyond ASCII that belong to one language, as far as they stand among ASCII letters."""
    letters = HIGH.findall(text)
    if not letters:  # units and currencies, each by itself
        return float(all(len(run) == 1 and run in USUAL_SYMBOLS for run in NOT_ASCII.findall(text)))
    words = "".join(set(re.findall(r"[^\W\d_]+", text)))  # each once: a short one may stand in every row
    if len(HIGH.findall(words)) > len(re.findall("[a-zA-Z]", words)):  # it is another script
        return 0.0
    if not MIXED.search(text) and re.search(r"[^\W\d_a-zA-Z]{3}", text):
        return 0.0
    folded = [letter.lower() for letter in letters]
    strange = sum(  # capitals inside of words
        one.islower() and other.isupper() and one.isascii() + other.isascii() < 2 for one, other in pairwise(text)
    )
    best = max(sum(letter in alphabet for letter in folded) for alphabet in ALPHABETS)
    symbols = len(re.findall(r"(?<=[^\W\d_])[^\w\s\x00-\x7f’](?=[^\W\d_])", text))  # but for an apostrophe
    symbols += sum(char not in USUAL_SYMBOLS for char in re.findall(r"[^\w\x00-\x7f]", text))
    return (best - strange) / (len(letters) + symbols)


def _is_common(sample: bytes, encoding: str) -> bool:
    """Are most characters of an East Asian encoding frequent ones?"""
    if encoding not in LEADS:
        return True
    first, last = LEADS[encoding]
    letters = [letter.encode(encoding)[0] for letter in HIGH.findall(sample.decode(encoding, "ignore"))]
    return sum(not first <= lead <= last for lead in letters) <= MAX_RARE_CHARACTERS * len(letters)


def _letter_share(sample: bytes, encoding: str) -> float:
    """The share of frequent letters; capitals inside of words, words of two alphabets and symbols count against it."""
    text = sample.decode(encoding, "ignore")
    letters = HIGH.findall(text)
    capitals = sum(1 if one.islower() else one.isupper() / 4 for one, other in pairwise(text) if other.isupper())
    frequent = sum(letter.lower() in LETTERS[encoding] for letter in letters)
    symbols = len(SYMBOL.findall(text))
    return (frequent - capitals - symbols - len(MIXED.findall(text))) / max(1, len(letters))


def _frequent_share(sample: bytes, encoding: str) -> float:
    letters = HIGH.findall(sample.decode(encoding, "ignore"))
    return sum(letter in FREQUENT.get(encoding, "") for letter in letters) / max(1, len(letters))


def _by_frequency(sample: bytes, encodings: Sequence[str], else_: str = "") -> str | None:
    """By how often letters and syllables occur in the languages of each encoding."""
    best = max(encodings, key=lambda encoding: _frequent_share(sample, encoding), default=None)
    if best and _frequent_share(sample, best) >= MIN_FREQUENT:
        return best
    if else_:
        return else_
    from charset_normalizer import from_bytes  # only for texts that are not UTF-8

    match = from_bytes(sample, cp_isolation=list(encodings), enable_fallback=False).best() if encodings else None
    if match is None:
        return encodings[0] if len(encodings) == 1 else None
    return next(
        (encoding for encoding in encodings if encoding in (match.encoding, *match.could_be_from_charset)), None
    )


def _decodes(data: bytes, encoding: str) -> bool:
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
