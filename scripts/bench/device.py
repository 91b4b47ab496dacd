"""The run that measures all that needs a device: its order, its time, and what goes wrong in it."""

import contextlib
import time
import traceback

from bench.peer_calls import what_it_says

#: The sections, what matters most first: the time may be up before the last.
PLAN = ("peaks", "steps", "peers", "transform", "kernels", "cold", "compiled", "mnist")
#: Those that are of the device, and those of its first column alone.
ONCE = ("peaks", "peers", "compiled", "mnist")
FIRST = (*ONCE, "kernels")


def plan(sections, machines):
    """[(section, machine)] in their order."""
    wanted = [name for name in PLAN if name in sections]
    return [(s, m) for s in wanted for m in (machines[:1] if s in FIRST else machines)]


class Clock:
    """Of the minutes that there are."""

    def __init__(self, minutes):
        self.end = time.monotonic() + 60 * minutes

    def seconds_left(self):
        return self.end - time.monotonic()


@contextlib.contextmanager
def noting(failed, name):
    """Whatever goes wrong within the block is printed, and kept under the name."""
    try:
        yield
    except Exception as error:  # of any kind, a compiler's or a driver's among them
        traceback.print_exc()
        failed[name] = what_it_says(error)
