"""Linear classifiers, contrast normalisation and nearest centres, a number at a time, in float64.

Section 3 of arXiv 1409.2752v1 classifies by logistic regression and by a support vector machine.
Here that has the squared hinge, and one machine a class against all others.
"""

import math

import numpy as np


def linear(features, weights, intercept):
    scores = np.zeros((len(features), len(weights)))
    for row, c in np.ndindex(scores.shape):
        products = features[row].astype(np.float64) * weights[c].astype(np.float64)
        scores[row, c] = np.sum(products) + intercept[c]
    return scores


def linear_backward(features, d_scores):
    n_classes = d_scores.shape[1]
    d_weights, d_intercept = np.zeros((n_classes, features.shape[1])), np.zeros(n_classes)
    for row, c in np.ndindex(d_scores.shape):
        d_weights[c] += float(d_scores[row, c]) * features[row].astype(np.float64)
        d_intercept[c] += d_scores[row, c]
    return d_weights, d_intercept


def squared_hinge(scores, classes):
    losses, d_scores = np.zeros(len(scores)), np.zeros(scores.shape)
    for row, c in np.ndindex(scores.shape):
        sign = 1 if classes[row] == c else -1
        short = max(0.0, 1 - sign * float(scores[row, c]))
        losses[row] += short**2
        d_scores[row, c] = -2 * sign * short
    return losses, d_scores


def cross_entropy(scores, classes):
    losses, d_scores = np.zeros(len(scores)), np.zeros(scores.shape)
    for row, own in enumerate(classes):
        shifted = scores[row].astype(np.float64) - float(max(scores[row]))  # no exponent overflows
        total = sum(math.exp(score) for score in shifted)
        losses[row] = math.log(total) - shifted[own]
        for c, score in enumerate(shifted):
            d_scores[row, c] = math.exp(score) / total - (c == own)
    return losses, d_scores


def row_squares(features):
    squares = np.zeros(len(features))
    for row, f in np.ndindex(features.shape):
        squares[row] += float(features[row, f]) ** 2
    return squares


def contrast_normalised(features, epsilon):
    normalised = np.zeros(features.shape)
    for row, values in enumerate(features.astype(np.float64)):
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        for f, value in enumerate(values):
            normalised[row, f] = (value - mean) / (deviation + epsilon)
    return normalised


def nearest(points, centres):
    labels, distances = np.zeros(len(points), np.int32), np.zeros(len(points))
    for row, point in enumerate(points.astype(np.float64)):
        squares = [sum((point - centre) ** 2) for centre in centres.astype(np.float64)]
        labels[row] = squares.index(min(squares))
        distances[row] = min(squares)
    return labels, distances
