"""Run a selection of the GPU's tests under NVIDIA's compute-sanitizer, every tool of it.

    python scripts/sanitize.py
    python scripts/sanitize.py --backend numba_cuda --tools memcheck

memcheck finds accesses out of bounds, racecheck races in shared memory, synccheck wrong barriers,
and initcheck reads of memory that nobody wrote. CuPy's pool of memory, in which an access out of
bounds may meet another array, is turned off. The exit is 1 where a tool finds anything or a test
fails.
"""

import re
import shutil
import subprocess
import sys

from common.options import make_parser
from common.records import ROOT

TOOLS = ("memcheck", "racecheck", "synccheck", "initcheck")
TESTS = ("tests/test_against_reference.py", "tests/test_ties.py")
#: Layers of one channel and of many, images that are no square, and pieces of odd sizes.
SIZES = "float32 and (28x28 or 10x10-16x5 or 17x4x7)"


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument("--tools", nargs="+", default=TOOLS, choices=TOOLS, metavar="tool")
    parser.add_argument("--backend", default="cupy", choices=("cupy", "numba_cuda"))
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer is None:
        return "compute-sanitizer is not installed; it is part of NVIDIA's CUDA toolkit"
    failed = []
    for tool in arguments.tools:
        # a library asks the driver for functions that it may lack: no error of a kernel's
        command = [sanitizer, "--tool", tool, "--error-exitcode", "1", "--print-limit", "20"]
        command += ["--report-api-errors", "no"] * (tool == "memcheck")
        command += [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.no_pool"]
        command += ["-p", "no:cacheprovider", "-m", "gpu", *TESTS]
        command += ["-k", f"{arguments.backend} and {SIZES}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        lines = re.findall(r".*(?:passed|failed|no tests ran|SUMMARY:).*", done.stdout)
        print(f"{tool}: " + "; ".join(line.strip("= ") for line in lines), flush=True)
        if done.returncode:
            failed.append(tool)
            print(done.stdout[-5000:], done.stderr[-1000:], sep="\n")
    return f"found by {', '.join(failed)}" if failed else 0


if __name__ == "__main__":
    sys.exit(main())
