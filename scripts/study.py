"""A study on validation images: runs of declared settings, and which of them matter.

    python scripts/study.py scripts/studies/mnist-16.toml --seeds 0 1 2
    python scripts/study.py scripts/studies/mnist-16.toml --report

What is searched, and how such a file is written: scripts/studies/space.py. Runs are scored on the
last 10,000 training images, which nothing is trained on; the test images are not used. Every
finished run is a line of runs.jsonl in --output, and is not made again. Several processes may share
the directory: each makes what no other is making. A layer that was trained serves all encodings of
it, those of another study with the same --output too. --report prints what each setting's values
add to the validation error beside the spread of seeds, and writes report.json and report.png;
--report validation_loss does so by another score. --record keeps them in reference/measured, with
the runs: copied to runs.jsonl of an --output, they are gone on from.
"""

import time
from collections import Counter
from pathlib import Path

from common.data_files import run_command
from common.locks import check_packages
from common.options import add_common, check_counts, check_seeds, make_parser, resolve_backend
from common.records import ROOT, environment
from studies.measure import Images, Measure
from studies.report import report
from studies.runs import Runs
from studies.space import DATA, SCORES, read_space
from tables.images import labelled

import minisca
from minisca.progress import progress

MEASURED = ROOT / "reference" / "measured"


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument("study", help="a TOML file such as those in scripts/studies")
    parser.add_argument("--images", type=int, help="training images; default: 50,000")
    parser.add_argument(
        "--report",
        nargs="?",
        const="own",
        choices=("own", *SCORES),
        help="run nothing, report what is there; by the study's own score or by another",
    )
    parser.add_argument(
        "--record", action="store_true", help="keep report and runs in reference/measured as well"
    )
    data = "the data set's files, or files like them"
    add_common(parser, data, None, resume=False, label="the files")
    arguments = parser.parse_args()
    check_counts(parser, arguments, "images")
    check_seeds(parser, arguments)
    try:
        arguments.space = read_space(arguments.study)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    arguments.output = Path(arguments.output or f"out/studies/{arguments.space.name}")
    if arguments.report in SCORES:
        arguments.space = arguments.space._replace(score=arguments.report)
    if not arguments.report:
        print(f"Backend: {resolve_backend(parser, arguments.backend)}")
    return arguments


def run_all(arguments, runs_file):
    """Make every run that no process has made or is making, layer by layer."""
    kind = arguments.space.data
    data = getattr(minisca.datasets, f"load_{kind}")(arguments.data_dir)
    data = labelled(data, arguments.label, DATA[kind])
    images = Images(data, arguments.images, whitened=kind == "cifar10")
    measure = Measure(images, arguments.space, runs_file, arguments.backend)
    runs = arguments.space.runs(arguments.seeds)
    groups = {}
    for run in runs:
        groups.setdefault(measure.layer_key(run), []).append(run)
    finished = runs_file.finished()
    done = sum(measure.key(run) in finished for run in runs)
    print(f"{images.name}: {len(runs)} runs of {len(groups)} layers, {done} of them finished")
    with progress(True, total=len(runs), initial=done, unit=" runs") as bar:
        for name, group in groups.items():
            with runs_file.hold(name) as ours:
                finished = runs_file.finished()  # read while it is held: nobody adds to it now
                todo = [run for run in group if measure.key(run) not in finished]
                if ours and todo:
                    run_group(todo, measure, runs_file, bar)
    finished = runs_file.finished()
    missing = sum(measure.key(run) not in finished for run in runs)
    if missing:
        print(f"{missing} runs are being made by other processes")


def run_group(runs, measure, runs_file, bar):
    """The runs of one layer, each a line as soon as it is measured."""
    before = time.perf_counter()
    for run, measured in measure.records(runs):
        now = time.perf_counter()
        record = {"key": measure.key(run), "layer": measure.layer_key(run), **measured}
        record |= {"seed": run.seed, "data": measure.images.name, "settings": run.settings()}
        record |= {"below": measure.below, "seconds": round(now - before, 2)}
        runs_file.append(record | environment())
        before = now
        bar.update()
        bar.set_postfix(score=measured[measure.score], refresh=False)


def main():
    arguments = parse_arguments()
    pictures = check_packages()
    runs_file = Runs(arguments.output)
    if not arguments.report:
        run_all(arguments, runs_file)
    records = arguments.space.own(runs_file.finished().values())
    counts = Counter(record["data"] for record in records)
    if len(counts) > 1:
        print(f"Of {', '.join(counts)}, only what has most runs is reported; use an --output each")
    data = counts.most_common(1)[0][0] if counts else None
    recorded = None
    if arguments.record:
        name = f"study-{arguments.space.name}"
        recorded = (
            MEASURED / f"{name}.json",
            MEASURED / "figures" / f"{name}.png",
            MEASURED / "studies" / f"{arguments.space.name}.jsonl",
        )
    records = [record for record in records if record["data"] == data]
    report(records, arguments.space, arguments.output, recorded, pictures)


if __name__ == "__main__":
    run_command(main)
