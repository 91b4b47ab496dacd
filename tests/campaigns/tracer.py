"""KeyboardInterrupt at a chosen line of Python code."""

import sys
from pathlib import Path

import minisca

HOME = str(Path(minisca.__file__).parent)


class Tracer:
    """Counts lines of Python code, and raises KeyboardInterrupt at the one of number `stop`.

    places: what lines are counted, by how their file's name starts. at_epoch: called before every
    epoch, and before the best is restored.
    """

    def __init__(self, stop=None, places=HOME, at_epoch=None):
        self.stop, self.places, self.at_epoch = stop, places, at_epoch
        self.lines, self.where = 0, None
        self.times = {}  # a line: the numbers under which it came

    def __enter__(self):
        sys.settrace(self.trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def trace(self, frame, event, _):
        code = frame.f_code
        if event == "call":
            if self.at_epoch and code.co_name in ("run_epoch", "_restore_best"):
                self.at_epoch()
            return self.trace if code.co_filename.startswith(self.places) else None
        if event == "line":
            self.lines += 1
            self.times.setdefault((code, frame.f_lineno), []).append(self.lines)
            if self.lines == self.stop:
                self.where = f"{code.co_filename.removeprefix(HOME + '/')}:{frame.f_lineno}"
                sys.settrace(None)
                raise KeyboardInterrupt
        return self.trace
