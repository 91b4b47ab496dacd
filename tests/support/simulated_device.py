"""A pytest plugin for the process in which the CUDA simulator runs (NUMBA_ENABLE_CUDASIM=1).

The simulator runs every thread of a kernel as a thread of Python, so tests of large cases are
left out, and blocks and grids are made small: then there are several rounds, the last one ragged.
It has no warp shuffles, checks no types and does not notice a barrier that some threads miss.
"""

import functools
import math
import os
import sys
import threading

import numpy as np
from numba.cuda.simulator import kernel

from minisca.backends.numba_cuda.kernels import direct, linear, sums
from minisca.backends.numba_cuda.runtime import launching
from tests.support import cases

#: Multiplications of a dense convolution above which a test is left out.
SMALL_CASE = cases.Case(3, 2, 4, 5, 4, 3)
MOST_MULTIPLICATIONS = 8_000

#: Tests that take hundreds of calls, one a coordinate, and of layers that are tiny for a compiled
#: program only; and of numbers that overflow, of which NumPy warns there.
LEFT_OUT = (
    "test_relu_backward_is_the_derivative_of_relu",
    "test_the_winners_gradient_goes_to_the_winner_of_every_map_that_is_not_silent",
    "test_max_pool_backward_is_the_derivative_of_max_pool",
    "test_every_layer_is_measured_beside_ceilings_and_peers",
    "test_growth_has_a_point_for_every_size",
    "test_the_same_numbers_in_another_form_give_the_same_results",
    "test_shapes_that_do_not_fit_are_refused_by_the_name_of_one_of_them",
    "test_what_is_too_large_for_halves_becomes_infinite_and_what_is_no_number_stays_it",
    "test_features_too_far_apart_are_refused_by_name",
)


def pytest_configure():
    cases.CASES.append(SMALL_CASE)
    sys.setswitchinterval(1e-5)  # other threads come between each few lines of one
    if hasattr(os, "sched_setaffinity"):  # one runs at a time: between cores they would only move
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    kernel.BlockManager = Block
    launching.THREADS, launching.WARP, launching.MAX_BLOCKS, sums.PARTS = 5, 1, 3, 7
    direct.MAPS, direct.UNITS, direct.LANES = 3, 2, 1
    linear.CLASSES, linear.ROWS, linear.PIECES = 2, 2, 2


class Block(kernel.BlockManager):
    """A block whose last thread to come to a barrier lets the others go on.

    The simulator's own asks every thread again and again where it is, which takes most of the time.
    """

    def run(self, grid_point, *args):
        self.lock, self.waiting, self.failure = threading.Lock(), set(), None
        threads = [
            Thread(functools.partial(self._f, *args), self, grid_point, place, self._debug)
            for place in np.ndindex(*self._block_dim)
        ]
        self.running = set(threads)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure:
            raise self.failure[0].with_traceback(self.failure[1])

    def arrive(self, thread, at_end):
        """A thread is at a barrier or at its end: the first that fails stops all others."""
        with self.lock:
            if at_end:
                self.running.discard(thread)
                self.failure = self.failure or thread.exception
            else:
                self.waiting.add(thread)
            for other in self.running if self.failure else ():
                other.abort = True
            if self.failure or self.waiting == self.running:
                for other in self.waiting:
                    other.syncthreads_event.set()
                self.waiting.clear()


class Thread(kernel.BlockThread):
    """A thread that tells its `Block` where it is."""

    def run(self):
        super().run()
        self._manager.arrive(self, at_end=True)

    def syncthreads(self):
        self._manager.arrive(self, at_end=False)
        super().syncthreads()


def multiplications(parameters):
    """Of a dense convolution in a test with these parameters, as far as they tell."""
    if "case" in parameters:
        case = parameters["case"]
        return case.n * case.m * case.c * case.k**2 * case.h * case.w
    if "shape" in parameters:
        n, c, h, w, m, k = parameters["shape"]
        return n * m * c * k**2 * h * w * (100 if parameters.get("every_coordinate") else 1)
    size = parameters.get("size", (1, 1))
    return 300 * math.prod(size if isinstance(size, tuple) else (size, size))


def pytest_collection_modifyitems(config, items):
    kept, left_out = [], []
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        small = multiplications(parameters) <= MOST_MULTIPLICATIONS
        # the simulator computes in either type as NumPy does: float64 has the gradients' tests
        run = small and parameters.get("dtype") != "float64" and item.originalname not in LEFT_OUT
        (kept if run else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept
