"""The tables of speed: what benchmark.py measured."""

from bench.scale import estimated_rows, measured_rows
from published.tables import NONE, Table, read

#: Of a row that is measured.
PHASES = ("prepare", "train", "encode", "classify")
#: What a training step of a layer, and one `partial_fit` of a batch, were aimed at: of the floor.
AIMS = {
    "MNIST layer 1, 128 maps": (0.90, 1.25),
    "MNIST layer 1, 16 maps": (2.0, 3.0),
    "CIFAR layer 1, 512 maps": (0.90, None),
    "MNIST layer 2, 128 to 2048 maps": (0.45, None),
    "CIFAR layer 2, 512 to 4096 maps": (0.45, None),
}
#: What grows, in words.
GROWING = {"n_maps": "maps", "size": "image side", "channels": "channels", "width": "filter width"}


def speed():
    """A training step of every layer beside PyTorch's."""
    table = steps()
    rows = [[row[0], row[2], *row[5:]] for row in table.rows]
    return Table(["training step, 100 images", "minisca", *table.header[5:]], rows)


def steps():
    """The same, beside the time that the encoder's convolution alone would take."""
    header = ["training step, 100 images", "floor", "minisca", "minisca / floor", "aim"]
    header += ["PyTorch", "times faster", "best PyTorch", "times faster than it"]
    rows = []
    for layer in read("benchmark")["sections"]["steps"]["layers"]:
        found = layer["median_seconds"]
        ours, peer = found["minisca"], found.get("pytorch")
        best = min(map(found.get, layer.get("best_made_of", ())), default=None)
        cells = [layer["layer"], milliseconds(layer["floor_seconds"]), milliseconds(ours)]
        cells += [f"{layer['multiple_of_floor']['minisca']:.2f}", aim(layer["layer"], 0)]
        cells += [NONE, NONE] if peer is None else [milliseconds(peer), f"{peer / ours:.0f} ×"]
        cells += [NONE, NONE] if best is None else [milliseconds(best), f"{best / ours:.1f} ×"]
        rows.append(cells)
    if all(row[7] == NONE for row in rows):  # it was not measured
        header, rows = header[:7], [row[:7] for row in rows]
    return Table(header, rows)


def aim(layer, which):
    """One of a layer's `AIMS`, as text."""
    found = AIMS.get(layer, (None, None))[which]
    return NONE if found is None else f"{found:.2f}"


def by_layer():
    """What else was measured of each layer: encoding, threads, first step, memory."""
    sections = read("benchmark")["sections"]
    columns = {
        "`transform` / encoder of a step": ("transform", "ratio", "{:.2f}"),
        "two threads": ("threads", "speed_up", "{:.2f} ×"),
        "first step, nothing compiled yet": ("cold", "median_cold_seconds", "{:.1f} s"),
        "first step later": ("cold", "median_warm_seconds", "{:.2f} s"),
    }
    cells = {layer["layer"]: {} for layer in sections["steps"]["layers"]}
    for heading, (section, key, form) in columns.items():
        for layer in sections[section]["layers"]:
            cells[layer["layer"]][heading] = form.format(layer[key])
    for layer in sections["memory"]["layers"]:
        most = max(run["beyond_bytes"] for run in layer["runs"])
        cells[layer["layer"]]["memory"] = f"{most / 1e6:.0f} MB"
    header = [*columns, "memory"]
    rows = [[name, *(found.get(key, NONE) for key in header)] for name, found in cells.items()]
    return Table(["layer", *header], rows)


def stream():
    """A batch of a stream, on images without a zero pixel."""
    rows = [
        [
            *(layer["layer"], milliseconds(layer["floor_seconds"])),
            milliseconds(layer["median_seconds"]["partial_fit"]),
            f"{layer['multiple_of_floor']['partial_fit']:.2f}",
            aim(layer["layer"], 1),
        ]
        for layer in read("benchmark")["sections"]["stream"]["layers"]
    ]
    header = ["`partial_fit` of 100 images", "floor", "minisca", "minisca / floor", "aim"]
    return Table(header, rows)


def busy():
    """A step beside processes that never rest."""
    found = read("benchmark")["sections"]["busy"]
    threads = str(found["threads"])
    rows = []
    for layer in found["layers"]:
        for neighbours, beside in layer["beside"].items():
            one, all_threads = (beside["median_seconds"][n] for n in ("1", threads))
            cells = milliseconds(one), milliseconds(all_threads), f"{all_threads / one:.2f}"
            rows.append([layer["layer"], neighbours, *cells])
    header = ["training step", "busy neighbours", "one thread", f"{threads} threads", "ratio"]
    return Table(header, rows)


def end_to_end():
    """Rows of the paper's tables from the images to the error, by phase."""
    records = read("end-to-end")
    phases = [phase for phase in PHASES if any(phase in r["seconds"] for r in records)]
    rows = []
    for record in records:
        spent = record["seconds"]
        cells = (f"{spent[phase]:.0f} s" if phase in spent else NONE for phase in phases)
        rows.append([record["row"], *cells, f"{spent['total']:.0f} s"])
    return Table(["row", *phases, "together"], rows)


def classifier():
    """`LogisticRegression` on features of several kinds, to convergence."""
    found = read("benchmark")["sections"]["classifier"]
    rows = [
        [fit["kind"], f"{fit['seconds']:.0f} s", f"{fit['beyond_bytes'] / 1e6:.0f} MB"]
        for fit in found["fits"]
    ]
    size = f"{found['rows']:,} × {found['features']:,} features"
    return Table([size, "time", "memory beyond the features"], rows)


def classifier_peers():
    """The linear classifiers beside scikit-learn's, to the same objective."""
    found = read("benchmark")["sections"]["classifier"]["beside_scikit_learn"]
    rows = [
        [
            *(fit["objective"], fit["name"], f"{fit['seconds']:.1f} s"),
            *(f"{fit['beyond_bytes'] / 1e6:.0f} MB", f"{fit['loss']:.4f}", f"{fit['error']:.2%}"),
        ]
        for fit in found["fits"]
    ]
    size = f"{found['rows']:,} × {found['features']:,} features"
    return Table([size, "", "time", "memory beyond them", "objective", "error on others"], rows)


def growth():
    """How a first layer's step grows, one number at a time."""
    axes = read("benchmark")["sections"]["growth"]["axes"]
    rows = []
    for name, words in GROWING.items():
        if name not in axes:
            continue
        sizes = [point["at"] for point in axes[name]["points"]]
        slope, floor = (axes[name][key] for key in ("slope_of_larger_half", "slope_of_floor"))
        rows.append([words, f"{sizes[0]} to {sizes[-1]}", f"{slope:.2f}", str(floor)])
    return Table(["what grows", "sizes", "exponent", "of the arithmetic"], rows)


def scale():
    """A training step on one rank and on more, of one thread each."""
    table = _of_layers(lambda layer, found: measured_rows(layer))
    return Table(["layer", "how", *table.header[2:]], table.rows)


def scale_estimate():
    """The same on more ranks than there are cores: an estimate."""
    return _of_layers(lambda layer, found: estimated_rows(layer, found["networks"]))


def scale_machine():
    """Where and with what ranks were measured."""
    found = read("benchmark")["sections"]["scale"]["environment"]
    return (
        f"{found['machine']['cpu']}, {found['machine']['cores']} cores, float32; "
        f"numpy {found['versions']['numpy']}, numba {found['versions']['numba']}; "
        f"medians of {found['repetitions']}."
    )


def _of_layers(rows_of):
    found = read("benchmark")["sections"]["scale"]
    rows = [
        {"layer": name} | row
        for name, layer in found["layers"].items()
        for row in rows_of(layer, found)
    ]
    cells = [[NONE if cell is None else str(cell) for cell in row.values()] for row in rows]
    return Table(list(rows[0]), cells)


def machine():
    """Where and with what the training steps were measured."""
    found = read("benchmark")["sections"]["steps"]["environment"]
    versions = ", ".join(
        f"{name} {found['versions'][name]}" for name in ("numpy", "numba", "torch")
    )
    return (
        f"{found['machine']['cpu']}, {found['threads']['numba']} threads, float32; {versions}; "
        f"medians of {found['repetitions']}; `import minisca`: "
        f"{read('benchmark')['sections']['cold']['median_import_seconds']:.2f} s."
    )


def milliseconds(seconds):
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
