"""The published report: every table of the paper beside what was measured, in one HTML file."""

from common.report import Section, plain, write_report
from published import speed, tables
from published.tables import MEASURED, NONE, TABLE_1

NOTE = (
    "Figures are means ± standard deviations over all the seeds that ran; a figure without a "
    "deviation is of one seed. Where nothing else is said, errors and accuracies are of the test "
    "set, by which no setting was chosen. "
)
TABLES = (
    ("Table 1: MNIST", "mnist", TABLE_1, "{:.2f} %"),
    ("Table 2: CIFAR-10", "cifar", tables.TABLE_2, "{:.1f} %"),
    ("Table 3: small NORB", "norb", tables.TABLE_3, "{:.1f} %"),
)
REMARKS = {
    "mnist": "Learned from the 60,000 training images without labels, classified by a linear "
    "classifier.",
    "cifar": "CIFAR-10 was at hand only after one lossy JPEG pass: minisca's figures compare with "
    "nothing published.",
    "norb": "Small NORB was not at hand. scripts/reproduce_norb.py measures it where it is; a set "
    "made in its format has a table in results.md.",
}
MORE = (
    ("Extensions", tables.extensions),
    ("Reconstruction of the first 1,000 test images", tables.reconstruction),
    ("Few labels: test error, ten draws", tables.few_labels),
    ("Fashion-MNIST with the settings of MNIST", tables.fashion),
    ("Figure 1c: validation accuracy, CIFAR-10 after a JPEG pass", tables.figure_1c),
    ("Speed on two CPU cores", speed.speed),
)
PICTURES = {
    "mnist-16-figure3": "Figure 3: a digit, 16 decoder filters, the winners while training, the "
    "maps with the constraint turned off, after pooling, and the second layer's maps",
    "mnist-128-decoder-filters": "128 decoder filters learned from MNIST",
    "mnist-16-reconstructions": "Test digits, and what 16 winners rebuild of each",
    "mnist-few-labels": "Test error against labels a class",
    "figure-1b": "Figure 1b: 32 filters learned from whole whitened images",
    "figure-1c": "Figure 1c: accuracy against the number of maps",
    "figure-2b": "Figure 2b: 16 filters without any sparsity",
    "figure-2c": "Figure 2c: the same with winner-take-all",
}


def write_page(path):
    sections = [_paper_table(*table) for table in TABLES]
    sections += [Section(heading, *_plain(make())) for heading, make in MORE]
    sections.append(_settings())
    pictures = [(text, MEASURED / "figures" / f"{name}.png") for name, text in PICTURES.items()]
    sections.append(Section("Pictures", pictures=pictures))
    paper = tables.paper()["paper"]
    about = f"The paper: {' and '.join(paper['authors'])}, arXiv {paper['arxiv']}."
    write_report(path, f"minisca beside “{paper['title']}”", sections, note=NOTE + about)


def _paper_table(heading, data, rows, form):
    """What the paper quotes, then its own rows beside ours."""
    paper = tables.paper()
    if data == "mnist":
        header, ours = tables.table_1()
    elif data == "cifar":
        header, ours = tables.table_2()
    else:
        header = ["test error", "paper", "minisca"]
        values = {row: paper["experiments"][row]["value"] for row in rows}
        ours = [[name, form.format(values[row]), NONE] for row, name in rows.items()]
    unknown = [NONE] * (len(header) - 2)
    methods = paper["compared"][data]["methods"]
    quoted = [[method["name"], form.format(method["value"]), *unknown] for method in methods]
    ours = [[f"Winner-take-all, {row[0]}", *row[1:]] for row in ours]
    return Section(heading, header, [*quoted, *ours], text=REMARKS[data])


def _settings():
    """What every layer of Table 1, and its linear SVM, was trained with."""
    settings = {name: tables.by_row("mnist")[row][0]["settings"] for row, name in TABLE_1.items()}
    layers = {
        f"{name}, layer {depth}": layer
        for name, found in settings.items()
        for depth, layer in enumerate(found["layers"], 1)
    }
    names = [name for name in layers["16 maps, layer 1"] if name not in ("random_state", "verbose")]
    rows = [[name, *(plain(layer[name]) for layer in layers.values())] for name in names]
    classifiers = {f"{name}, linear SVM": found["classifier"] for name, found in settings.items()}
    return Section("Settings of Table 1", ["", *layers], rows, classifiers)


def _plain(table):
    return [text.replace("`", "") for text in table.header], table.rows
