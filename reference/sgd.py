"""Stochastic gradient descent with classical momentum, one coordinate at a time.

Section 2 of arXiv 1409.2752v1 minimises the squared error without naming a rule; this is Polyak's.
The projection onto filters of length 1 is not the paper's: it is sparse coding's usual constraint.
"""

import math

import numpy as np


def sgd_momentum_(parameter, gradient, velocity, learning_rate, momentum):
    if isinstance(parameter, list):
        for each in zip(parameter, gradient, velocity, learning_rate, strict=True):
            sgd_momentum_(*each, momentum)
        return
    for coordinate in np.ndindex(parameter.shape):
        v = momentum * float(velocity[coordinate]) - learning_rate * float(gradient[coordinate])
        velocity[coordinate] = v
        parameter[coordinate] = float(parameter[coordinate]) + v


def normalise_filters_(filters):
    for own in filters:
        norm = math.hypot(*own.ravel().tolist())  # the root of the sum of squares
        for coordinate in np.ndindex(own.shape):
            if norm > 0:
                own[coordinate] = float(own[coordinate]) / norm
