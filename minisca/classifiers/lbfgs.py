"""How logistic regression finds its minimum: SciPy's L-BFGS, on features shifted and scaled."""

import numpy as np

from minisca.classifiers.linear import loss_and_gradient
from minisca.progress import progress


def minimise(problem, max_iter, tol, verbose):
    """The minimum of a Problem's objective: what `LinearClassifier._minimise` returns.

    Iterations suffice if no entry of the gradient, by weights and intercepts as they are changed
    below, is larger than `tol`.
    """
    from scipy.optimize import minimize as scipy_minimize  # longer to import than all of minisca

    blocks = problem.blocks
    shape = (problem.n_classes, blocks.n_features)
    mean = problem.mean * problem.scale
    stretch = 1 / np.sqrt(max(1 - np.mean(mean**2), 1e-6))
    constant = blocks.n_features**0.25

    # L-BFGS sees the features without their means and with unit variance, and the intercepts as the
    # weights of `constant` in place of 1. No minimum changes, for nothing weighs on intercepts, but
    # the way there: pooled maps are never negative, and what all of them have in common would hide
    # how they differ; of thousands of features, each moves the scores little for itself, yet
    # together so much that an intercept of 1 lags behind.
    def objective(parameters):
        weights, intercept = uncentred(parameters)
        loss, d_weights, d_intercept = loss_and_gradient(problem, weights, intercept)
        d_weights -= np.outer(d_intercept, mean)
        d_weights *= stretch
        d_intercept *= constant
        return loss, np.concatenate([d_weights, d_intercept], axis=None)

    def uncentred(parameters):
        n_weights = shape[0] * shape[1]
        weights = stretch * parameters[:n_weights].reshape(shape)
        return weights, constant * parameters[n_weights:] - weights @ mean

    # What is lost to rounding in a mean of float32 losses; less is no progress.
    smallest_decrease = 1e-9 if blocks.dtype == np.float32 else 1e-14
    options = {"maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": smallest_decrease}
    with progress(verbose, total=max_iter, desc="L-BFGS", delay=2, leave=False) as bar:

        def show(intermediate_result):
            bar.set_postfix(loss=f"{intermediate_result.fun:.4g}", refresh=False)
            bar.update()

        start = np.zeros(shape[0] * shape[1] + shape[0])
        described = {"jac": True, "method": "L-BFGS-B", "callback": show, "options": options}
        result = scipy_minimize(objective, start, **described)
    weights, intercept = uncentred(result.x)
    return weights, intercept, float(result.fun), int(result.nit), bool(result.success)
