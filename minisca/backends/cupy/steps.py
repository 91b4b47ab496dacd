"""Training steps that wait for nothing: recorded once, replayed for every batch.

What a step goes by, its items and rates, and the losses lie on the device; `kernels/steps.cu` moves
on from step to step there. See `minisca.backends.interface.Steps`.
"""

from operator import is_
from typing import Any, NamedTuple

import numpy as np

from minisca.backends.cupy.device import empty, to_device, to_host
from minisca.backends.cupy.elements import add_up_, gather
from minisca.backends.cupy.runtime import graphs, machine
from minisca.backends.cupy.runtime.arrays import zeros
from minisca.backends.cupy.runtime.launching import kernel, launch_over


def make_steps():
    """See `minisca.backends.interface.Support.make_steps`."""
    return _Steps()


class _Tables(NamedTuple):
    """What the steps of an epoch go by, a row a step, and what the one does that is done now."""

    order: Any  # (s, b) int64
    rates: Any  # (all steps, k)
    losses: Any  # (all steps,) float64
    count: Any  # (1,) int32: the step that is done now, of those of `order`
    ticket: Any  # (1,) int32, of `is_last_block`
    own_items: Any  # its batch
    own_rates: Any  # its (k,)


class _Steps:
    def __init__(self):
        self._are_recorded = graphs.are_wanted()
        self._stream, self._pool = machine.platform.stream(), machine.platform.pool()
        self._items = self._tables = self._replay = None
        self._recorded = ()

    def run(self, step, items, order, rates, held, done):
        """See `minisca.backends.interface.Steps.run`."""
        with machine.platform.on_stream(self._stream):
            whole = [rows for rows in order if len(rows) == len(order[0])]
            self._load(items, np.stack(whole), rates)
            n_done = self._record(step, held, len(whole) > 1)
            for i in range(len(whole)):
                if i >= n_done and self._replay is not None:
                    self._replay()
                elif i >= n_done:
                    self._do(step)
                done()
            for i in range(len(whole), len(order)):  # the last batch may have fewer rows
                batch = gather(items, to_device(order[i]))
                parts, divisor = step(batch, self._tables.rates[i])
                add_up_(self._tables.losses[i : i + 1], parts, divisor)
                done()
            return to_host(self._tables.losses)

    def _load(self, items, order, rates):
        """Put the tables of an epoch on the device, and begin with its first step."""
        first = np.full(1, -1, np.int32)
        if self._items is not items or not _same_kind(self._tables, order, rates):
            there = to_device(order), to_device(rates)
            made = empty(len(rates), np.float64), to_device(first), zeros(1, np.int32)
            batch = empty((order.shape[1], *items.shape[1:]), items.dtype)
            own = batch, empty(rates.shape[1], rates.dtype)
            self._items, self._tables = items, _Tables(*there, *made, *own)
        else:
            for array, new in zip(self._tables, (order, rates, None, first), strict=False):
                if new is not None:
                    array[...] = to_device(new)
        self._advance(self._tables.losses[:0], 1)

    def _advance(self, parts, divisor):
        """To the next step; the loss of the one before is the sum of parts (p,) / divisor."""
        order, rates, losses, count, ticket, own_items, own_rates = self._tables
        item_size = own_items.size // order.shape[1]
        sizes = order.shape[1], rates, rates.shape[1], order.shape[0]
        args = parts, parts.shape[0], np.float64(divisor), losses, order, *sizes
        args = *args, self._items, np.int64(item_size), ticket, count, own_items, own_rates
        launch_over(kernel("steps.cu", "next_step", rates.dtype), own_items.size, *args)

    def _do(self, step):
        self._advance(*step(self._tables.own_items, self._tables.own_rates))

    def _record(self, step, held, several):
        """Make `_replay` do `step`, unless it does already; returns how many steps were done.

        It is None where steps are not recorded.
        """
        recorded = step, self._items, *self._tables, *held
        if len(recorded) == len(self._recorded) and all(map(is_, recorded, self._recorded)):
            return 0
        self._replay, self._recorded = None, ()
        with machine.platform.allocating(self._pool.malloc):
            self._do(step)  # compiles the kernels, and leaves memory to the pool
        if self._are_recorded and several:
            self._replay = graphs.Graph(self._stream, self._pool, lambda: self._do(step))
            self._recorded = recorded
        return 1


def _same_kind(tables, *arrays):
    pairs = zip(tables, arrays, strict=False)
    return all((old.shape, old.dtype) == (new.shape, new.dtype) for old, new in pairs)
