"""A seccomp filter for child processes: what Landlock does not restrict, by system call.

Landlock looks at paths that are opened, made or moved.  A process may still change the mode of any file of its user,
watch folders, take limits from other processes of its user, leave shared memory behind, and flee from its process
group.  ``restrict`` ends that for this process and all that it starts; like Landlock it needs no privileges.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
"""AUDIT_ARCH, and the column of the numbers below; None: the machine has no such call."""
Numbers = tuple[int | None, int | None]
REFUSED: dict[str, Numbers] = {
    "socket": (41, 198),
    "io_uring_setup": (425, 425),  # which opens sockets, too
    # By its process group all of it is ended at once (child.py)
    "setsid": (112, 157),
    "setpgid": (109, 154),
    # They tell the names of others' files
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    # What they make outlives the process
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # Rings of the whole user
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "ioprio_set": (251, 30),
}
WITHOUT_EFFECT: dict[str, Numbers] = {
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
}
"""Mode, owner, times and attributes of any file of the user.  A copy keeps those that it was made with."""
OF_ITSELF: dict[str, tuple[Numbers, tuple[int, ...]]] = {
    "prlimit64": ((302, 261), (0,)),
    "setpriority": ((141, 140), (0, 1)),
    "sched_setaffinity": ((203, 122), (0,)),
    "sched_setscheduler": ((144, 119), (0,)),
    "sched_setparam": ((142, 118), (0,)),
    "sched_setattr": ((314, 274), (0,)),
}
"""Calls that name a process, and the arguments that must be 0 for it to be the caller."""

_OTHER_ABI = 0x40000000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOWED, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # where they are in what the filter sees
_PR_SET_SECCOMP, _FILTER = 22, 2
_LAST_FAMILY = 16  # AF_NETLINK: local sockets, the Internet and the kernel's own are before it


Line = tuple[int, str, str, int | None]
"""Code, where to go if it holds and if not (a number of lines, or the name of an answer), and a value."""


def restrict(isolated: bool = False) -> None:
    """Needs no_new_privs.  Where the kernel has no filters nothing happens, which ``confined.obstacle`` tells.

    Args:
        isolated: by namespaces (isolation.py), which leave only some sockets to be refused.
    """
    if platform.machine() not in MACHINES:
        return
    make = isolated_program if isolated else program
    lines = ctypes.create_string_buffer(make(platform.machine()))
    about = struct.pack("HxxxxxxQ", len(lines) // 8, ctypes.addressof(lines))
    ctypes.CDLL(None).prctl(_PR_SET_SECCOMP, _FILTER, about, 0, 0)


def program(machine: str) -> bytes:
    """For a confined process."""
    column = MACHINES[machine][1]
    refused = [numbers[column] for numbers in REFUSED.values()]
    idle = [numbers[column] for numbers in WITHOUT_EFFECT.values()]
    lines: list[Line] = [(_EQUAL, "refused", "", number) for number in refused if number is not None]
    lines += [(_EQUAL, "idle", "", number) for number in idle if number is not None]
    for numbers, arguments in OF_ITSELF.values():
        lines.append((_EQUAL, "", str(2 * len(arguments) + 1), numbers[column]))
        for argument in arguments:
            lines += [(_LOAD, "", "", _ARGUMENTS + 8 * argument), (_EQUAL, "", "refused", 0)]
        lines.append((_RETURN, "", "", _ALLOWED))
    return _assembled(machine, lines)


def isolated_program(machine: str) -> bytes:
    """Sockets that a namespace of the network does not hold back: to the machine around a virtual one, by radio."""
    column = MACHINES[machine][1]
    socket, io_uring = REFUSED["socket"][column], REFUSED["io_uring_setup"][column]
    lines: list[Line] = [
        (_EQUAL, "refused", "", io_uring),
        (_EQUAL, "", "allowed", socket),
        (_LOAD, "", "", _ARGUMENTS),
        (_AT_LEAST, "refused", "allowed", _LAST_FAMILY + 1),
    ]
    return _assembled(machine, lines)


def _assembled(machine: str, calls: list[Line]) -> bytes:
    """The filter; its last three lines are the answers: allowed, refused, done without effect."""
    lines: list[Line] = [
        (_LOAD, "", "", _ARCHITECTURE),
        (_EQUAL, "", "refused", MACHINES[machine][0]),
        (_LOAD, "", "", _NUMBER),
        (_AT_LEAST, "refused", "", _OTHER_ABI),
        *calls,
    ]
    answers = {"allowed": _ALLOWED, "refused": _ERRNO | errno.EACCES, "idle": _ERRNO}
    places = {name: len(lines) + number for number, name in enumerate(answers)}
    lines += [(_RETURN, "", "", answer) for answer in answers.values()]

    def jump(target: str, line: int) -> int:
        """How many lines to skip; empty: none."""
        return places[target] - line - 1 if target in places else int(target or 0)

    return b"".join(
        struct.pack("HBBI", code, jump(yes, number), jump(no, number), value)
        for number, (code, yes, no, value) in enumerate(lines)
    )
