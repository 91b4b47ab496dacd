"""Thousands of damaged files of every format: each loads, or is refused by name.

    python -m tests.campaigns.damaged_files --files 3000 --seed 0
    python -m tests.campaigns.damaged_files --files 300 --format stack records --output wrong.json

A checkpoint that is damaged blindly (bits, cuts, insertions, numbers of the archive) must come back
as it was saved or raise CheckpointError with the file's name. One whose damage is sealed by right
checksums (headers of arrays, settings, arrays) may also come back as another estimator, which can
then be saved and loaded again. Records and runs must be reported or raise FileError with the name.
Every format has a child process of its own, whose memory is bounded, and a time for every file.
Prints counts and what went wrong; ends with 1 where anything did.
"""

import argparse
import contextlib
import io
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from minisca import CheckpointError
from tests.support import damage
from tests.support.saved_files import FITTED, contents

ROOT = Path(__file__).resolve().parents[2]
RECORD_FORMATS = ("records", "runs")
SECONDS = 2  # a file, on a machine with much else to do
MEMORY = 256 << 20  # beyond what the process has when it begins


class WrongError(Exception):
    """What must not happen to a file."""


def judge_checkpoint(made, path, blind):
    """ "same", "other" or "refused"; WrongError says what else came of loading the file."""
    try:
        loaded = type(made).load(path)
    except CheckpointError as error:
        if str(path) not in str(error):
            raise WrongError(f"the file is not named: {error}") from error
        return "refused"
    if contents(loaded) == contents(made):
        return "same"
    if blind:
        raise WrongError("it loads as something else")
    again = path.with_name("again.npz")
    loaded.save(again)
    if contents(type(made).load(again)) != contents(loaded):
        raise WrongError("saved again, it is something else")
    return "other"


def judge_records(use, path):
    """ "used" or "refused"."""
    from common.data_files import FileError

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            use(path.parent)
    except FileError as error:
        if path.name not in str(error):
            raise WrongError(f"the file is not named: {error}") from error
        return "refused"
    return "used"


def cases(name, files, seed):
    """Yield (number, kind of damage, the damaged bytes), and the function that judges a path."""
    if name in RECORD_FORMATS:
        from tests.support.record_files import USES

        whole, use = USES[name]
        text = "\n".join(map(json.dumps, whole)) if name == "runs" else json.dumps(whole)
        for number in range(files):
            draw = random.Random(f"{name} {seed} {number}")
            if number % 4 == 0:
                yield number, "bytes", damage.any_bytes(text.encode(), draw), judging(use)
            else:
                document = damage.odd(whole, draw)
                lines = "\n".join(map(json.dumps, document))
                text_of = lines if name == "runs" else json.dumps(document)
                yield number, "values", text_of.encode(), judging(use)
        return
    with tempfile.TemporaryDirectory() as folder:
        made, path = FITTED[name](), Path(folder) / "whole.npz"
        made.save(path)
        whole = path.read_bytes()
    kinds = damage.BLIND | damage.SEEING
    for number in range(files):
        kind = list(kinds)[number % len(kinds)]
        draw = random.Random(f"{name} {seed} {number}")

        def judge(path, blind=kind in damage.BLIND):
            return judge_checkpoint(made, path, blind)

        yield number, kind, kinds[kind](whole, draw), judge


def judging(use):
    return lambda path: judge_records(use, path)


def too_late(signum, frame):
    raise WrongError(f"it takes more than {SECONDS} s")


def run_format(name, files, seed):
    """Counter of what came of the files, and a list of what went wrong."""
    import resource  # not on Windows, where the tests that use the rest of this module run too

    counts, wrong, slowest, limited = Counter(), [], 0.0, False
    signal.signal(signal.SIGALRM, too_late)
    with tempfile.TemporaryDirectory() as folder:
        ending = {"records": "results.json", "runs": "runs.jsonl"}.get(name, "damaged.npz")
        path = Path(folder) / ending
        for number, kind, data, judge in cases(name, files, seed):
            if not limited:  # what the estimators need to be made is there now
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                bound = pages * resource.getpagesize() + MEMORY
                resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
                limited = True
            path.write_bytes(data)
            start = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                counts[judge(path)] += 1
            except Exception as error:
                signal.setitimer(signal.ITIMER_REAL, 0)
                counts["wrong"] += 1
                where = traceback.extract_tb(error.__traceback__)[-1]
                what = f"{type(error).__name__}: {error}"[:300]
                found = {"format": name, "number": number, "seed": seed, "damage": kind}
                wrong.append(found | {"what": what, "where": f"{where.filename}:{where.lineno}"})
            signal.setitimer(signal.ITIMER_REAL, 0)
            slowest = max(slowest, time.perf_counter() - start)
    return counts, wrong, slowest


def main():
    formats = (*FITTED, *RECORD_FORMATS)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=3000, help="of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", nargs="+", choices=formats, default=formats)
    parser.add_argument("--output", help="a JSON file of counts and of all that went wrong")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        counts, wrong, slowest = run_format(arguments.format[0], arguments.files, arguments.seed)
        print(json.dumps([counts, wrong, slowest]))
        return 0
    all_counts, all_wrong = {}, []
    for name in arguments.format:
        command = [sys.executable, "-m", "tests.campaigns.damaged_files", "--child"]
        command += ["--files", str(arguments.files), "--seed", str(arguments.seed)]
        done = subprocess.run(
            [*command, "--format", name], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            counts, slowest = {"wrong": 1}, 0
            wrong = [{"format": name, "what": f"the process ended with {done.returncode}"}]
        else:
            counts, wrong, slowest = json.loads(done.stdout.splitlines()[-1])
        shown = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        print(f"{name}: {arguments.files} files: {shown}; slowest {slowest:.2f} s", flush=True)
        for each in wrong[:10]:
            print("   ", json.dumps(each))
        all_counts[name] = counts
        all_wrong += wrong
    if arguments.output:
        Path(arguments.output).write_text(json.dumps([all_counts, all_wrong], indent=1))
    print(f"{len(all_wrong)} of {arguments.files * len(arguments.format)} files went wrong")
    return bool(all_wrong)


if __name__ == "__main__":
    sys.exit(main())
