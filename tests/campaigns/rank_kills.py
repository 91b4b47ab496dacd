"""Ranks that are killed: the job ends within seconds, and a file goes on from the last epoch.

`python -m tests.campaigns.rank_kills 50` kills one of two ranks at so many random moments.
"""

import random
import signal
import sys
import tempfile
import time
import warnings
from os import kill
from pathlib import Path

from minisca import SparseConvAutoencoder
from minisca.communicators import Solo
from tests.support.layers import images
from tests.support.ranks import ROOT, start_ranks
from tests.support.ranks_worker import learned, long

#: Seconds that the job may take to end once a rank is dead.
SECONDS = 10


def killed(seed, directory, most=3.0):
    """Kill a rank of a fit in `directory`, within `most` seconds after its first epoch.

    Returns {what: value}: the seconds that the job lasted after that, its exit status, what it
    said, and the epochs that the file has.
    """
    draw, directory = random.Random(seed), Path(directory)
    worker = ROOT / "tests" / "support" / "ranks_worker.py"
    process = start_ranks(2, worker, directory, "until_killed")
    file, pids = directory / "layer.npz", [directory / f"{rank}.pid" for rank in range(2)]
    end = time.monotonic() + 120
    while epochs_in(file) == 0:
        assert time.monotonic() < end, "the ranks did not begin"
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(draw.uniform(0, most))
    kill(int(draw.choice(pids).read_text()), signal.SIGKILL)
    start = time.monotonic()
    said, _ = process.communicate(timeout=120)
    seconds = time.monotonic() - start
    told = {"seconds": round(seconds, 2), "status": process.returncode, "said": said}
    return told | {"epochs": epochs_in(file)}


def epochs_in(file):
    """How many epochs a file has; 0 where there is none."""
    return SparseConvAutoencoder.load(file).n_epochs_done_ if file.exists() else 0


def goes_on(directory):
    """Whether the file goes on, by one process, to what comes of a fit that was not killed."""
    path = Path(directory) / "layer.npz"
    last = epochs_in(path) + 1

    def ends(layer, epoch, loss):
        return epoch == last

    fit = {"callbacks": [ends], "communicator": Solo()}
    resumed = long().fit(images(), checkpoint=path, resume=True, **fit)
    return learned(resumed) == learned(long().fit(images(), **fit))


def main():
    warnings.simplefilter("ignore", UserWarning)  # of dead maps
    wrong = 0
    for seed in range(int(sys.argv[1])):
        with tempfile.TemporaryDirectory() as directory:
            found = killed(seed, directory)
            good = found["status"] != 0 and found["seconds"] < SECONDS and goes_on(directory)
            wrong += not good
            print(
                seed, "ok" if good else "WRONG", {**found, "said": found["said"][-200:]}, flush=True
            )
    sys.exit(wrong != 0)


if __name__ == "__main__":
    main()
