"""What a data set looks like: shapes, classes, sizes; to and from ``metadata.textproto``.

The file is a protobuf text of the challenge's ``DataSpecification`` (``docs/formats.md``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from automl_engine.errors import DataError

Format = Literal["DENSE", "SPARSE", "COMPRESSED"]
FORMATS: tuple[Format, ...] = ("DENSE", "SPARSE", "COMPRESSED")
VARIABLE = -1
MAX_CLASSES = 1_000_000
MAX_CELLS = 1 << 28  # of a step: 1 GiB of floats


@dataclass(frozen=True)
class Spec:
    """One split of a data set; -1 stands for "varies between examples".

    An example is a float32 tensor of shape (sequence_size, row_count, col_count, num_channels).
    """

    name: str
    sample_count: int
    output_dim: int
    sequence_size: int = 1
    row_count: int = 1
    col_count: int = 1
    num_channels: int = 1
    format: Format = "DENSE"
    is_sequence: bool = False
    label_to_index: Mapping[str, int] = field(default_factory=dict)
    channel_to_index: Mapping[str, int] = field(default_factory=dict)  # text: the vocabulary
    feature_to_index: Mapping[str, int] = field(default_factory=dict)  # tables: the column names

    @property
    def domain(self) -> Literal["image", "video", "text", "series", "tabular"]:
        """The rule that every multi-domain system of the challenge uses; series = audio or time series."""
        if self.sequence_size == 1:
            return "tabular" if 1 in (self.row_count, self.col_count) else "image"
        if self.row_count == self.col_count == 1:
            return "text" if self.channel_to_index else "series"
        return "video"

    @cached_property
    def labels(self) -> list[str]:
        """Class names by index; a class without a name is called by its index."""
        names = [str(index) for index in range(self.output_dim)]
        for name, index in self.label_to_index.items():
            names[index] = name
        return names

    @cached_property
    def vocabulary(self) -> dict[int, str]:
        """Token by index (text only)."""
        return {index: token for token, index in self.channel_to_index.items()}

    def with_count(self, sample_count: int) -> Spec:
        return replace(self, sample_count=sample_count)

    def to_textproto(self) -> str:
        """``sample_count`` stands in the first three lines: the winners' code looks for it there."""
        flag = str(self.is_sequence).lower()
        lines = [
            f"is_sequence: {flag}",
            f"sample_count: {self.sample_count}",
            f"sequence_size: {self.sequence_size}",
            f"output_dim: {self.output_dim}",
            "matrix_spec {",
            f"  col_count: {self.col_count}",
            f"  row_count: {self.row_count}",
            f"  num_channels: {self.num_channels}",
            "  is_sequence_col: false",
            "  is_sequence_row: false",
            f"  has_locality_col: {str(self.domain in ('image', 'video')).lower()}",
            f"  has_locality_row: {str(self.domain in ('image', 'video')).lower()}",
            f"  format: {self.format}",
            "}",
        ]
        for key in ("label_to_index", "channel_to_index", "feature_to_index"):
            for name, value in getattr(self, key).items():
                lines += [f"{key}_map {{", f"  key: {_quote(name)}", f"  value: {value}", "}"]
        return "\n".join(lines) + "\n"

    @classmethod
    def read(cls, path: Path) -> Spec:
        """Read ``metadata.textproto``; the name is taken from the ``NAME.data`` folder above it.

        Raises:
            DataError: the file is not a DataSpecification that we can use.
        """
        data_dir = next((p for p in path.resolve().parents if p.suffix == ".data"), path.parent)
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise DataError(f"{path.parent.name}/{path.name} is missing; every split needs this file.") from None
        except UnicodeDecodeError:
            raise DataError(f"{path.parent.name}/{path.name} is no text in UTF-8; get the file again.") from None
        return cls.parse(text, name=data_dir.stem)

    @classmethod
    def parse(cls, text: str, name: str) -> Spec:
        try:
            return cls._from_message(_parse_textproto(text), name)
        except (ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
            raise DataError(f"metadata.textproto of {name} cannot be read ({error}).") from error

    @classmethod
    def _from_message(cls, message: dict[str, list[Any]], name: str) -> Spec:
        matrices = message.get("matrix_spec", [])
        if len(matrices) != 1:
            raise ValueError(f"it has {len(matrices)} matrix_spec blocks; exactly one is needed")
        matrix = matrices[0]
        format_ = str(_last(matrix, "format", "SPARSE" if _last(matrix, "is_sparse", False) else "DENSE"))
        format_ = FORMATS[int(format_)] if format_.isdecimal() else format_
        if format_ not in FORMATS:
            raise ValueError(f"format must be one of {FORMATS} but got {format_!r}")
        channels = int(_last(matrix, "num_channels", -1))
        if channels == -1:
            channels = 3 if format_ == "COMPRESSED" else 1
        maps = {
            key: {
                str(_last(entry, "key", "")): int(_last(entry, "value", 0)) for entry in message.get(f"{key}_map", [])
            }
            for key in ("label_to_index", "channel_to_index", "feature_to_index")
        }
        spec = cls(
            name=name,
            sample_count=int(_last(message, "sample_count", 0)),
            output_dim=int(_last(message, "output_dim", 0)),
            sequence_size=int(_last(message, "sequence_size", 1)),
            row_count=int(_last(matrix, "row_count", -1)),
            col_count=int(_last(matrix, "col_count", -1)),
            num_channels=channels,
            format=format_,
            is_sequence=bool(_last(message, "is_sequence", False)),
            **maps,
        )
        spec._check()
        return spec

    def _check(self) -> None:
        """Raises ValueError for sizes and indices that no data set has."""
        for key in ("sequence_size", "row_count", "col_count", "num_channels"):
            if not (getattr(self, key) == VARIABLE or getattr(self, key) >= 1):
                raise ValueError(f"{key} must be -1 or at least 1 but got {getattr(self, key)}")
        if self.sample_count < 0 or not 1 <= self.output_dim <= MAX_CLASSES:
            raise ValueError(f"output_dim must be in [1, {MAX_CLASSES}] and sample_count not negative")
        if self.row_count * self.col_count * self.num_channels > MAX_CELLS:
            raise ValueError(f"its shape has more than {MAX_CELLS:,} cells a step")
        wrong = [name for name, index in self.label_to_index.items() if not 0 <= index < self.output_dim]
        wrong += [name for name, at in self.feature_to_index.items() if not 0 <= at < max(1, self.col_count)]
        if wrong:
            raise ValueError(f"the index of {wrong[0]!r} is out of range")


def _last(message: dict[str, list[Any]], key: str, default: Any) -> Any:
    return message[key][-1] if message.get(key) else default


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|[;,]            # skipped
      |(?P<string>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
      |(?P<mark>[{}<>:])
      |(?P<word>[^\s{}<>:;,'"\#]+)""",
    re.VERBOSE | re.DOTALL,
)

_ENTRY = re.compile(
    r"""^(\w+_to_index_map)\ \{\n
        \s+key:\ ('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")\n
        \s+value:\ (\d+)\n
        \}$""",
    re.VERBOSE | re.MULTILINE,
)
"""An entry of a map as protobuf and we write it: vocabularies have tens of thousands, too many for the tokens' loop."""


def _quote(text: str) -> str:
    out = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return "'" + "".join(c if c.isprintable() else "".join(f"\\{b:03o}" for b in c.encode()) for c in out) + "'"


def _unquote(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    out = bytearray()
    for plain, octal, hexa, other in re.findall(
        r"([^\\]+)|\\([0-7]{1,3})|\\[xX]([0-9a-fA-F]{1,2})|\\(.)", token[1:-1], re.DOTALL
    ):
        if octal or hexa:
            out.append(int(octal, 8) & 255 if octal else int(hexa, 16))
        else:
            out += (plain or _ESCAPES.get(other, other)).encode("utf-8", "surrogatepass")
    return out.decode("utf-8", "replace")


def _scalar(kind: str, token: str) -> Any:
    if kind == "string":
        return _unquote(token)
    if token in ("true", "false"):
        return token == "true"
    return int(token, 0) if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)", token) else token


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f"unexpected {text[at]!r} in line {text.count(chr(10), 0, at) + 1}")
        at = match.end()
        if match.lastgroup:
            yield match.lastgroup, match.group()


def _parse_textproto(text: str) -> dict[str, list[Any]]:
    """A message as field -> values, in order; nested messages likewise."""
    root: dict[str, list[Any]] = {}

    def take(entry: re.Match[str]) -> str:
        name, key, value = entry.groups()
        root.setdefault(name, []).append({"key": [_unquote(key)], "value": [int(value)]})
        return "\n\n\n"  # lines keep their numbers

    stack = [root]
    tokens = _tokens(_ENTRY.sub(take, text))
    for kind, token in tokens:
        if token in "}>" and kind == "mark":
            if len(stack) == 1:
                raise ValueError("a closing bracket without an opening one")
            stack.pop()
            continue
        if kind != "word":
            raise ValueError(f"expected a field name but got {token!r}")
        value_kind, value = next(tokens, ("", ""))
        if value == ":" and value_kind == "mark":
            value_kind, value = next(tokens, ("", ""))
        if value_kind == "mark" and value in "{<":
            child: dict[str, list[Any]] = {}
            stack[-1].setdefault(token, []).append(child)
            stack.append(child)
        elif value_kind in ("string", "word"):
            stack[-1].setdefault(token, []).append(_scalar(value_kind, value))
        else:
            raise ValueError(f"field {token!r} has no value")
    if len(stack) > 1:
        raise ValueError("a bracket is not closed")
    return root
