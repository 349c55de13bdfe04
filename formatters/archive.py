"""Safe unpacking of what a user gave: a zip, a tar, a folder or one file, into a fresh folder of ours.

Nothing is written outside the target; links, encrypted or nested archives and bombs are refused with one sentence;
the junk of operating systems is left out and told; folders that merely wrap the rest are stripped.
"""

from __future__ import annotations

import bz2
import errno
import lzma
import os
import shutil
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from automl_engine.errors import DataError, exit_code
from formatters.encodings import likeliest
from formatters.forward import COPY_BYTES, Forward
from formatters.tables.formats import PACKED_TABLE, WORKBOOKS

MAX_FILES = int(os.environ.get("AUTODL_MAX_FILES", 300_000))
MAX_UNPACKED_BYTES = int(os.environ.get("AUTODL_MAX_UNPACKED_BYTES", 20 * 2**30))
MAX_RATIO = float(os.environ.get("AUTODL_MAX_RATIO", 200))  # unpacked : packed, looked at from RATIO_FROM_BYTES on
RATIO_FROM_BYTES = int(os.environ.get("AUTODL_RATIO_FROM_BYTES", 100 * 2**20))
CODE_PAGES = ("cp850", "cp437", "cp932", "gb18030", "cp949", "big5", "cp866")  # of names in zips
MAX_NAME_BYTES = 255  # of one part of a path, as on all common file systems
MAX_DEPTH, MAX_PATH_BYTES = 64, 2048  # of a whole path
MAX_SHOWN_CHARS = 200  # of a path in a message
BLIND_COPY_BYTES = 4096  # zipfile unpacks so much of bzip2 and LZMA at once, whatever comes out
MAX_BLIND_BYTES = 2**26

JUNK_NAMES = {"__macosx", ".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db"}
ARCHIVE_SUFFIXES = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst"}
OFFICE_SUFFIXES = {".docx", ".pdf", ".npz", ".pptx"}
FOREIGN_PACKERS = {b"7z\xbc\xaf\x27\x1c": "7-Zip", b"Rar!\x1a\x07": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
DAMAGED = (  # what the libraries raise for bytes that they do not expect
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, struct.error),
    *(ValueError, OverflowError, IndexError, RecursionError),
)


@dataclass(frozen=True)
class Upload:
    """The unpacked upload: where it begins, and what was left out."""

    root: Path
    ignored: list[dict[str, str]]
    why: list[str]  # what was guessed


@dataclass(frozen=True)
class _Member:
    """One file that the source holds; ``content`` is where its bytes come from."""

    name: str
    size_bytes: int
    content: Path | IO[bytes] | None
    refused: str = ""  # why it can never be unpacked
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


def unpack(source: Path, target: Path) -> Upload:
    """Put the content of ``source`` under ``target`` (made here; hard links where source is a folder or a file).

    Raises:
        DataError: the source is missing, empty, damaged or hostile.
    """
    if not source.exists():
        raise DataError(f"{source.name} does not exist; check the path.")
    target.mkdir(parents=True)
    ignored: list[dict[str, str]] = []
    why_names: list[str] = []
    folders: set[PurePosixPath] = set()
    count = total_bytes = 0
    for member in _members(source, why_names):
        path = safe_path(member, source.name)
        why = junk(path)
        if why:
            ignored.append({"path": str(path), "why": why})
        else:
            count, total_bytes = count + 1, total_bytes + member.size_bytes
            folders.update(path.parents)
        _check_limits(source, count + len(ignored) + len(folders), total_bytes)
        if not why:
            _place(member, target / path, source.name)
    if not count:
        held = f" (only {ignored[0]['path']} and the like)" if ignored else ""
        raise DataError(f"{source.name} holds no files{held}; put your data into it and upload it again.")
    return Upload(_without_wrappers(target), ignored, why_names)


def junk(path: PurePosixPath) -> str:
    """Why this file is not the user's data, or ""."""
    for part in path.parts:
        if part.lower() in JUNK_NAMES or part.startswith("._"):
            return "left there by the operating system"
        if part.startswith("."):
            return "a hidden file"
    return ""


def safe_path(member: _Member, source: str) -> PurePosixPath:
    """The member's path below the target.

    Raises:
        DataError: it leads elsewhere, is no plain file, or has no name that we can write.
    """
    name = member.name.replace("\\", "/")
    shown = name[:MAX_SHOWN_CHARS].encode("utf-8", "backslashreplace").decode()
    if member.refused:
        raise DataError(f"{source} holds {shown!r}, which {member.refused}")
    if name.startswith("/") or name[1:2] == ":":
        raise DataError(f"{source} holds the absolute path {shown!r}; pack the files with paths relative to a folder.")
    if name.count("/") > MAX_DEPTH or len(name) > MAX_PATH_BYTES:
        raise DataError(f"{source} holds a path that is too long or too deep ({shown!r}...); use fewer folders.")
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise DataError(
            f"{source} holds {shown!r}, which leads out of its folder; pack the files without '..' in paths."
        )
    try:
        long = any(len(part.encode()) > MAX_NAME_BYTES for part in path.parts)
    except UnicodeEncodeError:
        raise DataError(
            f"{source} holds the name {shown!r}, which is not UTF-8; rename the file and pack it again."
        ) from None
    if long or not path.parts or "\0" in name:
        raise DataError(
            f"{source} holds a name that no file can have ({shown[:60]!r}...); rename it and pack it again."
        )
    if path.suffix.lower() in ARCHIVE_SUFFIXES and not PACKED_TABLE.fullmatch(path.name) and not junk(path):
        raise DataError(f"{source} holds another archive ({shown}); unpack that one first and upload its content.")
    return path


def _members(source: Path, why: list[str]) -> Iterator[_Member]:
    suffix = source.suffix.lower()
    if source.is_dir():
        yield from _folder_members(source)
    elif not source.stat().st_size:
        raise DataError(f"{source.name} is empty (0 bytes); save or export it again.")
    elif suffix in OFFICE_SUFFIXES:
        raise DataError(
            f"{source.name} is a {suffix[1:]} file, which we cannot read; export it as CSV or zip the raw files."
        )
    elif PACKED_TABLE.fullmatch(source.name) or suffix in WORKBOOKS:
        yield _Member(source.name, source.stat().st_size, source)
    elif packer := _foreign_packer(source):
        raise DataError(f"{source.name} is packed by {packer}, which we cannot open; pack it again as zip.")
    elif zipfile.is_zipfile(source):
        with _damage_told(source.name):
            yield from _zip_members(source, why)
    elif _is_tar(source):
        with _damage_told(source.name):
            yield from _tar_members(source)
    elif suffix in ARCHIVE_SUFFIXES:
        raise DataError(
            f"{source.name} cannot be opened as zip or tar (damaged, cut off or of another kind); pack it again as zip."
        )
    else:
        yield _Member(source.name, source.stat().st_size, source)


@contextmanager
def _damage_told(name: str) -> Iterator[None]:
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


def _foreign_packer(source: Path) -> str:
    with open(source, "rb") as file:
        head = file.read(8)
    return next((name for magic, name in FOREIGN_PACKERS.items() if head.startswith(magic)), "")


def _folder_members(source: Path) -> Iterator[_Member]:
    for folder, folders, files in os.walk(source):
        junk_folders = [name for name in folders if junk(PurePosixPath(name))]
        for name in junk_folders:  # not entered: our own work folder may be among them
            yield _Member(Path(folder, name).relative_to(source).as_posix(), 0, None)
        folders[:] = sorted(set(folders) - set(junk_folders))
        for name in sorted(files + [f for f in folders if os.path.islink(os.path.join(folder, f))]):
            path = Path(folder, name)
            info = path.lstat()
            relative = path.relative_to(source).as_posix()
            yield _Member(relative, info.st_size, path, _refusal(info.st_mode))


def _refusal(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "is a symbolic link; put the file itself in its place."
    if stat.S_IFMT(mode) and not stat.S_ISREG(mode):
        return "is no plain file (a device, pipe or socket); leave it out."
    return ""


def _zip_members(source: Path, why: list[str]) -> Iterator[_Member]:
    with zipfile.ZipFile(source) as archive:
        _check_limits(source, len(archive.infolist()), 0)
        infos = [info for info in archive.infolist() if not info.filename.endswith(("/", "\\"))]
        if any(info.filename == "[Content_Types].xml" for info in infos):
            raise DataError(f"{source.name} is an Office document, whatever its name says; save the sheet as CSV.")
        _check_limits(source, len(infos), sum(info.file_size for info in infos))
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
                yield _Member(name, info.file_size, None, refused)
                continue
            try:
                content = archive.open(info)
            except NotImplementedError:
                yield _Member(
                    name, info.file_size, None, "is packed by a method we cannot undo; pack it as an ordinary zip."
                )
                continue
            blind = info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            if info.compress_type == zipfile.ZIP_BZIP2:
                cast(Any, content)._decompressor = _Bounded()
            with content:
                yield _Member(name, info.file_size, content, copy_bytes=BLIND_COPY_BYTES if blind else COPY_BYTES)


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


def _open_tar(source: Path) -> tuple[tarfile.TarFile, Forward]:
    stream = Forward(source, lambda at: _check_limits(source, 0, at))
    return tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:"), stream


def _is_tar(source: Path) -> bool:
    try:
        _open_tar(source)[1].close()
    except (*DAMAGED, OSError):
        return False
    return True


def _tar_members(source: Path) -> Iterator[_Member]:
    archive, stream = _open_tar(source)
    with closing(stream):
        for number, info in enumerate(archive, 1):
            _check_limits(source, number, 0)
            cast(Any, archive).members.clear()  # it keeps them all
            if info.isdir():
                continue
            if info.issym() or info.islnk():
                yield _Member(info.name, 0, None, "is a link; put the file itself in its place.")
            elif not info.isfile():
                yield _Member(info.name, 0, None, "is no plain file (a device or pipe); leave it out.")
            else:
                yield _Member(info.name, info.size, archive.extractfile(info))
        stream.finish()


def _check_limits(source: Path, count: int, total_bytes: int) -> None:
    if count > MAX_FILES:
        raise DataError(
            f"{source.name} holds more than {MAX_FILES:,} files and folders, the limit here; upload a part of them."
        )
    if total_bytes > MAX_UNPACKED_BYTES:
        limit_gib = MAX_UNPACKED_BYTES / 2**30
        raise DataError(f"{source.name} unpacks to more than {limit_gib:.3g} GiB, the limit here; upload a part of it.")
    packed_bytes = source.stat().st_size if source.is_file() else total_bytes
    if total_bytes > RATIO_FROM_BYTES and total_bytes > MAX_RATIO * packed_bytes:
        raise DataError(
            f"{source.name} unpacks to more than {MAX_RATIO:.0f} times its size, as only archive bombs do; "
            "pack your real data files."
        )


def _place(member: _Member, path: Path, source: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(member.content, Path):
            try:
                os.link(member.content, path)
            except OSError:  # another file system, or not ours to link
                shutil.copyfile(member.content, path)
            return
        assert member.content is not None
        with open(path, "xb") as file, _damage_told(source):
            shutil.copyfileobj(member.content, file, member.copy_bytes)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"{source} holds two files named {member.name!r}; give each its own name.") from None
    if path.stat().st_size > member.size_bytes:
        raise DataError(f"{source} holds {member.name!r}, which is larger than it says; pack it again.")


def _without_wrappers(root: Path) -> Path:
    """Go down as long as there is nothing but one folder (a native NAME.data is content, no wrapper)."""
    while True:
        entries = list(root.iterdir())
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].suffix == ".data":
            return root
        root = entries[0]


if __name__ == "__main__":  # python -m formatters.archive SOURCE TARGET: prints where the content begins
    from automl_engine.run.child import held_memory  # not needed in an exported model

    unpack_held = held_memory()(unpack)
    sys.exit(exit_code(lambda: print(unpack_held(Path(sys.argv[1]), Path(sys.argv[2])).root) or 0))
