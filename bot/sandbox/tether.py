"""A program that dies with the one that started it, on Linux: `python tether.py PARENT PROGRAM ARGUMENT…`.

Whoever is killed with SIGKILL cannot stop its children. Linux can: a process may ask to be sent a signal once its
parent is gone, and keeps that wish when it turns into another program. So this script asks, and then becomes PROGRAM,
with the same process id. To ask between fork and exec instead, as a `preexec_fn` would, is unsafe in a process with
threads.

It is run as a file and imports nothing of the project, so it takes a few hundredths of a second.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""


def become(parent: int, words: list[str]) -> None:
    """Turn this process into the program `words`, to be killed as soon as its `parent` (a process id) has ended.

    To be exact, as soon as the thread of the parent that started it has ended; the sandbox starts it in its main one.

    Where the kernel refuses the wish the program runs all the same, untethered.

    Raises:
        OSError: the program cannot be run.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # A parent that ended before the wish was made sends nothing any more.
    if os.getppid() == parent:
        os.execvp(words[0], words)  # noqa: S606 - no shell is what is wanted


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
