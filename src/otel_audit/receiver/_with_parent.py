"""Run a command that ends when the process that started it is gone: ``python _with_parent.py PARENT_PID COMMAND...``.

A process of its own sets this up, and then becomes the command, because nothing may run between fork and exec
in a process that has the embedded engine loaded.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>

if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):  # it went before the call
        raise SystemExit(1)
os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command is the purpose
