"""The one error that is the user's to fix, and those that are the machine's."""

from __future__ import annotations

import errno

MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.EIO}


class DataError(Exception):
    """Something is wrong with the data that a user gave.

    The message is shown verbatim: one sentence with what we found, where, and how to fix it.
    """


def machine_trouble(error: OSError) -> str:
    """One sentence for a full disk, a missing permission and the like; "" for what may be our own mistake."""
    if error.errno not in MACHINE:
        return ""
    where = f" ({error.filename})" if error.filename else ""
    return f"This machine refuses: {(error.strerror or '').lower()}{where}; make room or give another folder."
