"""What is in a process's memory, cards and secrets, stays there: no core dump, no debugger."""

import ctypes
import os
import resource
import sys

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def keep_out_of_dumps() -> None:
    """Have the kernel never write this process's memory to a file. Raises OSError if it will not.

    On Linux no other process of the same user can read it either, nor its environment.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    # The limit does not hold where the kernel hands core dumps to a program; this does.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError("the kernel may still dump this process's memory")
