"""The error that is the user's to fix, and how command lines end on it and on trouble of the machine."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

EXIT_DATA, EXIT_MACHINE, EXIT_STOPPED = 2, 4, 130
MAX_CHARS = 900
MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.EIO}


class DataError(Exception):
    """Something is wrong with the data that a user gave.

    The message is shown verbatim: one sentence with what we found, where, and how to fix it.
    """


def _shortened(sentence: str) -> str:
    """A name or a cell in it may be a megabyte long."""
    return (
        sentence if len(sentence) <= MAX_CHARS else f"{sentence[: MAX_CHARS * 2 // 3]}...{sentence[-MAX_CHARS // 3 :]}"
    )


def exit_code(command: Callable[[], int]) -> int:
    """Run it; wrong data or a failing machine (a full disk, no permission) is one sentence on stderr and 2 or 4."""
    try:
        return command()
    except DataError as error:
        print(_shortened(" ".join(str(error).split())), file=sys.stderr)
        return EXIT_DATA
    except OSError as error:
        if error.errno == errno.EFBIG:
            print("This data fills a file larger than is allowed here; split it or give less of it.", file=sys.stderr)
            return EXIT_DATA
        if error.errno not in MACHINE:  # perhaps our own mistake
            raise
        where = f" ({error.filename})" if error.filename else ""
        what = (error.strerror or "").lower()
        print(f"This machine refuses: {what}{where}; make room or give another folder.", file=sys.stderr)
        return EXIT_MACHINE
