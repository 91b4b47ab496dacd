"""The paper's claims about sparsity rules, held against measured records (its section 2.1).

A claim is confirmed, or contradicted, where every seed's figures say so: one budget, one data set.
Two validation errors that differ by less than twice the standard error of their difference, as of
errors made independently, decide nothing.
"""

from math import sqrt

#: From this share of its energy in one pixel a filter is called a delta.
DELTA = 0.5


def check_claims(seeds):
    """Lines of text, a claim each; those whose records are not there are left out.

    seeds: a list of {variant: record}, as compare_sparsity.py names and writes them, one a seed. A
    variant of which every map is dead shows that its training failed, and nothing about its rule:
    it is left out, whatever its other seeds.
    """
    failed = [
        name
        for name in dict.fromkeys(name for records in seeds for name in records)
        if any(name in records and _dead_all(records[name]) for records in seeds)
    ]
    shared = [
        name
        for name in (seeds[0] if seeds else ())
        if name not in failed and all(name in records for records in seeds)
    ]
    averages = {name: average([records[name] for records in seeds]) for name in shared}
    lines = []
    for claim in (_deltas, _dead, _busiest, _less_sharp, _top_n_worse, _tied_worse):
        found = claim(averages)
        if found is not None:
            verdicts = {claim({name: one[name] for name in shared})[0] for one in seeds}
            verdict = verdicts.pop() if len(verdicts) == 1 else "Undecided"
            lines.append(f"{verdict}: {found[1]}")
    return lines + [f"Failed: {name}, every map is dead; try a lower rate." for name in failed]


def average(records):
    """One record of a variant's seeds: means of its numbers, the rest as in the first."""
    averaged = dict(records[0])
    for key, value in averaged.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            averaged[key] = sum(record[key] for record in records) / len(records)
    return averaged


def _dead_all(record):
    return record["dead_maps"] == _maps(record)


def _deltas(records):
    none, winners = records.get("none"), records.get("winner-take-all")
    if not (none and winners):
        return None
    ours, other = winners["median_delta_share"], none["median_delta_share"]
    verdict = _verdict(other >= DELTA > ours, other <= ours)
    return verdict, (
        f"without sparsity the filters are deltas. Median share of the largest pixel "
        f"{other:.2f}, with winner-take-all {ours:.2f}; a delta is called so from {DELTA} on."
    )


def _dead(records):
    across, winners = records.get("k-largest"), records.get("winner-take-all")
    if not (across and winners):
        return None
    ours, other = winners["dead_maps"], across["dead_maps"]
    n_maps = _maps(across)
    verdict = _verdict(other > ours and other >= n_maps / 2, other <= ours)
    return verdict, (
        f"keeping the k largest units across maps leaves most maps dead. {other:.3g} of {n_maps}, "
        f"with winner-take-all {ours:.3g}."
    )


def _busiest(records):
    across = records.get("k-largest")
    if across is None:
        return None
    share, delta = across["largest_share_of_survivors"], across["delta_share_of_busiest"]
    verdict = _verdict(share > 0.8 and delta >= DELTA, share < 0.5)
    return verdict, (
        f"across maps, one delta filter takes nearly all. The busiest map holds "
        f"{100 * share:.0f} % of the survivors; its filter's largest pixel has {delta:.2f} of the "
        "energy."
    )


def _less_sharp(records):
    """By both measures: one that small spots raise, one that they do not."""
    winners, others = records.get("winner-take-all"), _top_n(records)
    if not (winners and others):
        return None
    less, more, found = [], [], []
    for measure in ("sharpness", "steepness"):
        ours = winners[f"median_{measure}"]
        values = {name: record[f"median_{measure}"] for name, record in others.items()}
        less.append(max(values.values()) < ours)
        more.append(min(values.values()) >= ours)
        listed = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
        found.append(f"{measure.capitalize()}: {listed}, winner-take-all {ours:.2f}")
    return _verdict(all(less), all(more)), f"top-n learns less sharp filters. {'; '.join(found)}."


def _top_n_worse(records):
    others = _top_n(records)
    return _classifies_worse(records, others, "top-n classifies slightly worse")


def _tied_worse(records):
    others = {"tied": records["tied"]} if "tied" in records else {}
    return _classifies_worse(records, others, "tied weights generalise worse")


def _classifies_worse(records, others, claim):
    winners = records.get("winner-take-all")
    if not (winners and others):
        return None
    ours = winners["validation_error_percent"]
    noises = [_noise(winners, record) for record in others.values()]
    errors = [record["validation_error_percent"] for record in others.values()]
    differences = [error - ours for error in errors]
    pairs = list(zip(differences, noises, strict=True))
    verdict = _verdict(all(d > noise for d, noise in pairs), all(d < -noise for d, noise in pairs))
    found = ", ".join(f"{name} {error:.2f} %" for name, error in zip(others, errors, strict=True))
    return verdict, (
        f"{claim}. Validation error {found}; winner-take-all {ours:.2f} %; "
        f"differences below {max(noises):.2f} decide nothing."
    )


def _maps(record):
    return len(record["usage"])


def _top_n(records):
    return {name: record for name, record in records.items() if name.startswith("top-")}


def _noise(one, other):
    """Twice the standard error of the difference of two records' validation errors, in percent."""
    rates = [record["validation_error_percent"] / 100 for record in (one, other)]
    variance = sum(
        rate * (1 - rate) / record["validation_images"]
        for rate, record in zip(rates, (one, other), strict=True)
    )
    return 200 * sqrt(variance)


def _verdict(confirmed, contradicted):
    return "Confirmed" if confirmed else "Contradicted" if contradicted else "Undecided"
