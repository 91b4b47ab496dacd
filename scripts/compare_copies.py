"""What a lossy copy of CIFAR-10 costs: images without loss beside the copies of the same images.

    python scripts/compare_copies.py --lossless DIR --data-dir DIR     256 maps, 20 splits
    python scripts/compare_copies.py --lossless DIR --quick            8 maps, 2 splits

--lossless names a folder with lossless.bin.xz, records of CIFAR-10's binary version, and index.txt,
a line for each of them: the number of its copy in --data-dir, those of the training files from 0,
those of the test file after them. Either version goes the paper's way by itself: contrast
normalisation and whitening, a first layer that is learned from all of its images, a linear SVM on
some of the labels, judged by the others. The labels are drawn anew for every split, the same for
both versions. What is reported is the mean of the differences, and its standard error, which allows
for splits that share images (C. Nadeau and Y. Bengio, 2003, section 3).
"""

import lzma
from pathlib import Path

import numpy as np
from common.data_files import FileError, run_command
from common.locks import check_packages
from common.options import add_common, make_parser, parse_checked
from common.records import Results, Stopwatch, environment, print_table
from paper_figures.accuracy import ARCHITECTURE
from tables.images import ZCA_EPSILON, labelled

import minisca
from minisca.datasets.cifar import RECORD, SIZE
from minisca.preprocessing import ZCA, contrast_normalise

#: Of the labels, this part is learned from.
PART = 0.75
SVM = {"l2": 0.5, "max_iter": 20}


def parse_arguments():
    parser = make_parser(__doc__)
    parser.add_argument("--lossless", required=True, help="the folder of the images without loss")
    parser.add_argument("--maps", type=int, help="default: 256; --quick: 8")
    parser.add_argument("--splits", type=int, help="default: 20; --quick: 2")
    parser.add_argument("--epochs", type=int, help="default: 20; --quick: 1")
    data, quick = "CIFAR-10's binary version, the lossy copy", "few maps, epochs and splits"
    add_common(parser, data, "out/copies", quick, label="the copies")
    arguments = parse_checked(parser, "maps", "splits", "epochs")
    usual = (8, 2, 1) if arguments.quick else (256, 20, 20)
    for name, value in zip(("maps", "splits", "epochs"), usual, strict=True):
        setattr(arguments, name, getattr(arguments, name) or value)
    return arguments


def read_pairs(directory, copies):
    """Images without loss, their copies, and the labels of both: float32 in [0, 1], int64.

    copies: the Dataset. Raises FileError for files that do not fit each other or the copies.
    """
    path, index = Path(directory) / "lossless.bin.xz", Path(directory) / "index.txt"
    try:
        content = lzma.decompress(path.read_bytes())
        rows = np.array(index.read_text().split(), np.int64)
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise FileError(f"{directory} cannot be read: {error}") from error
    if not content or len(content) != len(rows) * RECORD:
        must = f"it must be {RECORD} for each of the {len(rows)} lines of {index.name}"
        raise FileError(f"{path} has {len(content)} bytes; {must}")
    images = np.concatenate([copies.train_images, copies.test_images])
    labels = np.concatenate([copies.train_labels, copies.test_labels])
    if rows.min() < 0 or rows.max() >= len(images):
        raise FileError(f"{index} has numbers beyond the {len(images)} copies")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if not np.array_equal(records[:, 0], labels[rows]):
        raise FileError(f"{path} has other labels than the copies that {index.name} names")
    lossless = np.divide(records[:, 1:].reshape(-1, *SIZE), 255, dtype=np.float32)
    return lossless, images[rows], labels[rows]


def features_of(images, arguments, seed):
    """What a first layer, learned from these images, makes of them."""
    step = 2 if arguments.quick else 1  # a quarter of the pixels, which whiten in no time
    normalised = contrast_normalise(images[:, :, ::step, ::step])
    whitened = ZCA(ZCA_EPSILON).fit(normalised).transform(normalised)
    layer = minisca.SparseConvAutoencoder(
        **ARCHITECTURE,
        n_maps=arguments.maps,
        n_epochs=arguments.epochs,
        learning_rate=0.1,
        random_state=seed,
        backend=arguments.backend,
    )
    return layer.fit(whitened).transform(whitened)


def draw_splits(n, count, seed):
    """[(rows to learn from, rows to judge by)]."""
    orders = (np.random.default_rng([seed, split]).permutation(n) for split in range(count))
    n_fit = int(PART * n)
    return [(np.sort(order[:n_fit]), np.sort(order[n_fit:])) for order in orders]


def difference(one, other, n_fit, n_judged):
    """Mean of the differences of two lists of accuracies, and its standard error.

    The splits share images, so that their differences vary less than those of new images would.
    """
    found = np.subtract(one, other)
    return float(found.mean()), float(
        np.sqrt((1 / len(found) + n_judged / n_fit) * found.var(ddof=1))
    )


def measure(arguments, seed, lossless, copies, labels, results, name):
    """The record of one seed, measured now unless it is there."""
    settings = {"maps": arguments.maps, "epochs": arguments.epochs, "splits": arguments.splits}
    settings |= {"classifier": SVM, "part": PART, "images": len(labels), "quick": arguments.quick}
    run = {"row": "copies", "seed": seed, "data": name, "settings": settings}
    if (found := results.find(**run)) is not None:
        return found
    watch, splits = Stopwatch(), draw_splits(len(labels), arguments.splits, seed)
    accuracies = {}
    for version, images in (("lossless", lossless), ("copies", copies)):
        with watch("features"):
            features = features_of(images, arguments, seed)
        with watch("classify"):
            accuracies[version] = [
                100
                * minisca.LinearSVM(**SVM, verbose=False)
                .fit(features[fit], labels[fit])
                .score(features[judged], labels[judged])
                for fit, judged in splits
            ]
    mean, error = difference(*accuracies.values(), *map(len, splits[0]))
    seconds = watch.seconds | {"total": round(sum(watch.seconds.values()), 2)}
    found = {"accuracies_percent": accuracies, "difference": mean, "standard_error": error}
    unknown = ("test_error_percent", "validation_error_percent", "paper_percent")
    record = run | dict.fromkeys(unknown) | {"losses": [], "seconds": seconds} | found
    results.add(record | environment())
    return record


def main():
    arguments = parse_arguments()
    check_packages()
    data = minisca.datasets.load_cifar10(arguments.data_dir)
    data = labelled(data, arguments.label, "CIFAR-10")
    pairs = read_pairs(arguments.lossless, data)
    results = Results(arguments.output, arguments.resume, "copies.json")
    rows = []
    for seed in arguments.seeds:
        record = measure(arguments, seed, *pairs, results, data.name)
        means = [np.mean(found) for found in record["accuracies_percent"].values()]
        lost = f"{record['difference']:.2f} ± {record['standard_error']:.2f}"
        rows.append([str(seed), *(f"{mean:.2f} %" for mean in means), lost])
    print_table(["seed", "without loss", "copies", "lost, points"], rows)
    print(f"Records: {results.path}")


if __name__ == "__main__":
    run_command(main)
