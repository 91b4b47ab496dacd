"""Which settings matter: effects on a study's score, beside the spread of seeds.

A least-squares fit of score = base + what each setting's value adds + what the seed adds. With
every value beside its base on the same seeds, as a star or a grid has them, what a value adds is
the mean of the paired differences; where runs are missing, the fit takes their place.
Effects that depend on each other are not told apart from noise.
"""

import json

import numpy as np
from common.records import print_rows
from studies.picture import draw_effects

from minisca.files.atomic import atomic_write


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


def by_settings(records, score):
    """{settings, as JSON: their scores, one a seed}."""
    groups = {}
    for record in records:
        key = json.dumps(record["settings"], sort_keys=True)
        groups.setdefault(key, []).append(record[score])
    return groups


def seed_spread(records, score):
    """Standard deviation of a run's score over seeds, pooled over settings; None without any."""
    groups = by_settings(records, score).values()
    squares = sum(np.square(np.subtract(group, np.mean(group))).sum() for group in groups)
    freedom = sum(len(group) - 1 for group in groups)
    return float(np.sqrt(squares / freedom)) if freedom else None


def effects(records, base, score):
    """One dict a setting and value: runs, mean score, difference from the reference, its error.

    The difference is None where the runs so far cannot tell it from another's.
    """
    scores = np.array([record[score] for record in records])
    settings = varied(records, base)
    columns = [(name, value) for name, values in settings.items() for value in values[1:]]
    seeds = sorted({record["seed"] for record in records})
    design = np.array(
        [
            *([record["settings"][name] == value for record in records] for name, value in columns),
            [True] * len(records),
            *([record["seed"] == seed for record in records] for seed in seeds[1:]),
        ],
        np.float64,
    ).T
    inverse = np.linalg.pinv(design.T @ design)
    solution = inverse @ design.T @ scores
    told_apart = np.linalg.pinv(design) @ design  # the identity's row where an effect is known
    freedom = len(records) - np.linalg.matrix_rank(design)
    variance = np.sum((scores - design @ solution) ** 2) / freedom if freedom > 0 else None
    spread = seed_spread(records, score)
    found = []
    for name, value in ((name, value) for name, values in settings.items() for value in values):
        own = [e for e, r in zip(scores, records, strict=True) if r["settings"][name] == value]
        reference = value is settings[name][0]
        entry = {"setting": name, "value": value, "runs": len(own), "mean": float(np.mean(own))}
        entry |= {"reference": reference, "difference": 0.0 if reference else None}
        entry |= {"standard_error": None, "in_seed_spreads": None}
        place = None if reference else columns.index((name, value))
        identity = np.eye(len(told_apart))
        if not reference and np.allclose(told_apart[place], identity[place], atol=1e-6):
            entry["difference"] = float(solution[place])
            if variance is not None:
                entry["standard_error"] = float(np.sqrt(variance * inverse[place, place]))
            if spread:
                entry["in_seed_spreads"] = entry["difference"] / spread
        found.append(entry)
    return found


def best(records, score, n=5):
    """The settings with the lowest mean score, the lowest first."""
    ranked = sorted(by_settings(records, score).items(), key=lambda item: np.mean(item[1]))[:n]
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
    print_rows([cells(entry) for entry in found])
    told = "not known, every setting has one seed" if spread is None else f"{spread:.3f}"
    print(f"\n{len(whole)} runs. Score: {score}; its spread over seeds (s.d.): {told}")
    diverged = [record for record in records if "why" in record]
    for record in diverged:
        print(f"Diverged: {record['key']}, {record['why']}")
    print("Lowest mean score, by what differs between runs:")
    names, lowest = varied(whole, space.base()), best(whole, score)
    for entry in lowest:
        shown = ", ".join(f"{name} {_text(entry['settings'][name])}" for name in names)
        print(f"  {entry['mean']:.3f}, {entry['seeds']} seeds: {shown or 'the base'}")
    first = whole[0]
    made = {
        "study": space.name,
        "score": score,
        "data": records[0]["data"],
        "runs": len(whole),
        "diverged": len(diverged),
        "seed_spread": spread,
        "effects": found,
        "best": lowest,
        "below": first.get("below"),
        "common_settings": {n: value for n, value in first["settings"].items() if n not in names},
        **{name: first.get(name) for name in ("machine", "versions", "command")},
    }
    written = [(directory / "report.json", directory / "report.png")]
    if recorded is not None:
        *pair, runs = recorded
        written.append(pair)
        with atomic_write(runs) as file:
            file.write("".join(json.dumps(record) + "\n" for record in records).encode())
    for path, picture in written:
        with atomic_write(path) as file:
            file.write(json.dumps(made, indent=1).encode() + b"\n")
        print(f"Written: {path}")
        if found and pictures:
            words = score.replace("_percent", ", %").replace("_", " ")
            draw_effects(picture, found, spread, f"{space.name}: {made['data']}", words)
            print(f"Written: {picture}")


def cells(entry):
    """An effect as a line of the table."""

    def number(key, form):
        return "–" if entry[key] is None else format(entry[key], form)

    return {
        "setting": entry["setting"],
        "value": _text(entry["value"]),
        "runs": entry["runs"],
        "mean score": f"{entry['mean']:.3f}",
        "difference": "reference" if entry["reference"] else number("difference", "+.3f"),
        "± s.e.": number("standard_error", ".3f"),
        "in seeds' s.d.": number("in_seed_spreads", "+.1f"),
    }


def _text(value):
    return "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
