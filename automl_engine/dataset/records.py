"""TFRecord framing and the SequenceExample codec, without TensorFlow.

A record on disk is ``uint64 length | uint32 masked crc(length) | data | uint32 masked crc(data)``, little endian,
with CRC-32C masked as in TensorFlow's ``lib/hash/crc32c.h``.  The data is a protobuf message (field numbers of
``core/example/{example,feature}.proto``)::

    SequenceExample {context: Features = 1, feature_lists: FeatureLists = 2}
    Features {feature: map<string, Feature> = 1}     FeatureLists {feature_list: map<string, FeatureList> = 1}
    FeatureList {feature: repeated Feature = 1}      Feature {bytes_list = 1 | float_list = 2 | int64_list = 3}

A series stores one Feature a time step (10 bytes for one audio sample), all with the same head: such a list is
one numpy structured array, read and written at memory speed.  Every other layout takes the general parser.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from mmap import mmap
from typing import Any

import numpy as np

Feature = list[bytes] | np.ndarray
"""Byte strings, or a 1-D float32 or int64 array."""
FeatureList = Sequence[Feature] | np.ndarray
"""One Feature a time step; a (T, n) float32 array where every step holds n floats."""

_CRC = struct.Struct("<I")
HEADER_BYTES, FOOTER_BYTES = 12, _CRC.size
_BYTES = [bytes((value,)) for value in range(128)]
_FLOAT_LIST_TAG = 2 << 3 | 2
_ROW = "0_dense_input"
_ID_KEY = b"\n\x02id"


class CorruptRecord(ValueError):
    """The bytes are not the record they claim to be."""


# Framing


@cache
def _crc32c() -> Callable[[bytes], int]:
    import google_crc32c  # late: an exported model carries this file but reads no records

    return google_crc32c.value


def masked_crc(data: bytes) -> int:
    crc = _crc32c()(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(data: bytes) -> bytes:
    """One whole record as it stands in the file."""
    length = struct.pack("<Q", len(data))
    return b"".join((length, _CRC.pack(masked_crc(length)), data, _CRC.pack(masked_crc(data))))


def bad_header(headers: Sequence[bytes]) -> tuple[int, str] | None:
    """The first of some records' ``HEADER_BYTES`` bytes that is not what it claims to be, and why."""
    whole = [header for header in headers if len(header) == HEADER_BYTES]  # the last may be cut off
    table = np.frombuffer(b"".join(whole), np.uint8).reshape(-1, HEADER_BYTES)
    sums = np.ascontiguousarray(table[:, 8:]).view("<u4")[:, 0]
    damaged = np.flatnonzero(masked_crcs(np.ascontiguousarray(table[:, :8])) != sums)
    if len(damaged):
        return int(damaged[0]), "its length field is damaged (bad checksum)"
    return (len(whole), "it is cut off") if len(whole) < len(headers) else None


def checked(data: bytes, file: bytes | mmap, end: int) -> bytes:
    """The data of a record, once its checksum, which stands at ``end`` of ``file``, is seen to be right."""
    crc = _crc32c()(data)
    if _CRC.unpack_from(file, end)[0] != ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF:
        raise CorruptRecord("its content is damaged (bad checksum)")
    return data


def masked_crcs(datas: np.ndarray) -> np.ndarray:
    """(n,) uint32, the checksum of each row of (n, size) uint8."""
    rows = datas.view(f"V{datas.shape[1]}").ravel().tolist()
    crcs = np.fromiter(map(_crc32c(), rows), np.uint32, len(rows))
    return (crcs >> 15 | crcs << 17) + np.uint32(0xA282EAD8)


# Writing


def encode_example(context: Mapping[str, Feature] | bytes, lists: Mapping[str, FeatureList]) -> bytes:
    """A serialized SequenceExample.  A float feature must be float32, an integer feature int64.

    Args:
        context: bytes are what ``encode_context`` made.
    """
    entries = context if isinstance(context, bytes) else encode_context(context)
    row = lists.get(_ROW) if len(lists) == 1 else None
    if isinstance(row, np.ndarray) and len(row) == 1 and row.size:  # of millions of rows, only the floats differ
        return _message(1, entries) + _row_wrapper(row.shape[1]) + row.astype("<f4", copy=False).tobytes()
    return _message(1, entries) + _encode_lists(lists)


def encode_context(features: Mapping[str, Feature]) -> bytes:
    """The entries of a context; those of several calls may be joined."""
    return b"".join(_message(1, _map_entry(key, _encode_feature(value))) for key, value in features.items())


def _encode_lists(lists: Mapping[str, FeatureList]) -> bytes:
    return _message(2, b"".join(_message(1, _map_entry(key, _encode_list(value))) for key, value in lists.items()))


def _encode_list(steps: FeatureList) -> bytes:
    if not isinstance(steps, np.ndarray):
        return b"".join(_message(1, _encode_feature(step)) for step in steps)
    n = steps.shape[1]
    head, table = _step_head(n), np.empty(len(steps), _step_dtype(n))
    table["head"] = np.frombuffer(head, f"V{len(head)}")
    table["values"] = steps
    return table.tobytes()


def _encode_feature(values: Feature) -> bytes:
    if isinstance(values, list):
        return _message(1, b"".join(_message(1, value) for value in values))
    if values.dtype == np.float32:
        content, number = values.astype("<f4", copy=False).tobytes(), 2
    elif values.dtype == np.int64:
        content, number = b"".join(_varint(int(value)) for value in values), 3
    else:
        raise TypeError(f"a feature must be bytes, float32 or int64 but got {values.dtype}")
    return _message(number, _message(1, content) if content else b"")


def _map_entry(key: str, value: bytes) -> bytes:
    return _message(1, key.encode()) + _message(2, value)


def _message(number: int, content: bytes) -> bytes:
    """A length-delimited field."""
    return b"".join((_BYTES[number << 3 | 2], _varint(len(content)), content))


def _varint(value: int) -> bytes:
    if 0 <= value < 128:
        return _BYTES[value]
    value &= 0xFFFFFFFFFFFFFFFF  # negative numbers are stored as two's complement
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


@lru_cache
def _step_head(n: int) -> bytes:
    """The bytes before the n floats of one time step: the tags and lengths of Feature, FloatList and value."""
    return _message(1, _encode_feature(np.zeros(n, np.float32)))[: -4 * n]


@lru_cache
def _step_dtype(n: int) -> np.dtype:
    return np.dtype([("head", f"V{len(_step_head(n))}"), ("values", "<f4", (n,))])


# Reading


def sole_image(data: bytes) -> bytes | None:
    """The image of an example that holds one image and no other list; None where it is laid out in another way.

    Millions of records look like this, and all that stands before the image follows from its length.
    """
    if not data.startswith(b"\n") or len(data) < 2 or data[1] > 127:  # a longer context has more than a few labels
        return None
    at = 2 + data[1]
    wrapper = _image_wrapper(len(data) - at)
    return data[at + len(wrapper) :] if wrapper and data.startswith(wrapper, at) else None


@lru_cache(1 << 16)
def _image_wrapper(size: int) -> bytes:
    """What precedes the image in FeatureLists of ``size`` bytes in all; empty where no image can make it so long."""
    wrapper = b""
    for tag in (b"\x12", b"\n", b"\n\x0c0_compressed\x12", b"\n", b"\n", b"\n"):
        rests = [size - len(tag) - n for n in (1, 2, 3, 4, 5)]
        fitting = [rest for n, rest in enumerate(rests, 1) if rest >= 0 and len(_varint(rest)) == n]
        if not fitting:
            return b""
        size = fitting[0]
        wrapper += tag + _varint(size)
    return wrapper


def sole_row(data: bytes, width: int) -> np.ndarray | None:
    """(1, width) float32 of an example that holds one step of so many floats and no other list; else None."""
    if not data.startswith(b"\n") or len(data) < 2 or data[1] > 127:  # as in sole_image
        return None
    if len(data) < 4 * width:  # before anything is made of a width that may be a lie
        return None
    at, wrapper = 2 + data[1], _row_wrapper(width)
    if len(data) - at - len(wrapper) != 4 * width or not data.startswith(wrapper, at):
        return None
    return np.frombuffer(data, "<f4", width, at + len(wrapper)).astype(np.float32).reshape(1, width)


def sole_rows(datas: np.ndarray, width: int) -> np.ndarray | None:
    """(n, width) float32 of examples (n, size) uint8 that all hold one step of so many floats, as in ``sole_row``."""
    if datas.shape[1] < 4 * width:
        return None
    wrapper = np.frombuffer(_row_wrapper(width), np.uint8)
    context = datas.shape[1] - 4 * width - len(wrapper)
    if not 2 <= context <= 129:
        return None
    fits = (datas[:, 0] == 10) & (datas[:, 1] == context - 2)
    if not (fits & (datas[:, context : context + len(wrapper)] == wrapper).all(1)).all():
        return None
    return np.ascontiguousarray(datas[:, context + len(wrapper) :]).view("<f4").astype(np.float32, copy=False)


@lru_cache
def _row_wrapper(width: int) -> bytes:
    """What precedes the floats of a row in FeatureLists."""
    return _encode_lists({_ROW: np.zeros((1, width), np.float32)})[: -4 * width]


def decode_context(data: bytes | memoryview) -> dict[str, Feature]:
    """The context features alone; the (large) feature lists are skipped."""
    return {
        key: _decode_feature(value)
        for number, features in _fields(memoryview(data))
        if number == 1
        for _, entry in _fields(features)
        for key, value in (_key_value(entry),)
    }


def label_bytes(head: bytes) -> bytes | None:
    """The context without ``id``, as it is encoded: the same for all examples with the same labels.

    Args:
        head: the first bytes of the data.  None: more of it is needed, or it is laid out in another way.
    """
    entries = _context_entries(head)
    return None if entries is None else b"".join(head[at] for at in entries if not _is_id(head, at))


def id_span(head: bytes) -> slice | None:
    """Where the content of the context's ``id`` stands; None as in ``label_bytes``, or where there is no ``id``."""
    spans = [slice(at.start + 2 + len(_ID_KEY), at.stop) for at in _context_entries(head) or [] if _is_id(head, at)]
    return spans[0] if spans else None


def _is_id(head: bytes, entry: slice) -> bool:
    return head.startswith(_ID_KEY, entry.start + 2)


def _context_entries(head: bytes) -> list[slice] | None:
    """Where each entry of the context stands, tag and length included."""
    if len(head) < 2 or head[0] != 10 or head[1] > 127 or head[1] + 2 > len(head):
        return None
    at, end, found = 2, head[1] + 2, []
    while at < end:
        if at + 1 == len(head):
            return None
        next_at = at + 2 + head[at + 1]  # a length of more than one byte fails the test below
        if head[at] != 10 or next_at > end:
            return None
        found.append(slice(at, next_at))
        at = next_at
    return found


def decode_lists(data: bytes) -> dict[str, FeatureList]:
    """The feature lists by name."""
    return {
        key: _decode_list(value)
        for number, lists in _fields(memoryview(data))
        if number == 2
        for _, entry in _fields(lists)
        for key, value in (_key_value(entry),)
    }


def _decode_list(view: memoryview) -> FeatureList:
    fast = _decode_steps(view)
    if fast is not None:
        return fast
    steps = [_decode_feature(value) for _, value in _fields(view)]
    arrays = [step for step in steps if isinstance(step, np.ndarray) and step.dtype == np.float32]
    if steps and len(arrays) == len(steps) and len({len(array) for array in arrays}) == 1:
        return np.stack(arrays)
    return steps


def _decode_steps(view: memoryview) -> np.ndarray | None:
    """(T, n) float32 when every step has the head of a packed list of n floats, else None."""
    first = _bytes(next((step for _, step in _fields(view)), memoryview(b"")))
    if not first or first[0] != _FLOAT_LIST_TAG:
        return None
    n = len(_decode_feature(first))
    head, dtype = _step_head(n), _step_dtype(n)
    if not n or len(view) % dtype.itemsize:
        return None
    table = np.frombuffer(view, dtype)
    return table["values"].copy() if table["head"].tobytes() == head * len(table) else None


def _decode_feature(view: memoryview) -> Feature:
    out: Feature = []
    for number, value in _fields(view):  # a oneof: the last one counts
        if number == 1:
            out = [bytes(_bytes(item)) for _, item in _fields(value)]
        elif number == 2:
            out = np.frombuffer(b"".join(_bytes(part) for _, part in _fields(value)), "<f4").astype(np.float32)
        elif number == 3:
            out = np.array([item for _, part in _fields(value) for item in _integers(part)], np.int64)
    return out


def _integers(part: memoryview | int) -> Iterator[int]:
    """Signed 64-bit integers, packed or single."""
    if isinstance(part, int):
        yield _signed(part)
        return
    at = 0
    while at < len(part):
        value, at = _read_varint(part, at)
        yield _signed(value)


def _signed(value: int) -> int:
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >> 63 else value


def _key_value(entry: memoryview) -> tuple[str, memoryview]:
    found: dict[int, memoryview] = {1: memoryview(b""), 2: memoryview(b"")}
    found.update(_fields(entry))
    return bytes(_bytes(found[1])).decode(), _bytes(found[2])


def _bytes(value: Any) -> memoryview:
    """``bytes`` of a number would be as many zeros."""
    if not isinstance(value, memoryview):
        raise CorruptRecord("it holds a number where a message should be")
    return value


def _fields(view: memoryview) -> Iterator[tuple[int, Any]]:
    """Field numbers and contents of a message: an int where it is a varint, else a memoryview."""
    at, end = 0, len(_bytes(view))
    while at < end:
        tag, at = _read_varint(view, at)
        kind = tag & 7
        if kind == 0:
            value, at = _read_varint(view, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _read_varint(view, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise CorruptRecord(f"it holds a field of unknown kind {kind}")
        if at + size > end:
            raise CorruptRecord("a field in it is cut off")
        yield tag >> 3, view[at : at + size]
        at += size


def _read_varint(view: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(view) or shift > 63:
            raise CorruptRecord("a number in it is cut off")
        byte = view[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
