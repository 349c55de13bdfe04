"""Safe unpacking of what a user gave: a zip, a tar, a folder or one file, into a fresh folder of ours.

Nothing is written outside the target; links, encrypted archives and bombs are refused with one sentence; archives
inside (one level) are opened where they stand; the junk of operating systems is left out and told; folders that
merely wrap the rest are stripped.
"""

from __future__ import annotations

import filecmp
import os
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from automl_engine.errors import DataError, exit_code
from formatters.unpacking.idx import expand
from formatters.unpacking.limits import Tally
from formatters.unpacking.members import MAX_SHOWN_CHARS, PACKED, Member, damage_told, junk, members
from formatters.unpacking.volumes import groups_of_volumes
from formatters.words import counted

MAX_NAME_BYTES = 255  # of one part of a path, as on all common file systems
MAX_DEPTH, MAX_PATH_BYTES = 64, 2048  # of a whole path
SCRATCH = ".inner"  # beside the archive that is opened; hidden files are never placed, so the name is free


@dataclass(frozen=True)
class Upload:
    """The unpacked upload: where it begins, and what was left out."""

    root: Path
    ignored: list[dict[str, str]]
    why: list[str]  # what was guessed


def unpack(source: Path, target: Path, is_code: bool = False) -> Upload:
    """Put the content of ``source`` under ``target`` (made here; hard links where source is a folder or a file).

    Args:
        is_code: a submission.  Archives and packed files that it holds stay as they are, for its code may open them;
            links within it, which repositories have, become copies of what they lead to, and are not refused.

    Raises:
        DataError: the source is missing, empty, damaged or hostile.
    """
    if not source.exists():
        raise DataError(f"{source.name} does not exist; check the path.")
    unpacker = _Unpacker(target, Tally(source), is_code)
    unpacker.fill(source, target)
    if not is_code:
        unpacker.why += expand(target, unpacker.tally)
    ignored = unpacker.ignored
    if not any(path.is_file() for path in target.rglob("*")):
        held = f" (only {ignored[0]['path']} and the like)" if ignored else ""
        raise DataError(f"{source.name} holds no files{held}; put your data into it and upload it again.")
    return Upload(_without_wrappers(target), ignored, unpacker.why)


@dataclass
class _Unpacker:
    """Fills a folder; archives inside are opened into a folder of their name, which takes their place."""

    target: Path
    tally: Tally
    is_code: bool
    ignored: list[dict[str, str]] = field(default_factory=list)
    why: list[str] = field(default_factory=list)

    def fill(self, source: Path, folder: Path, level: int = 0) -> None:
        folder.mkdir(parents=True)
        packed: list[Path] = []
        links: dict[Path, str] = {}
        for member in members(source, self.tally, self.why, nested=level > 1):
            follows = self.is_code and bool(member.link)
            path = safe_path(replace(member, refused="") if follows else member, source.name)
            self.tally.add_file(path)
            if left_out := junk(path):
                inside = "" if level == 0 else f"{self._shown(source)}/"
                self.ignored.append({"path": f"{inside}{path}", "why": left_out})
                continue
            if follows:
                links[folder / path] = member.link
                continue
            self._place(member, folder / path, source.name)
            if PACKED.search(path.name):
                packed.append(folder / path)
        self._follow(links)
        if not self.is_code:
            self._open(packed, level + 1)

    def _follow(self, links: dict[Path, str]) -> None:
        """Put what each link leads to in its place; a link to a link, or to a folder with some, comes after these.

        Links to nothing are left out: a repository whose submodules were not fetched has some.
        """
        ends = {path: Path(os.path.normpath(path.parent / link)) for path, link in links.items()}
        for path in [path for path, end in ends.items() if not end.is_relative_to(self.target)]:
            raise DataError(
                f"{self.tally.source.name} holds {self._shown(path)!r}, a link that leads out of it "
                f"(to {links[path][:MAX_SHOWN_CHARS]!r}); put the file itself in its place."
            )
        while ready := [path for path, end in ends.items() if end.exists() and not _any_inside(end, ends)]:
            for path in ready:
                end = ends.pop(path)
                for file in [end] if end.is_file() else sorted(end.rglob("*")):
                    if file.is_file():
                        place = path / file.relative_to(end)
                        name = self._shown(place)
                        self.tally.add_file(PurePosixPath(name))
                        self._place(Member(name, file), place, self.tally.source.name)
        self.ignored += [{"path": self._shown(path), "why": "a link to nothing"} for path in ends]

    def _open(self, packed: list[Path], level: int) -> None:
        """Open the archives; those that are volumes of one set share its folder."""
        contents: dict[Path, Path] = {}
        for path in packed:
            scratch = path.parent / SCRATCH / path.name
            self.fill(path, scratch, level)
            path.unlink()
            if any(scratch.iterdir()):
                contents[path] = scratch
            else:
                self.ignored.append({"path": self._shown(path), "why": "it holds no files"})
        for path, place in _places(contents).items():
            content = contents[path] / place.name
            alone = [content] == list(contents[path].iterdir())  # cats.zip holds the folder cats, x.csv.gz x.csv
            copies = self._merge(content if alone else contents[path], place, path)
            if copies:
                why = f"{counted(copies, 'file of it stands', 'files of it stand')} unpacked beside it"
                self.ignored.append({"path": self._shown(path), "why": why})
        for folder in {path.parent / SCRATCH for path in packed}:
            shutil.rmtree(folder)

    def _merge(self, content: Path, place: Path, archive: Path) -> int:
        """Move content to its place; returns how many of its files are there already, byte for byte."""
        if not place.exists():
            content.rename(place)
            return 0
        if content.is_dir() and place.is_dir():
            inside = sorted(content.iterdir())
            return sum(self._merge(child, place / child.name, archive) for child in inside)
        if content.is_file() and place.is_file() and filecmp.cmp(content, place, shallow=False):
            return 1
        raise DataError(
            f"{self.tally.source.name} holds two different files {self._shown(place)!r}, one of them in "
            f"{self._shown(archive)}; keep one of them."
        )

    def _shown(self, path: Path) -> str:
        """The path in the upload."""
        return "/".join(part for part in path.relative_to(self.target).parts if part != SCRATCH)

    def _place(self, member: Member, path: Path, source: str) -> None:
        if len(os.fsencode(path.relative_to(self.target))) > MAX_PATH_BYTES:
            shown = member.name[:MAX_SHOWN_CHARS]
            raise DataError(f"{source} holds a path that is too long ({shown!r}...); use shorter names.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(member.content, Path):
                self.tally.link(member.content.stat().st_size)
                try:
                    os.link(member.content, path)
                except OSError:  # another file system, or not ours to link
                    shutil.copyfile(member.content, path)
                return
            assert member.content is not None
            with open(path, "xb") as file, damage_told(source):
                while block := member.content.read(member.copy_bytes):
                    self.tally.add_bytes(len(block))
                    file.write(block)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            raise DataError(f"{source} holds two files named {member.name!r}; give each its own name.") from None


def _any_inside(folder: Path, links: Collection[Path]) -> bool:
    return any(link.is_relative_to(folder) for link in links)


def _places(contents: dict[Path, Path]) -> dict[Path, Path]:
    """Where the content of each archive belongs: a folder of its name, or of the name of the set it is a volume of."""
    places = {path: path.with_name(PACKED.sub("", PACKED.sub("", path.name)) or path.name) for path in contents}
    for stem, volumes in groups_of_volumes(places, contents):
        places |= {path: path.parent / stem for path in volumes}
    return places


def safe_path(member: Member, source: str) -> PurePosixPath:
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
    return path


def _without_wrappers(root: Path) -> Path:
    """Go down as long as there is nothing but one folder (a native NAME.data is content, no wrapper)."""
    while True:
        entries = list(root.iterdir())
        if len(entries) != 1 or not entries[0].is_dir() or entries[0].suffix == ".data":
            return root
        root = entries[0]


if __name__ == "__main__":  # python -m formatters.unpacking.archive SOURCE TARGET: prints where the content begins
    from automl_engine.run.child import held_memory  # not needed in an exported model

    unpack_held = held_memory()(unpack)
    sys.exit(exit_code(lambda: print(unpack_held(Path(sys.argv[1]), Path(sys.argv[2]), is_code=True).root) or 0))
