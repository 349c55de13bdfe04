"""The files that an upload holds, one by one: those of a zip, a tar, a folder, or a single (perhaps packed) file."""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from automl_engine.errors import DataError
from formatters.encodings import likeliest
from formatters.forward import COPY_BYTES, Forward, opener_of
from formatters.tables.formats import WORKBOOKS
from formatters.unpacking.limits import Tally

CODE_PAGES = ("cp850", "cp437", "cp932", "gb18030", "cp949", "big5", "cp866")  # of names in zips
MAX_SHOWN_CHARS = 200  # of a path in a message
MAX_LINK_BYTES = 4096  # of the path that a link leads to
BLIND_COPY_BYTES = 4096  # zipfile unpacks so much of bzip2 and LZMA at once, whatever comes out
MAX_BLIND_BYTES = 2**26

JUNK_NAMES = {
    *("__macosx", ".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db", "lost+found"),
    *("$recycle.bin", "system volume information", "@eadir", "#recycle", "@recycle"),
}
PACKED = re.compile(r"\.(zip|tar|t?gz|t?bz2|tbz|t?xz|lzma|tzst|zst|7z|rar)$", re.IGNORECASE)
OFFICE_SUFFIXES = {".docx", ".pdf", ".npz", ".pptx", ".numbers", ".pages", ".key", ".epub", ".odt"}
FOREIGN_PACKERS = {b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR"}
DAMAGED = (  # what the libraries raise for bytes that they do not expect
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, struct.error),
    *(ValueError, OverflowError, IndexError, RecursionError),
)


@dataclass(frozen=True)
class Member:
    """One file that the source holds; ``content`` is where its bytes come from."""

    name: str
    content: Path | IO[bytes] | None
    refused: str = ""  # why it can never be unpacked
    link: str = ""  # where a link leads, from its own folder; code may hold some, data may not
    copy_bytes: int = COPY_BYTES  # read at once


class _Bounded:
    """As bz2 unpacks, but what zipfile passes at once may not become gigabytes."""

    def __init__(self) -> None:
        self._bz2 = bz2.BZ2Decompressor()

    @property
    def eof(self) -> bool:
        return self._bz2.eof

    def decompress(self, data: bytes) -> bytes:
        out = self._bz2.decompress(data, MAX_BLIND_BYTES)
        if not (self._bz2.eof or self._bz2.needs_input):
            raise zipfile.BadZipFile(f"{len(data):,} bytes unpack to more than {MAX_BLIND_BYTES:,}")
        return out


def members(source: Path, tally: Tally, why: list[str], nested: bool = False) -> Iterator[Member]:
    """All files of ``source``; ``why`` takes what was guessed.

    Args:
        nested: the source lies in an archive itself, so it may be a packed file, but no archive.

    Raises:
        DataError: the source is damaged, empty, or of a kind that we cannot open.
    """
    suffix = source.suffix.lower()
    if source.is_dir():
        yield from _folder_members(source)
        return
    if not source.stat().st_size:
        raise DataError(f"{source.name} is empty (0 bytes); save or export it again.")
    if suffix in OFFICE_SUFFIXES:
        raise DataError(
            f"{source.name} is a {suffix[1:]} file, which we cannot read; export it as CSV or zip the raw files."
        )
    if packer := _foreign_packer(source):
        raise DataError(f"{source.name} is packed by {packer}, which we cannot open; pack it again as zip.")
    zipped = zipfile.is_zipfile(source) and suffix not in WORKBOOKS
    if nested and (zipped or _is_tar(source)):
        raise DataError(f"{source.name} is an archive in an archive in an archive; unpack it first, and pack it anew.")
    with damage_told(source.name):
        if zipped:
            yield from _zip_members(source, tally, why)
        elif _is_tar(source):
            yield from _tar_members(source, tally)
        elif opener := opener_of(source):
            with cast(IO[bytes], opener(source, "rb")) as content:
                yield Member(PACKED.sub("", source.name), content)
        elif PACKED.search(source.name):
            raise DataError(
                f"{source.name} cannot be opened as zip, tar or packed file (damaged, cut off or of another kind); "
                "pack it again as zip."
            )
        else:
            yield Member(source.name, source)


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """What a library raises for broken bytes is the user's to fix; a failing machine is not."""
    try:
        yield
    except DAMAGED as error:
        what = "a name in it is not UTF-8" if isinstance(error, UnicodeError) else str(error)[:MAX_SHOWN_CHARS]
    except OSError as error:  # bz2 and gzip give no number; offsets that lie are invalid arguments
        if error.errno not in (None, errno.EINVAL):
            raise
        what = str(error)
    else:
        return
    raise DataError(f"{name} is damaged or cut off ({what}); make it again and upload it anew.")


def junk(path: PurePosixPath) -> str:
    """Why this file is not the user's data, or ""."""
    for part in path.parts:
        if part.lower() in JUNK_NAMES or part.startswith("._"):
            return "left there by the operating system"
        if part.startswith("."):
            return "a hidden file"
    return ""


def _foreign_packer(source: Path) -> str:
    with open(source, "rb") as file:
        head = file.read(8)
    return next((name for magic, name in FOREIGN_PACKERS.items() if head.startswith(magic)), "")


def _folder_members(source: Path) -> Iterator[Member]:
    for folder, folders, files in os.walk(source):
        junk_folders = [name for name in folders if junk(PurePosixPath(name))]
        for name in junk_folders:  # not entered: our own work folder may be among them
            yield Member(Path(folder, name).relative_to(source).as_posix(), None)
        folders[:] = sorted(set(folders) - set(junk_folders))
        for name in sorted(files + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
            path = Path(folder, name)
            yield Member(path.relative_to(source).as_posix(), path, _refusal(path.lstat().st_mode))


def _refusal(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a symbolic link; put the file itself in its place."
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        return "is no plain file (a device, pipe or socket); leave it out."
    return ""


def _zip_members(source: Path, tally: Tally, why: list[str]) -> Iterator[Member]:
    with zipfile.ZipFile(source) as archive:
        infos = [info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))]
        if any(info.filename == "[Content_Types].xml" for info in infos):
            raise DataError(f"{source.name} is an Office document, whatever its name says; save the sheet as CSV.")
        tally.check(len(archive.infolist()), sum(info.file_size for info in infos))
        if sum(info.compress_size for info in infos) > source.stat().st_size:
            raise DataError(f"{source.name} holds files that share their bytes, as archive bombs do; pack it again.")
        encoding = _name_encoding(infos)
        if encoding != "utf-8":
            shown = next(name for info in infos if not (name := _zip_name(info, encoding)).isascii())
            why.append(f"names in {source.name} are not UTF-8; they were read as {encoding} (such as {shown!r})")
        for info in infos:
            refused = _refusal(info.external_attr >> 16)
            if info.flag_bits & 0x1:
                refused = "is encrypted; pack it again without a password."
            name = _zip_name(info, encoding)
            if refused or junk(PurePosixPath(name)):
                yield Member(name, None, refused, _zip_link(archive, info))
                continue
            try:
                content = archive.open(info)
            except NotImplementedError:
                yield Member(name, None, "is packed by a method we cannot undo; pack it as an ordinary zip.")
                continue
            blind = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if info.compress_type == zipfile.ZIP_BZIP2:
                cast(Any, content)._decompressor = _Bounded()
            with content:
                yield Member(name, content, copy_bytes=BLIND_COPY_BYTES if blind else COPY_BYTES)


def _zip_link(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> str:
    is_link = stat.S_ISLNK(info.external_attr >> 16) and not info.flag_bits & 0x1 and info.file_size <= MAX_LINK_BYTES
    return archive.read(info).decode("utf-8", "surrogateescape") if is_link else ""


def _name_encoding(infos: list[zipfile.ZipInfo]) -> str:
    """Names without the UTF-8 flag are UTF-8 all the same with many tools, else in the code page of their Windows.

    All names together say which one; where none fits, the bytes stay undecoded.
    """
    raw = b"\n".join(_raw_name(info) or b"" for info in infos)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return likeliest(raw, CODE_PAGES) or "utf-8"
    return "utf-8"


def _raw_name(info: zipfile.ZipInfo) -> bytes | None:
    """None when the name is Unicode for sure."""
    try:
        return None if info.flag_bits & 0x800 else info.filename.encode("cp437")
    except UnicodeEncodeError:  # zipfile took the name from the Unicode extra field
        return None


def _zip_name(info: zipfile.ZipInfo, encoding: str) -> str:
    raw = _raw_name(info)
    return info.filename if raw is None else raw.decode(encoding, "surrogateescape")


def _open_tar(source: Path, stream: Forward) -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:")


def _is_tar(source: Path) -> bool:
    stream = Forward(source, lambda at: None)
    with closing(stream):
        try:
            _open_tar(source, stream)
        except (*DAMAGED, OSError):
            return False
    return True


def _tar_members(source: Path, tally: Tally) -> Iterator[Member]:
    before_bytes = tally.unpacked_bytes
    stream = Forward(source, lambda at: tally.check(more_bytes=before_bytes + at - tally.unpacked_bytes))
    with closing(stream):
        archive = _open_tar(source, stream)
        for number, info in enumerate(archive, 1):
            tally.check(max(0, number - tally.files - len(tally.folders)))
            cast(Any, archive).members.clear()  # it keeps them all
            if info.isdir():
                continue
            if info.issym() or info.islnk():
                link = info.linkname if info.issym() else os.path.relpath(info.linkname, os.path.dirname(info.name))
                yield Member(info.name, None, "is a link; put the file itself in its place.", link)
            elif not info.isfile():
                yield Member(info.name, None, "is no plain file (a device or pipe); leave it out.")
            else:
                yield Member(info.name, archive.extractfile(info))
        stream.finish()
