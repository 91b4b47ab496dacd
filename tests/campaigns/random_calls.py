"""Random calls of every operation and every public method: right, or an ordinary exception.

    python -m tests.campaigns.random_calls --calls 3000 --seed 0 --output out/random_calls.json
    python -m tests.campaigns.random_calls --operation conv2d --backend cupy --calls 300
    python -m tests.campaigns.random_calls --call '{"call": "relu", ...}'

Calls are made in a child process. Faults are: a process that dies or hangs, an argument that was
changed, a wrong value, a right call that was refused, and an exception that says too little. Of
every kind the first call is printed, to be made again with --call.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from pathlib import Path

import hypothesis

from tests.campaigns.calls import NAMES, calls

ROOT = Path(__file__).parents[2]
#: Seconds that a call may take; the first ones compile.
MOST_SECONDS = 120


class Worker:
    """A child process that makes calls, replaced when it dies or hangs."""

    def __init__(self, backend):
        self.backend, self.process = backend, None

    def make(self, call):
        """What became of the call: as of `tests.campaigns.worker.answer`."""
        if self.process is None:
            self._start()
        try:
            self.process.stdin.write(json.dumps(call) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._dead()
        before = time.monotonic()
        limit = threading.Timer(MOST_SECONDS, self.process.kill)
        limit.start()
        line = self.process.stdout.readline()
        limit.cancel()
        if line.endswith("\n"):
            return json.loads(line)
        dead = self._dead()
        if time.monotonic() - before >= MOST_SECONDS:
            return _fault("hung", f"it took more than {MOST_SECONDS} s")
        return dead

    def _start(self):
        environment = os.environ | {"PYTHONFAULTHANDLER": "1"}
        if self.backend == "numba_cuda":
            environment["NUMBA_ENABLE_CUDASIM"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.campaigns.worker", self.backend],
            **{"cwd": ROOT, "env": environment, "text": True},
            **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE},
        )

    def _dead(self):
        code = self.process.wait()
        self.close()
        return _fault("died", f"the process ended with {code}")

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
            self.process = None


def _fault(outcome, fault):
    return {"outcome": outcome, "fault": fault, "said": "", "seconds": 0.0}


def random_calls(name, n, seed, use):
    """Give `n` random calls of that name to `use`."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=n,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(calls(name))
    def each(call):
        use(call)

    each()


def campaign(worker, name, n, seed):
    """(counts by outcome, {kind of fault: (count, first call, what was said)})."""
    outcomes, faults = Counter(), {}

    def use(call):
        if worker.backend != "cpu" and call["args"].get("n_active") == {"value": 2**31 - 1}:
            return  # on the CPU there is no room; an emulated device would really do it
        found = worker.make(call)
        outcomes[found["outcome"]] += 1
        outcomes["of them entirely right calls"] += call["right"]
        if found["fault"] is not None:
            kind = found["fault"][:80] if found["outcome"] != "wrong" else found["fault"][:40]
            count, *first = faults.get(kind, (0, call, found["fault"], found["said"]))
            faults[kind] = (count + 1, *first)

    random_calls(name, n, seed + zlib.crc32(name.encode()), use)
    return outcomes, faults


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3000, help="of each operation; default: 3000")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--operation", default="*", help="its name, or a pattern: 'Stack.*'")
    parser.add_argument("--backend", default="cpu", choices=("cpu", "cupy", "numba_cuda"))
    parser.add_argument("--call", help="make this call alone, as it was printed")
    parser.add_argument("--output", help="file of the counts and faults")
    options = parser.parse_args()
    worker = Worker(options.backend)
    if options.call:
        print(json.dumps(worker.make(json.loads(options.call)), indent=1))
        worker.close()
        return
    names = [name for name in NAMES if fnmatch.fnmatchcase(name, options.operation)]
    record = {"backend": options.backend, "seed": options.seed, "operations": {}}
    for name in names:
        outcomes, faults = campaign(worker, name, options.calls, options.seed)
        print(name, dict(outcomes), flush=True)
        for count, call, fault, said in faults.values():
            print(f"  {count} x {fault} {said}\n    --call '{json.dumps(call)}'", flush=True)
        record["operations"][name] = {"outcomes": outcomes, "faults": faults}
        if options.output:
            Path(options.output).parent.mkdir(parents=True, exist_ok=True)
            Path(options.output).write_text(json.dumps(record, indent=1))
    worker.close()
    n_faults = sum(len(each["faults"]) for each in record["operations"].values())
    print(f"{len(names)} operations, {n_faults} kinds of fault")
    sys.exit(n_faults > 0)


if __name__ == "__main__":
    main()
