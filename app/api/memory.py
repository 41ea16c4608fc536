"""What is in the API's memory, card numbers among it, stays there: no core dump, no debugger."""

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4


def keep_out_of_dumps() -> None:
    """Have the kernel never write this process's memory to a file. Raises OSError if it will not.

    On Linux no other process of the same user can read it either.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The limit does not hold where the kernel hands core dumps to a program; this does.
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(
        _PR_SET_DUMPABLE, 0, 0, 0, 0
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
