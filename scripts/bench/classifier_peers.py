"""The classifiers beside scikit-learn's: of the same features, to the same objective.

Each fit in a process of its own, on features that are already scaled as the objective wants them;
tiny ones in this process, which has started its libraries.
scikit-learn's LinearSVC penalises the intercepts too; the objective that is told is without.
"""

import importlib.util
import time
import warnings

import numpy as np
from bench.children import MB, PeakMemory, answer, run_child
from bench.features import N_CLASSES, make_features, make_labels
from common.records import print_rows

from minisca.chunks import slices

#: Defaults of minisca.
L2 = {"SVM": 1e-2, "logistic regression": 1e-3}
#: {objective: {name: (who, settings)}}; features are float32 but where the name says otherwise.
FITS = {
    "SVM": {
        "LinearSVM": ("minisca", {}),
        "LinearSVM, float16": ("minisca", {}),
        "LinearSVM, 20 passes": ("minisca", {"max_iter": 20}),
        "LinearSVC, dual": ("scikit-learn", {"dual": True}),
        "LinearSVC, primal": ("scikit-learn", {"dual": False}),
    },
    "logistic regression": {
        "minisca": ("minisca", {}),
        "minisca, float16": ("minisca", {}),
        "scikit-learn": ("scikit-learn", {"max_iter": 1000}),
    },
}


def has_scikit_learn():
    return importlib.util.find_spec("sklearn") is not None


def measure_beside(tiny):
    """{"rows", "features", "held_out", "fits": [of each fit what `fit` returns]}."""
    rows, n_features, held_out = (600, 400, 100) if tiny else (20_000, 12_800, 4_000)
    size = {"rows": rows, "features": n_features, "held_out": held_out}
    fits = []
    for objective, of_objective in FITS.items():
        for name, (who, settings) in of_objective.items():
            if who == "minisca" or has_scikit_learn():
                task = {"objective": objective, "name": name, "who": who, "settings": settings}
                task |= size
                fits.append(fit(task) if tiny else run_child("bench.classifier_peers", task))
    return size | {"fits": fits, "scikit_learn": has_scikit_learn()}


def report_beside(result):
    size = f"{result['rows']:,} x {result['features']:,} features"
    rows = []
    for found in result["fits"]:
        row = {f"{size}: {found['objective']}": found["name"], "seconds": f"{found['seconds']:.1f}"}
        row |= {"passes": found["n_iter"], "converged": found["converged"]}
        row |= {"MB beyond": round(found["beyond_bytes"] / MB)}
        row |= {"objective": f"{found['loss']:.6f}", "error": f"{found['error']:.2%}"}
        rows.append(row)
    for objective in FITS:
        print_rows([row for row in rows if f"{size}: {objective}" in row])
        print()
    if not result["scikit_learn"]:
        print("No scikit-learn, nothing of it beside (pip install scikit-learn)")


def fit(task):
    """Make the task's features, fit, and say what it took and came to."""
    rows, of_all = task["rows"], task["rows"] + task["held_out"]
    dtype = np.float16 if "float16" in task["name"] else np.float32
    features = np.empty((of_all, task["features"]), dtype)
    make_features(features)
    labels = make_labels(of_all)
    squares = [np.mean(np.square(features[part], dtype=np.float64)) for part in slices(rows, 500)]
    for part in slices(of_all, 500):
        features[part] *= dtype(1 / np.sqrt(np.mean(squares)))
    known, theirs = (features[:rows], labels[:rows]), (features[rows:], labels[rows:])
    model = _model(task)
    model.fit(features[:1000], labels[:1000])  # libraries start and compile
    model = _model(task)
    with PeakMemory() as peak, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        start = time.perf_counter()
        model.fit(*known)
        seconds = time.perf_counter() - start
    n_iter = int(np.max(getattr(model, "n_iter_", 0)))
    return {
        **{name: task[name] for name in ("objective", "name", "who", "settings")},
        **{"seconds": seconds, "n_iter": n_iter, "beyond_bytes": peak.beyond},
        "converged": getattr(model, "converged_", not any("onverge" in str(w) for w in warned)),
        "loss": loss_of(task["objective"], model.coef_, model.intercept_, *known),
        "error": 1 - float(np.mean(model.predict(theirs[0]) == theirs[1])),
    }


def _model(task):
    l2, settings = L2[task["objective"]], task["settings"]
    is_svm = task["objective"] == "SVM"
    if task["who"] == "minisca":
        from minisca import LinearSVM, LogisticRegression

        return (LinearSVM if is_svm else LogisticRegression)(l2=l2, verbose=False, **settings)
    from sklearn import linear_model, svm

    kind = svm.LinearSVC if is_svm else linear_model.LogisticRegression
    return kind(C=1 / (l2 * task["rows"]), **settings)


def loss_of(objective, coef, intercept, features, labels):
    """The objective of weights, all in float64: the rows' mean loss, and the penalty."""
    total = 0.0
    for part in slices(len(features), 500):
        scores = features[part].astype(np.float64) @ coef.T.astype(np.float64) + intercept
        own = labels[part]
        if objective == "SVM":
            signs = np.where(np.arange(N_CLASSES) == own[:, None], 1, -1)
            total += np.square(np.maximum(0, 1 - signs * scores)).sum()
        else:
            highest = scores.max(1)
            sums = np.log(np.exp(scores - highest[:, None]).sum(1)) + highest
            total += (sums - scores[np.arange(len(own)), own]).sum()
    penalty = L2[objective] / 2 * np.square(coef, dtype=np.float64).sum()
    return float(total / len(features) + penalty)


if __name__ == "__main__":
    answer(fit)
