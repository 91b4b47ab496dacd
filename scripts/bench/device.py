"""The run that measures all that needs a device: its order, its time, and what goes wrong in it."""

import contextlib
import time
import traceback

from bench.peer_calls import what_it_says

#: The sections in their order: whether of the first column that there is or of the second, and the
#: share of the time, beside those after it. What one leaves is the others'.
PLAN = (
    *(("peaks", 0, 1), ("steps", 0, 8), ("peers", 0, 10), ("kernels", 0, 5), ("steps", 1, 6)),
    *(("transform", 0, 2), ("transform", 1, 2), ("cold", 0, 4), ("cold", 1, 4)),
    *(("compiled", 0, 8), ("mnist", 0, 10)),
)
#: Seconds that there must be at least to begin a section that is not measured layer by layer.
LEAST_SECONDS = {"kernels": 15, "cold": 30, "mnist": 60}
#: Those that are of the device, whatever column they are measured with.
ONCE = ("peaks", "peers", "compiled", "mnist")


class Clock:
    """Of the minutes that there are, and of what is begun within them."""

    def __init__(self, minutes):
        self.end = self.share_end = time.monotonic() + 60 * minutes

    def begin(self, share, least=0):
        """Begin something that may take this share, from 0 to 1, of what is left.

        Raises TimeoutError where that is less than `least` seconds, or nothing.
        """
        self.share_end = self.end
        self.check(least)
        self.share_end -= (1 - share) * self.seconds_left()

    def seconds_left(self):
        return self.share_end - time.monotonic()

    def check(self, least=0):
        """Raise TimeoutError where the time is up, or less than `least` seconds are left."""
        if self.seconds_left() <= least:
            raise TimeoutError("not begun: the time was up (--minutes)")


def plan(sections, machines):
    """[(section, machine, its share of the time that is left when it begins)]"""
    found = [of for of in PLAN if of[0] in sections and of[1] < len(machines)]
    shares = [share for _, _, share in found]
    return [
        (section, machines[column], share / sum(shares[n:]))
        for n, (section, column, share) in enumerate(found)
    ]


@contextlib.contextmanager
def noting(failed, name):
    """Whatever goes wrong within the block is printed, and kept under the name."""
    try:
        yield
    except TimeoutError as error:
        failed[name] = what_it_says(error)
    except Exception as error:  # of any kind, a compiler's or a driver's among them
        traceback.print_exc()
        failed[name] = what_it_says(error)
