"""Room on a disk for a file that is going to be mapped."""

import os


def take_room(file, n_bytes, what, where):
    """Make an open binary file n_bytes long, with all of its room taken.

    A process that writes into a map beyond a full disk is killed, without a word. Raises OSError,
    which says what there is no room for, and names `where`.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:
            file.truncate(n_bytes)
    except OSError as error:
        why = f"{error.strerror}: there is no room for {what} of {n_bytes} bytes"
        raise OSError(error.errno, why, str(where)) from error
