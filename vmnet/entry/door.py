"""What every door does first.

Job: standard descriptors that are open, signals as a command has them.
Leaves to others: all else.
Privilege: none.
"""

from __future__ import annotations

import os
import signal


def begin() -> None:
    """Set the process up as a door.

    A closed standard descriptor is opened on /dev/null: else a TAP could become number 0 to 2, and
    somebody's output a frame. SIGINT takes its usual course instead of a traceback, and stays
    ignored where it was (`vmnet run ... &` in a script); while the host is being changed it waits
    (`vmnet.kernel.signals`).
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
