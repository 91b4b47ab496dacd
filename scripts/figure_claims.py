"""What the paper says about its Figure 1c, held against measured points (its introduction).

Two accuracies that differ by less than twice the standard error of their difference, as of
accuracies measured on independent images, decide nothing.
"""

from math import sqrt

#: The images that accuracies are measured on, where the points do not say.
VALIDATION_IMAGES = 10_000
#: "Approaches the same accuracy": so close, in percent.
CLOSE = 2.0


def check_claims(points, n=VALIDATION_IMAGES):
    """Lines of text, a claim each; those whose points are not there are left out.

    points: {(method, whitened, maps): accuracy in percent}, as figure_accuracy measures them.
    """
    lines = [_better_when_few(points, whitened, n) for whitened in (True, False)]
    lines += [_like_supervised(points, whitened) for whitened in (True, False)]
    return [line for line in lines if line is not None]


def _better_when_few(points, whitened, n):
    """Section 1: when the number of maps is small, better than k-means with as many."""
    pairs = _pairs(points, "k-means", whitened)
    if not pairs:
        return None
    gains = {maps: ours - other for maps, (ours, other) in pairs.items()}
    noises = [_noise(*pair, n) for pair in pairs.values()]
    decided = list(zip(gains.values(), noises, strict=True))
    verdict = _verdict(all(g > d for g, d in decided), all(g < -d for g, d in decided))
    kind = "whitened" if whitened else "raw"
    found = ", ".join(f"{gain:+.1f} ({maps} maps)" for maps, gain in gains.items())
    return f"{verdict}: better than triangle k-means with few maps, {kind}. {found}."


def _like_supervised(points, whitened):
    """Section 1: with more than 32 maps about as good as a supervised network so built."""
    pairs = _pairs(points, "supervised", whitened)
    pairs = {maps: pair for maps, pair in pairs.items() if maps > 32}
    if not pairs:
        return None
    gains = {maps: ours - other for maps, (ours, other) in pairs.items()}
    verdict = _verdict(min(gains.values()) > -CLOSE, max(gains.values()) <= -CLOSE)
    kind = "whitened" if whitened else "raw"
    found = ", ".join(f"{gain:+.1f} ({maps} maps)" for maps, gain in gains.items())
    return (
        f"{verdict}: with more than 32 maps within {CLOSE:g} % of a supervised network, or better, "
        f"{kind}. {found}."
    )


def _pairs(points, method, whitened):
    """{maps: (winner-take-all's accuracy, the other's)}, where both are there."""
    return {
        maps: (points["winner-take-all", whitened, maps], value)
        for (other, kind, maps), value in points.items()
        if (other, kind) == (method, whitened) and ("winner-take-all", whitened, maps) in points
    }


def _noise(one, other, n):
    """Twice the standard error of the difference of two accuracies in percent, over n images."""
    rates = one / 100, other / 100
    return 200 * sqrt(sum(rate * (1 - rate) / n for rate in rates))


def _verdict(confirmed, contradicted):
    return "Confirmed" if confirmed else "Contradicted" if contradicted else "Undecided"
