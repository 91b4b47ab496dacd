"""Which settings matter: effects on a study's score, beside the spread of seeds.

A least-squares fit of score = base + what each setting's value adds + what the seed adds. With
every value beside its base on the same seeds, as a star or a grid has them, what a value adds is
the mean of the paired differences; a random design has no pairs, and the fit takes their place.
Effects that depend on each other are not told apart from noise.
"""

import json

import numpy as np
from common.records import print_table
from studies.picture import draw_effects

from minisca.files.atomic import atomic_write

HEADER = ["setting", "value", "runs", "mean score", "difference", "± s.e.", "in seeds' s.d."]


def varied(records, base):
    """{setting: its values among the records, the reference first}, of those with two or more."""
    found = {}
    for name in dict.fromkeys(name for record in records for name in record["settings"]):
        values = list(dict.fromkeys(record["settings"][name] for record in records))
        if len(values) < 2:
            continue
        wanted = base.get(name)
        wanted = None if wanted == "off" else wanted
        if wanted in values:
            values.remove(wanted)
            values.insert(0, wanted)
        found[name] = values
    return found


def seed_spread(records, score):
    """Standard deviation of a run's score over seeds, pooled over settings; None without any."""
    groups = {}
    for record in records:
        key = json.dumps(record["settings"], sort_keys=True)
        groups.setdefault(key, []).append(record[score])
    squares = sum(np.square(np.subtract(g, np.mean(g))).sum() for g in groups.values())
    freedom = sum(len(group) - 1 for group in groups.values())
    return float(np.sqrt(squares / freedom)) if freedom else None


def effects(records, base, score):
    """One dict a setting and value: runs, mean score, difference from the reference, its error.

    The difference is None where the runs so far cannot tell it from another's.
    """
    scores = np.array([record[score] for record in records])
    settings = varied(records, base)
    columns = {(name, value): [] for name, values in settings.items() for value in values[1:]}
    for name, value in columns:
        columns[name, value] = [float(record["settings"][name] == value) for record in records]
    seeds = sorted({record["seed"] for record in records})
    others = [[1.0] * len(records)]
    others += [[float(record["seed"] == seed) for record in records] for seed in seeds[1:]]
    design = np.array([*columns.values(), *others]).T
    inverse = np.linalg.pinv(design.T @ design)
    solution = inverse @ design.T @ scores
    told_apart = np.linalg.pinv(design) @ design  # the identity's row where an effect is known
    freedom = len(records) - np.linalg.matrix_rank(design)
    variance = np.sum((scores - design @ solution) ** 2) / freedom if freedom > 0 else None
    spread = seed_spread(records, score)
    found = []
    for name, values in settings.items():
        for value in values:
            own = [e for e, r in zip(scores, records, strict=True) if r["settings"][name] == value]
            entry = {"setting": name, "value": value, "runs": len(own)}
            entry |= {"mean": float(np.mean(own)), "reference": value is values[0]}
            entry |= {"difference": 0.0 if entry["reference"] else None}
            entry |= {"standard_error": None, "in_seed_spreads": None}
            if not entry["reference"]:
                place = list(columns).index((name, value))
                if np.allclose(told_apart[place], np.eye(len(told_apart))[place], atol=1e-6):
                    entry["difference"] = float(solution[place])
                    if variance is not None:
                        entry["standard_error"] = float(np.sqrt(variance * inverse[place, place]))
                    if spread:
                        entry["in_seed_spreads"] = entry["difference"] / spread
            found.append(entry)
    return found


def best(records, score, n=5):
    """The settings with the lowest mean score: [(mean, standard deviation, seeds, settings)]."""
    groups = {}
    for record in records:
        key = json.dumps(record["settings"], sort_keys=True)
        groups.setdefault(key, []).append(record[score])
    ranked = sorted(groups.items(), key=lambda item: np.mean(item[1]))[:n]
    return [
        {
            "mean": float(np.mean(scores)),
            "deviation": float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
            "seeds": len(scores),
            "settings": json.loads(key),
        }
        for key, scores in ranked
    ]


def report(records, space, directory, recorded=None, pictures=True):
    """Print the table; write report.json, and with `pictures` report.png, into the directory.

    recorded: another report.json, report.png and runs.jsonl to write, of these records alone.
    """
    score = space.score
    whole = [r for r in records if r.get(score) is not None]
    if not whole:
        print(f"No run in {directory} has a {score}: nothing to report")
        return
    found, spread = effects(whole, space.base(), score), seed_spread(whole, score)
    print_table(HEADER, [cells(entry) for entry in found])
    told = "not known, every setting has one seed" if spread is None else f"{spread:.3f}"
    print(f"\n{len(whole)} runs. Score: {score}; its spread over seeds (s.d.): {told}")
    for record in records:
        if "why" in record:
            print(f"Diverged: {record['key']}, {record['why']}")
    print("Lowest mean score, by what differs between runs:")
    names = varied(whole, space.base())
    for entry in best(whole, score):
        shown = ", ".join(f"{name} {_text(entry['settings'][name])}" for name in names)
        print(f"  {entry['mean']:.3f}, {entry['seeds']} seeds: {shown or 'the base'}")
    made = {"study": space.name, "score": score, "data": records[0]["data"]}
    diverged = sum("why" in record for record in records)
    made |= {"runs": len(whole), "diverged": diverged, "seed_spread": spread}
    made |= {"effects": found, "best": best(whole, score)}
    same = {name: value for name, value in whole[0]["settings"].items() if name not in names}
    made |= {"below": whole[0].get("below"), "common_settings": same}
    made |= {name: whole[0].get(name) for name in ("machine", "versions", "command")}
    title = f"{space.name}: {records[0]['data']}"
    words = score.replace("_percent", ", %").replace("_", " ")
    written = [(directory / "report.json", directory / "report.png")]
    if recorded is not None:
        *pair, runs = recorded
        written.append(pair)
        with atomic_write(runs) as file:
            file.write("".join(json.dumps(record) + "\n" for record in records).encode())
    for path, picture in written:
        with atomic_write(path) as file:
            file.write(json.dumps(made, indent=1).encode() + b"\n")
        drawn = found and pictures
        if drawn:
            draw_effects(picture, found, spread, title, words)
        print(f"Written: {path}{f', {picture}' if drawn else ''}")


def cells(entry):
    """An effect as a row of the table under HEADER."""

    def number(key, form):
        return "–" if entry[key] is None else format(entry[key], form)

    difference = "reference" if entry["reference"] else number("difference", "+.3f")
    return [
        entry["setting"],
        _text(entry["value"]),
        str(entry["runs"]),
        f"{entry['mean']:.3f}",
        difference,
        number("standard_error", ".3f"),
        number("in_seed_spreads", "+.1f"),
    ]


def _text(value):
    return "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
