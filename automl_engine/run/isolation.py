"""Foreign code sees no network, no other process and only the files that it needs.

``wrap`` puts this file, run as a script, in front of a command.  In namespaces of its own (Linux 5.12 or newer, where
the kernel lets this user make user namespaces) the script builds a file tree of the named folders and the system's
programs, read-only but for the folders to write, makes it the root, gives up every privilege and starts the command.
``obstacle`` says why this machine can't.  Uses the standard library and syscalls.py only.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
NO_TOOLS = "/var/empty"
"""A PATH without programs: no package managers, no download tools."""
SYSTEM = (
    *("/bin", "/sbin", "/lib*", "/usr/bin", "/usr/lib*", "/usr/share", "/nix/store"),
    *("/usr/local/cuda*", "/usr/local/lib*", "/usr/local/nvidia*"),
)
"""Programs and libraries; not /opt or /usr/src, where a site may stand."""
CONFIGURATION = (
    *("alternatives", "fonts", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "mime.types", "nsswitch.conf", "passwd", "timezone"),
)
"""What programs need of /etc; no keys and no password hashes."""
DEV = Path("/dev")
DEVICES = ("null", "zero", "full", "random", "urandom", "dri", "kfd", "dxg")
TEMPORARY = ("/tmp", "/dev/shm")  # noqa: S108  in memory, empty, gone afterwards
OBSTACLE_LIMIT_S = 30

_NEW = {"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "ipc": 0x08000000, "mount": 0x00020000}
_BIND, _RECURSIVE, _PRIVATE, _NOSUID, _NODEV, _DETACH = 0x1000, 0x4000, 0x40000, 2, 4, 2
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_AT_FDCWD, _AT_RECURSIVE, _SYS_MOUNT_SETATTR = -100, 0x8000, 442
_SYS_LANDLOCK_CREATE, _SYS_LANDLOCK_ADD_RULE, _SYS_LANDLOCK_RESTRICT = 444, 445, 446
_MAKE_FIFO, _MAKE_SYMLINK, _REFER, _PATH_BENEATH = 1 << 10, 1 << 12, 1 << 13, 1
_PR_SET_PDEATHSIG, _PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 1, 23, 24, 38


def wrap(command: Sequence[str], read: Sequence[Path], write: Sequence[Path]) -> list[str]:
    """The command in isolation: it may read ``read``, and write into ``write`` and a temporary folder."""
    make_devices()
    order = {"read": [str(path.absolute()) for path in read], "write": [str(path.absolute()) for path in write]}
    return [sys.executable, "-P", __file__, json.dumps(order), *command]


def obstacle() -> str:
    """Why code cannot be isolated on this machine; empty: it can."""
    if sys.platform != "linux":
        return "this needs Linux"
    probe = wrap([sys.executable, "-c", ""], [], [])
    done = subprocess.run(probe, capture_output=True, text=True, timeout=OBSTACLE_LIMIT_S)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


# The script


def main(arguments: Sequence[str]) -> int:
    """Make the namespaces; the command is the first process in them, and they end with it."""
    order, command = json.loads(arguments[0]), arguments[1:]
    user, group = os.getuid(), os.getgid()
    _unshare("user", "pid", "net", "ipc")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with tempfile.TemporaryDirectory() as root:  # stays empty: what is mounted there is seen inside only
        first = os.fork()
        if not first:
            _begin(Path(root), order, command)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(first, number))
        _, status = os.waitpid(first, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _begin(root: Path, order: dict[str, list[str]], command: Sequence[str]) -> None:
    """In the first process: change the root, drop privileges, start.  Does not return."""
    try:
        sys.path.append(str(HERE.parent))
        from automl_engine.run import syscalls

        libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        _unshare("mount")
        _build(root, order["read"], order["write"])
        os.chdir(root)
        libc("pivot_root", b".", b".")  # the new root on top of the old one, which then is detached
        libc("umount2", b".", _DETACH)
        os.chdir(HERE.parent)
        libc("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        for capability in range(64):
            if ctypes.CDLL(None).prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) == 1:
                libc("prctl", _PR_CAPBSET_DROP, capability, 0, 0, 0)
        _forbid_links()
        syscalls.restrict(isolated=True)
        places = {"PATH": NO_TOOLS, "HOME": TEMPORARY[0], "TMPDIR": TEMPORARY[0]}
        os.execve(command[0], list(command), os.environ | places)  # noqa: S606  a list needs no shell
    except OSError as error:
        print(f"isolation failed: {error}", file=sys.stderr, flush=True)
    os._exit(1)


def _build(root: Path, read: Sequence[str], write: Sequence[str]) -> None:
    """The file tree that the command sees."""
    _mount("none", "/", flags=_RECURSIVE | _PRIVATE)
    _mount("tmpfs", str(root), "tmpfs", _NOSUID | _NODEV, "mode=755")
    for folder in TEMPORARY:
        _make(root, folder, is_folder=True)
        _mount("tmpfs", f"{root}{folder}", "tmpfs", _NOSUID | _NODEV, "mode=1777,size=25%")
    _make(root, "/proc", is_folder=True)
    _mount("proc", f"{root}/proc", "proc", _NOSUID | _NODEV)
    _set_attributes(f"{root}/proc", _ATTR_RDONLY)
    packages = (str(HERE), str(HERE.parent / "formatters"))
    for path in sorted({*system_paths(), "/sys", *packages, *read}):
        _show(root, path, _ATTR_RDONLY | _ATTR_NOSUID)
    for device in devices():
        _show(root, f"/dev/{device}", _ATTR_NOSUID)
    for path in sorted(write):
        _show(root, path, _ATTR_NOSUID)
    _set_attributes(str(root), _ATTR_RDONLY, recursive=False)


def system_paths() -> set[str]:
    """Programs, libraries, their configuration, the interpreter and its packages; nothing of the site's folder."""
    system = {str(path) for pattern in SYSTEM for path in Path("/").glob(pattern[1:])}
    configuration = {f"/etc/{name}" for name in CONFIGURATION}
    python = {Path(path) for path in (sys.prefix, sys.base_prefix, *sys.path) if path} - {HERE.parent, Path.cwd()}
    return system | configuration | _linker_paths() | {str(path.absolute()) for path in python}


def _linker_paths() -> set[str]:
    """Folders elsewhere, such as /opt/rocm/lib, where the dynamic linker is told to look for libraries."""
    lines = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    for file in Path("/etc/ld.so.conf.d").glob("*.conf"):
        lines += file.read_text(errors="replace").splitlines()
    return {str(Path(line.strip()).resolve()) for line in lines if line.strip().startswith("/")} - {"/"}


def devices() -> list[str]:
    return [*DEVICES, *(path.name for path in DEV.glob("nvidia*"))]


def make_devices() -> None:
    """The first use of CUDA after a start of the machine makes a device, by a program that needs its privileges.

    What is isolated or confined could not start it, so that it would find no GPU.
    """
    tool = shutil.which("nvidia-modprobe")
    if tool and (DEV / "nvidiactl").exists() and not (DEV / "nvidia-uvm").exists():
        subprocess.run([tool, "-u", "-c=0"], timeout=OBSTACLE_LIMIT_S)


def _show(root: Path, path: str, attributes: int) -> None:
    """Mount a file or folder of the machine under the same path; a link in / stays one."""
    source = Path(path)
    if not source.exists():
        return
    if source.is_symlink() and source.parent == Path("/"):  # /lib -> usr/lib
        (root / path[1:]).symlink_to(os.readlink(path))
        return
    for place in {path, str(source.resolve())}:
        _make(root, place, source.is_dir())
        _mount(path, f"{root}{place}", flags=_BIND | _RECURSIVE)
        _set_attributes(f"{root}{place}", attributes)


def _make(root: Path, path: str, is_folder: bool) -> None:
    target = Path(f"{root}{path}")
    if target.exists():  # a part of what is mounted already
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.mkdir() if is_folder else target.touch()


def _forbid_links() -> None:
    """No symbolic links and named pipes, which a supervisor would follow or wait for (kernels with Landlock).

    Files may still move from one folder to another, as TensorFlow's do (Linux 5.19 or newer: older ones forbid it too).
    """
    create = ctypes.CDLL(None).syscall
    forbidden = _MAKE_FIFO | _MAKE_SYMLINK
    rules = create(_SYS_LANDLOCK_CREATE, struct.pack("Q", forbidden | _REFER), 8, 0)
    if rules >= 0:
        root = os.open("/", os.O_PATH)
        libc("syscall", _SYS_LANDLOCK_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", _REFER, root), 0)
        os.close(root)
    else:
        rules = create(_SYS_LANDLOCK_CREATE, struct.pack("Q", forbidden), 8, 0)
    if rules >= 0:
        libc("syscall", _SYS_LANDLOCK_RESTRICT, rules, 0)


# System calls


def _unshare(*names: str) -> None:
    libc("unshare", sum(_NEW[name] for name in names))


def _mount(source: str, target: str, kind: str | None = None, flags: int = 0, options: str = "") -> None:
    texts = [text.encode() if text else None for text in (source, target, kind)]
    libc("mount", *texts, ctypes.c_ulong(flags), options.encode() or None, name=target)


def _set_attributes(path: str, attributes: int, recursive: bool = True) -> None:
    """Of a mount, by default with all mounts below it."""
    values = struct.pack("4Q", attributes, 0, 0, 0)
    flags = _AT_RECURSIVE if recursive else 0
    libc("syscall", _SYS_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, values, len(values), name=path)


def libc(
    function: str, *arguments: int | bytes | ctypes.c_ulong | ctypes.Array[ctypes.c_char] | None, name: str = ""
) -> int:
    """What a function of the C library returns; raises OSError below 0."""
    returned = ctypes.CDLL(None, use_errno=True)[function](*arguments)
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}", name or None)
    return int(returned)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"isolation failed: {error}")
