"""Runs a module as a child that cannot outlive its parent: `python -P tied.py PARENT MODULE ARGUMENT…`.

A parent that is killed runs no clean-up, so the child sees to it. It is started by path and needs nothing of Beckon.
"""

import ctypes
import os
import runpy
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1


def tie(parent: int) -> None:
    """End this process when `parent` ends: by the kernel on Linux, elsewhere by looking twice a second."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os._exit(1)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    tie(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
