"""A forked child process that says how far it is, to be killed at any moment."""

import json
import os
import signal
import sys
import time
import traceback

MOST_SECONDS = 300  # until a process is done that nobody kills


class Process:
    """A forked child that does one thing with a folder.

    After every file that it has written it says what `progress(folder)` is, a dict. log: the file
    of what it prints.
    """

    def __init__(self, do, folder, log, progress):
        self.log, self.progress = log, progress
        reader, writer = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reader)
            self._child(do, folder, writer)
        os.close(writer)
        self.said = open(reader)  # noqa: SIM115 (read until the process ends)
        self.code = None

    def _child(self, do, folder, writer):
        out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(out, 1)
        os.dup2(out, 2)
        replace = os.replace

        def say():
            os.write(writer, json.dumps(self.progress(folder)).encode() + b"\n")

        def replaced(*paths):
            replace(*paths)
            say()

        def synced(_):  # syncing takes most of the time, and no computer is switched off
            if (folder / "runs.jsonl").exists():  # which grows
                say()

        os.replace, os.fsync = replaced, synced
        code = 1
        try:
            do(folder)
            code = 0
        except SystemExit as error:
            code = error.code or 0
            print(error)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code if isinstance(code, int) else 1)

    def wait(self, seconds):
        """Whether it ends within so many seconds."""
        end = time.monotonic() + seconds
        while self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                return False
            else:
                time.sleep(0.002)
        return True

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.wait(MOST_SECONDS)

    def promised(self):
        """What it said last was there."""
        lines = [line for line in self.said.read().splitlines(keepends=True) if line[-1] == "\n"]
        return json.loads(lines[-1]) if lines else {}
