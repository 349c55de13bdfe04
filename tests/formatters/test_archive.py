"""Uploads as people (and attackers) make them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from automl_engine.errors import DataError
from formatters.unpacking import limits
from formatters.unpacking.archive import unpack


def make_zip(path: Path, files: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def names(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_wrapper_folders_are_stripped_and_junk_is_told(tmp_path: Path) -> None:
    files = {"my set/data/cat/1.png": "a", "my set/data/dog/2.png": "b"}
    junk = {"__MACOSX/my set/data/cat/._1.png": "x", "my set/.DS_Store": "x", "my set/data/cat/Thumbs.db": "x"}
    upload = unpack(make_zip(tmp_path / "a.zip", files | junk), tmp_path / "out")
    assert names(upload.root) == ["cat/1.png", "dog/2.png"]
    assert {entry["path"] for entry in upload.ignored} == set(junk)
    assert all(entry["why"] for entry in upload.ignored)


def test_a_native_bundle_is_no_wrapper(tmp_path: Path) -> None:
    upload = unpack(make_zip(tmp_path / "a.zip", {"x.data/train/metadata.textproto": "a"}), tmp_path / "out")
    assert names(upload.root) == ["x.data/train/metadata.textproto"]


def test_windows_separators_and_unflagged_utf8_names(tmp_path: Path) -> None:
    upload = unpack(make_zip(tmp_path / "a.zip", {"kätze\\1.png": "a", "dog\\1.png": "b"}), tmp_path / "out")
    assert names(upload.root) == ["dog/1.png", "kätze/1.png"]
    data = (tmp_path / "a.zip").read_bytes().replace("kätze\\1".encode(), "k\u00e4tze/1".encode())
    bare = _without_utf8_flag(data)
    (tmp_path / "b.zip").write_bytes(bare)
    assert "kätze/1.png" in names(unpack(tmp_path / "b.zip", tmp_path / "out2").root)


def _without_utf8_flag(data: bytes) -> bytes:
    """Clear bit 11 of the flags in all local and central headers."""
    out = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = out.find(magic)
        while at >= 0:
            out[at + offset + 1] &= ~0x08
            at = out.find(magic, at + 4)
    return bytes(out)


def test_tar_and_folder_and_single_file(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat" / "1.png").write_text("a")
    (folder / "list.csv").write_text("b")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        file.add(folder, "in")
    for source in (tmp_path / "a.tar.gz", folder):
        assert names(unpack(source, tmp_path / f"out-{source.name}").root) == ["cat/1.png", "list.csv"]
    assert names(unpack(folder / "list.csv", tmp_path / "single").root) == ["list.csv"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil.txt", "leads out of its folder"),
        ("a/../../evil.txt", "leads out of its folder"),
        ("a\\..\\..\\evil.txt", "leads out of its folder"),
        ("/etc/evil.txt", "absolute path"),
        ("C:\\evil.txt", "absolute path"),
        ("data/inner.zip", "inner.zip cannot be opened as zip"),
        ("x" * 300 + ".txt", "a name that no file can have"),
        ("/".join(["あ" * 80] * 20), "a path that is too long"),
    ],
)
def test_hostile_names(tmp_path: Path, name: str, said: str) -> None:
    source = make_zip(tmp_path / "bad.zip", {"good.txt": "x", name: "x"})
    with pytest.raises(DataError, match=said):
        unpack(source, tmp_path / "out")
    assert not list(tmp_path.glob("evil*"))


def zipped(files: dict[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


def tarred(files: dict[str, bytes | str], pack: Callable[[bytes], bytes] = bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return pack(buffer.getvalue())


INNER = {
    "one archive a class": (
        {"cats.zip": zipped({"1.png": "a"}), "dogs.tar.gz": tarred({"1.png": "b"}, gzip.compress)},
        ["cats/1.png", "dogs/1.png"],
    ),
    "one that holds the folder of its name": (
        {"cats.zip": zipped({"cats/1.png": "a"}), "dogs.tar.zst": tarred({"dogs/1.png": "b"}, zstandard.compress)},
        ["cats/1.png", "dogs/1.png"],
    ),
    "a download of a contest": (
        {
            "train.zip": zipped({"train/1.png": "a"}),
            "t.csv.zip": zipped({"t.csv": "b"}),
            "test.zip": zipped({"2": "c"}),
        },
        ["t.csv", "test/2", "train/1.png"],
    ),
    "packed files": (
        {"a/1.txt.gz": gzip.compress(b"a"), "a/2.wav.bz2": bz2.compress(b"b"), "3.ts.zst": zstandard.compress(b"c")},
        ["3.ts", "a/1.txt", "a/2.wav"],
    ),
    "a packed file in an inner archive": (
        {"a.zip": zipped({"1.csv.gz": gzip.compress(b"a")}), "b": ""},
        ["a/1.csv", "b"],
    ),
    "volumes of one set": (
        {"s-001.zip": zipped({"s/cat/1": "a", "s/dog/1": "b"}), "s-002.zip": zipped({"s/cat/2": "c"})},
        ["cat/1", "cat/2", "dog/1"],
    ),
    "numbered classes": (
        {"class1.zip": zipped({"images/1": "a"}), "class2.zip": zipped({"images/1": "b"})},
        ["class1/images/1", "class2/images/1"],
    ),
    "what stands unpacked beside it": (
        {"cats.zip": zipped({"1": "a", "2": "b"}), "cats/1": "a", "dogs/1": "c"},
        ["cats/1", "cats/2", "dogs/1"],
    ),
    "an empty one": ({"a.zip": zipped({}), "b.txt": "b"}, ["b.txt"]),
}


@pytest.mark.parametrize("name", INNER)
def test_archives_inside(tmp_path: Path, name: str) -> None:
    files, found = INNER[name]
    source = make_zip(tmp_path / "all.zip", files)
    assert names(unpack(source, tmp_path / "out").root) == found
    with zipfile.ZipFile(source) as file:
        file.extractall(tmp_path / "folder")
    assert names(unpack(tmp_path / "folder", tmp_path / "out2").root) == found
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == sorted({n.split("/")[0] for n in files})


def test_what_is_left_out_of_inner_archives_is_told(tmp_path: Path) -> None:
    files = {"cats.zip": zipped({"1": "a", ".DS_Store": ""}), "cats/1": "a", "no.zip": zipped({}), "dogs/1": "c"}
    upload = unpack(make_zip(tmp_path / "a.zip", files), tmp_path / "out")
    told = {entry["path"]: entry["why"] for entry in upload.ignored}
    assert told == {
        "cats.zip/.DS_Store": "left there by the operating system",
        "cats.zip": "1 file of it stands unpacked beside it",
        "no.zip": "it holds no files",
    }


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.zip": zipped({"b.zip": zipped({"c.txt": "c"})})}, "b.zip is an archive in an archive"),
        ({"a.zip": zipped({"b.tgz": tarred({"c": "c"}, gzip.compress)})}, "b.tgz is an archive in an archive"),
        ({"a.zip": zipped({"1": "a"}), "a/1": "b"}, "two different files 'a/1', one of them in a.zip"),
        ({"a.zip": zipped({"../1": "a"})}, "a.zip holds '../1', which leads out of its folder"),
        ({"a.rar": b"Rar!\x1a\x07" + bytes(99)}, "a.rar is packed by RAR"),
        ({"a.csv.gz": gzip.compress(b"a" * 999)[:-9]}, "a.csv.gz is damaged"),
        ({"a.csv.zst": zstandard.compress(os.urandom(999))[:-9]}, "a.csv.zst is damaged"),
        ({"a.zip": zipped({f"{i}.bin": bytes(100_000) for i in range(6)})}, "all.zip unpacks to more than 200 times"),
        ({"a.bin.gz": gzip.compress(bytes(600_000))}, "all.zip unpacks to more than 200 times"),
        ({"a.bin.zst": zstandard.compress(bytes(600_000))}, "all.zip unpacks to more than 200 times"),
        ({f"{i}.zip": zipped({str(k): "" for k in range(9)}) for i in range(6)}, "all.zip holds more than 50 files"),
    ],
)
def test_limits_and_faults_of_inner_archives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes | str], said: str
) -> None:
    monkeypatch.setattr(limits, "RATIO_FROM_BYTES", 500_000)
    monkeypatch.setattr(limits, "MAX_FILES", 50)
    with pytest.raises(DataError, match=said):
        unpack(make_zip(tmp_path / "all.zip", files), tmp_path / "out")


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zst", zstandard.compress)],
)
def test_a_packed_file_of_any_kind(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / f"a.xlsx.{suffix}").write_bytes(pack(content[:9]) + pack(content[9:]))  # in two frames
    upload = unpack(tmp_path / f"a.xlsx.{suffix}", tmp_path / "out")
    assert names(upload.root) == ["a.xlsx"]
    assert (upload.root / "a.xlsx").read_bytes() == content


def test_archives_in_a_program_stay_as_they_are(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "a.zip", {"weights.tar.gz": tarred({"w": "w"}, gzip.compress), "model.py": "m"})
    assert names(unpack(source, tmp_path / "out", is_code=True).root) == ["model.py", "weights.tar.gz"]


LINKS = {"model.py": "code/main.py", "lib": "code", "again": "lib", "gone": "code/none.py"}


def links_zip(path: Path, links: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("code/main.py", "m")
        file.writestr("code/deep/w.bin", "w")
        for name, end in links.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            file.writestr(info, end)
    return path


def links_tar(path: Path, links: dict[str, str]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in {"code/main.py": b"m", "code/deep/w.bin": b"w"}.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for name, end in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, end
            file.addfile(info)
        info = tarfile.TarInfo("code/hard")
        info.type, info.linkname = tarfile.LNKTYPE, "code/main.py"
        file.addfile(info)
    return path


@pytest.mark.parametrize("packed", [links_zip, links_tar])
def test_links_within_a_program(tmp_path: Path, packed: Callable[[Path, dict[str, str]], Path]) -> None:
    """As repositories have them; those to nothing, to themselves or around themselves are left out."""
    upload = unpack(packed(tmp_path / "a.tgz", LINKS), tmp_path / "out", is_code=True)
    found = {path.relative_to(upload.root).as_posix(): path.read_text() for path in files_of(upload.root)}
    hard = {"code/hard", "lib/hard", "again/hard"} if packed is links_tar else set()
    assert found.keys() - hard == {
        "model.py",
        *(f"{folder}/{name}" for folder in ("code", "lib", "again") for name in ("main.py", "deep/w.bin")),
    }
    assert (found["model.py"], found["again/deep/w.bin"]) == ("m", "w")
    assert upload.ignored == [{"path": "gone", "why": "a link to nothing"}]
    around = unpack(packed(tmp_path / "b.tgz", {"code/self": "..", "x": "x"}), tmp_path / "out2", is_code=True)
    assert {line["path"] for line in around.ignored} == {"code/self", "x"}
    for number, end in enumerate(("/etc/passwd", "../../../etc/passwd")):
        with pytest.raises(DataError, match=r"holds 'code/x', a link that leads out of it"):
            unpack(packed(tmp_path / "c.tgz", {"code/x": end}), tmp_path / f"out3{number}", is_code=True)


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_symlinks_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(info, "/etc/passwd")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        member = tarfile.TarInfo("link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(member)
    (tmp_path / "folder").mkdir()
    os.symlink("/etc/passwd", tmp_path / "folder" / "link")
    (tmp_path / "folder2").mkdir()
    os.symlink("/etc", tmp_path / "folder2" / "link")
    for at, source in enumerate(("a.zip", "a.tar", "folder", "folder2")):
        with pytest.raises(DataError, match="link"):
            unpack(tmp_path / source, tmp_path / f"out{at}")


def test_encrypted_zip(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"a.txt": "secret"}).read_bytes())
    data[6] |= 1
    data[data.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(DataError, match="encrypted; pack it again without a password"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_names_in_another_encoding_are_told(tmp_path: Path) -> None:
    data = make_zip(tmp_path / "a.zip", {"kXtze.txt": "a"}).read_bytes().replace(b"kXtze", b"k\x84tze")
    (tmp_path / "a.zip").write_bytes(data)
    upload = unpack(tmp_path / "a.zip", tmp_path / "out")
    assert names(upload.root) == ["kätze.txt"]
    assert "cp850 (such as 'kätze.txt')" in upload.why[0]


def test_names_of_a_folder_in_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path / "folder") + b"/k\xe4tze.txt")).write_text("a")
    with pytest.raises(DataError, match="not UTF-8"):
        unpack(tmp_path / "folder", tmp_path / "out2")


def test_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_zip(tmp_path / "a.zip", {f"{i}.bin": bytes(200_000) for i in range(5)})
    monkeypatch.setattr(limits, "RATIO_FROM_BYTES", 500_000)
    with pytest.raises(DataError, match="archive bombs"):
        unpack(source, tmp_path / "out1")
    monkeypatch.setattr(limits, "MAX_UNPACKED_BYTES", 900_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(source, tmp_path / "out2")
    monkeypatch.setattr(limits, "MAX_FILES", 4)
    with pytest.raises(DataError, match="more than 4 files"):
        unpack(source, tmp_path / "out3")


@pytest.mark.parametrize("keep", [0.3, 0.7, 0.99])
def test_cut_off_zip(tmp_path: Path, keep: float) -> None:
    data = make_zip(tmp_path / "a.zip", {f"{i}.bin": os.urandom(1000) for i in range(5)}).read_bytes()
    (tmp_path / "a.zip").write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(DataError, match=r"a\.zip (is damaged|cannot be opened)"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_flipped_byte_in_a_zip(tmp_path: Path) -> None:
    data = bytearray(make_zip(tmp_path / "a.zip", {"a.bin": os.urandom(5000)}).read_bytes())
    data[2500] ^= 0xFF
    (tmp_path / "a.zip").write_bytes(bytes(data))
    with pytest.raises(DataError, match="damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    (tmp_path / "a.zip").write_bytes(buffer.getvalue())
    only_junk = make_zip(tmp_path / "junk.zip", {".DS_Store": "x"})
    for at, (source, said) in enumerate(
        [
            (tmp_path / "empty.csv", "0 bytes"),
            (tmp_path / "folder", "holds no files"),
            (tmp_path / "a.zip", "holds no files"),
            (only_junk, r"only \.DS_Store"),
            (tmp_path / "nowhere.zip", "does not exist"),
        ]
    ):
        with pytest.raises(DataError, match=said):
            unpack(source, tmp_path / f"out{at}")


def test_two_files_of_one_name(tmp_path: Path) -> None:
    source = make_zip(tmp_path / "a.zip", {"a.txt": "1", "b.txt": "2"})
    source.write_bytes(source.read_bytes().replace(b"b.txt", b"a.txt"))
    with pytest.raises(DataError, match="two files named"):
        unpack(source, tmp_path / "out")
