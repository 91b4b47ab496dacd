"""How a training step scales over ranks: one thread each, both splits, what they exchange.

And an estimate of more ranks than there are cores: the time of one rank's share, measured alone,
and that of its bytes on a network, computed.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

from bench.layers import LAYERS
from common.records import print_rows

from minisca import SparseConvAutoencoder
from minisca.communicators import Solo
from minisca.training.split import choose_split

#: Of LAYERS: MNIST's first layer and its second.
MEASURED = (0, 3)
SPLITS = ("maps", "images")
ESTIMATED = (2, 4, 8, 16, 32, 64)
#: Bits a second of a network, and seconds until a message arrives there.
NETWORKS = {"10 Gb/s": (10e9, 20e-6), "100 Gb/s": (100e9, 3e-6)}


def measure_scale(bench, machine):
    """{layer: what was measured of it}, seconds a step."""
    found = {}
    for index in MEASURED[: 1 if bench.tiny else None]:
        spec = LAYERS[index]
        spec = spec.tiny() if bench.tiny else spec

        def run(split, ranks=1, threads=1, of=None, index=index):
            asked = {"layer": index, "split": split, "tiny": bench.tiny, "of": of}
            return run_ranks(asked | {"repetitions": max(3, bench.repetitions)}, ranks, threads)

        layer = SparseConvAutoencoder(spec.n_maps, spec.width, batch_size=spec.batch)
        shape = spec.channels, spec.size, spec.size
        _, summed = choose_split(Solo(), layer, shape)
        one = {"plain, 1 thread": run("plain"), "plain, 2 threads": run("plain", threads=2)}
        counts = [n for n in (1, 2, 4, 8) if n <= max(2, not bench.tiny and os.cpu_count())]
        of = {split: {str(n): run(split, n) for n in counts} for split in SPLITS}
        most = 2 if bench.tiny else min(spec.n_maps, spec.batch)
        shares = {
            split: {str(n): run(split, of=n) for n in ESTIMATED if n <= most} for split in SPLITS
        }
        found[spec.name] = {"one process": one, "ranks": of, "shares": shares, "bytes": summed}
    return {"layers": found, "networks": NETWORKS}


def run_ranks(asked, ranks, threads):
    """What rank 0 of `scale_rank` printed."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise ImportError("mpiexec is missing: pip install minisca[mpi]")
    script = Path(__file__).with_name("scale_rank.py")
    command = [mpiexec, "-n", str(ranks), sys.executable, "-m", "mpi4py", str(script)]
    own = {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "passive"}
    made = subprocess.run(
        [*command, json.dumps(asked)], env=os.environ | own, capture_output=True, text=True
    )
    if made.returncode:
        raise RuntimeError(f"{asked} on {ranks} ranks: {made.stdout[-500:]}{made.stderr[-2000:]}")
    return json.loads(made.stdout.strip().splitlines()[-1])


def report_scale(result):
    for name, layer in result["layers"].items():
        print(f"\n{name}")
        print_rows(list(measured_rows(layer)))
        print("An estimate, from one rank's share measured alone and its bytes; nothing was sent:")
        print_rows(list(estimated_rows(layer, result["networks"])))


def measured_rows(layer):
    """Rows of the table of what was measured."""
    for name, found in layer["one process"].items():
        yield _row(name, 1, found, None, None)
    for split, of_ranks in layer["ranks"].items():
        alone = median(of_ranks["1"]["seconds"])
        for n, found in of_ranks.items():
            yield _row(f"{split} split", int(n), found, layer["bytes"][split], alone)


def _row(name, n, found, summed, alone):
    seconds, exchange = median(found["seconds"]), median(found["exchange_seconds"])
    return {
        "": name,
        "ranks": n,
        "ms a step": f"{1e3 * seconds:.1f}",
        "ms exchanging": None if summed is None or n == 1 else f"{1e3 * exchange:.1f}",
        "MB summed": summed and f"{summed / 1e6:.3g}",
        "efficiency": alone and f"{alone / (n * seconds):.2f}",
    }


def estimated_rows(layer, networks):
    """Rows of the table of the estimate."""
    for split, of_shares in layer["shares"].items():
        alone = median(layer["ranks"][split]["1"]["seconds"])
        for n, found in of_shares.items():
            row = {"estimate": f"{split} split", "ranks": n}
            share = median(found["seconds"])
            row["ms of a share"] = f"{1e3 * share:.1f}"
            for network, (bits, latency) in networks.items():
                seconds = share + exchange_seconds(layer["bytes"][split], int(n), bits, latency)
                row[network] = f"{1e3 * seconds:.1f} ms, {alone / (int(n) * seconds):.2f}"
            yield row


def exchange_seconds(summed, n, bits, latency):
    """Of a sum of `summed` bytes over n ranks: each sends its part to all, and the sum of one."""
    return 2 * (n - 1) * (8 * summed / n / bits + latency)
