"""A training step that several ranks share: each has some of the maps, or some of the images.

Winner-take-all competes only within a map. So ranks that own maps exchange what these rebuild, and
nothing else: gradients, momentum and filters stay where they are. Ranks that share the images of a
batch exchange gradients. Either way a block of the work is computed as a layer, or a batch, of its
own, and what must be summed is summed in the tree of `minisca.communicators`: however many ranks
there are, the bits are the same.
"""

import math
from dataclasses import replace

import numpy as np

from minisca.chunks import part_of
from minisca.sparsity import Code, make_sparsity, survivors_over_batch
from minisca.training import objective
from minisca.training.objective import as_number, mean_loss
from minisca.training.state import PARAMETERS, decoder_filters


def choose_split(communicator, settings, image_shape):
    """The name of the split, "maps" or "images", and the bytes that a step sums up with each.

    image_shape: (c, h, w). Raises ValueError, naming it, for a split that cannot be, and for more
    ranks than there are blocks of it.
    """
    channels, *_ = image_shape
    item = np.dtype(settings.dtype).itemsize
    filters = settings.n_maps * channels * settings.filter_width**2
    summed = {
        "maps": settings.batch_size * math.prod(image_shape) * item,
        "images": ((1 if settings.tied else 2) * filters + settings.n_maps + channels) * item,
    }
    split = communicator.split
    if settings.sparsity == "k-largest":
        if split == "maps":
            why = "the units of all maps compete: each rank would need those of the others"
            raise ValueError(f"split is 'maps'; with sparsity='k-largest' {why}")
        split = "images"
    elif split == "auto":
        split = min(summed, key=summed.get)
    n = settings.n_maps if split == "maps" else settings.batch_size
    most = min(n, communicator.blocks)
    if communicator.size > most:
        of = "n_maps" if split == "maps" else "batch_size"
        what = f"with split={split!r} there must be at most {most}"
        why = f"{of} is {n} and `blocks` {communicator.blocks}"
        raise ValueError(f"there are {communicator.size} ranks; {what}: {why}")
    return split, summed


def title_of(communicator, split, summed):
    """What the progress bar says of a split."""
    n, mega = communicator.size, summed[split] / 1e6
    return f"{split} split over {n} rank{'s' * (n > 1)}, {mega:.3g} MB summed a step"


def make_split(communicator, backend, state, settings, make_optimiser):
    """The `MapsSplit` or `ImagesSplit` that trains a layer on from `state`.

    make_optimiser(backend, state, settings): the SGD of a layer.
    """
    shape = state.n_channels, *state.image_size
    split, summed = choose_split(communicator, settings, shape)
    kind = MapsSplit if split == "maps" else ImagesSplit
    title = title_of(communicator, split, summed)
    return kind(communicator, backend, state, settings, make_optimiser, title)


class MapsSplit:
    """Blocks of maps, each a small layer with an SGD of its own; a rank has some of them.

    The decoder's bias is the first block's: the others' are trained alike, and not looked at.
    """

    def __init__(self, communicator, backend, state, settings, make_optimiser, title):
        self.communicator, self.backend, self.title = communicator, backend, title
        self._n_maps = len(state.get("encoder_bias"))
        self._sparsity = make_sparsity(settings.sparsity, settings.n_active, settings.lifetime)
        self._n_blocks = min(communicator.blocks, self._n_maps)
        own = communicator.share(self._n_blocks)
        self._blocks = []
        for block in range(own.start, own.stop):
            maps = part_of(self._n_maps, block, self._n_blocks)
            parts = (_of_maps(arrays, maps) for arrays in (state.parameters, state.velocities))
            part = replace(state, **dict(zip(("parameters", "velocities"), parts, strict=True)))
            self._blocks.append(make_optimiser(backend, part, settings))
        # what the blocks rebuild is added up: only the first adds the decoder's bias
        zeros = backend.to_device(np.zeros(state.n_channels, state.dtype))
        self._rebuilding = [
            block.parameters if own.start + i == 0 else block.parameters | {"decoder_bias": zeros}
            for i, block in enumerate(self._blocks)
        ]

    def read(self, batches):
        """From the function that reads batches to that which reads a rank's part of them: all."""
        return batches

    def step(self, x, _, learning_rate):
        """One step along images x; returns their mean loss before it. As of `Task`."""
        parts = [slice(0, x.shape[0])]
        if self._sparsity.rule == "none":
            parts = objective.dense_chunks(x, self._n_maps)
        losses, totals = [], None
        for rows in parts:
            loss, gradients = self._sums(x[rows], x.shape[0])
            losses.append(loss)
            if totals is None:
                totals = gradients
                continue
            for total, own in zip(totals, gradients, strict=True):
                for name, gradient in own.items():
                    self.backend.add_(total[name], gradient)
        for block, own in zip(self._blocks, totals, strict=True):
            block.step(own, learning_rate)
        return mean_loss(objective.joined(self.backend, losses), x.shape[0])

    def _sums(self, x, n):
        """The loss of images x, some of n, and the gradients of every block of this rank."""
        backend, kept = self.backend, []

        def rebuilt():
            for block, parameters in zip(self._blocks, self._rebuilding, strict=True):
                if self._sparsity.rule == "none":
                    made, x_hat = objective.all_units(backend, parameters, x)
                else:
                    made = objective.encode(backend, self._sparsity, parameters, x)
                    x_hat = objective.rebuild(backend, parameters, made, x.shape[2:])
                kept.append((block.parameters, made))
                yield (x_hat,)

        (x_hat,) = self.communicator.sum_blocks(backend, rebuilt(), self._n_blocks, (x,))
        dense = self._sparsity.rule == "none"
        loss, error = backend.residual(x_hat, x, 1 if dense else n)
        if dense:
            error = backend.scaled(error, 2 / n)
        gradients = []
        for parameters, made in kept:
            if dense:
                found = objective.all_units_backward(backend, parameters, x, made, error)
            else:
                filters = parameters["encoder_filters"], decoder_filters(parameters)
                code = made.values, made.positions, *filters, made.maps
                found = backend.winners_backward(x, error, *code)
            gradients.append(objective.named_gradients(backend, parameters, found))
        return loss, gradients

    def all_finite(self):
        """Whether no rank has a parameter that is NaN or infinite."""
        return not self.communicator.max(not all(block.all_finite() for block in self._blocks))

    def on_host(self):
        """All ranks' parameters and velocities, {name: NumPy array} each, the caller's to keep."""
        blocks = [block.on_host() for block in self._blocks]
        return [self._joined(kind) for kind in zip(*blocks, strict=True)]

    def keep_apart(self, made):
        """What `on_host` made is nobody else's anyway."""

    def _joined(self, blocks):
        """{name: array of all maps} of the own blocks' {name: array}."""
        whole = {}
        for name in blocks[0]:
            own = [block[name] for block in blocks]
            if name == "decoder_bias":
                whole[name] = self.communicator.from_first(own[0].copy)
            else:
                whole[name] = self.communicator.gather(np.concatenate(own))
        return whole


def _of_maps(arrays, maps):
    return {name: a if name == "decoder_bias" else a[maps] for name, a in arrays.items()}


class ImagesSplit:
    """Blocks of a batch's images; a rank has some of them, and all parameters."""

    def __init__(self, communicator, backend, state, settings, make_optimiser, title):
        self.communicator, self.backend, self.title = communicator, backend, title
        self._optimiser = make_optimiser(backend, state, settings)
        self._lifetime = settings.lifetime
        self._sparsity = make_sparsity(settings.sparsity, settings.n_active)

    def read(self, batches):
        """As of `MapsSplit`: the images of a rank's blocks, and how many the batch has."""

        def read(order):
            own = [self._own_rows(rows) for rows in order]
            for x, rows in zip(batches(own), order, strict=True):
                yield x, len(rows)

        return read

    def _cut(self, n):
        """The blocks of n images, all of them, and which of these are this rank's."""
        n_blocks = min(self.communicator.blocks, n)
        blocks = [part_of(n, block, n_blocks) for block in range(n_blocks)]
        return blocks, self.communicator.share(len(blocks))

    def _own_rows(self, rows):
        blocks, own = self._cut(len(rows))
        own = blocks[own]
        return rows[own[0].start : own[-1].stop] if own else rows[:1]  # one is read in any case

    def step(self, batch, _, learning_rate):
        """As of `MapsSplit`; batch: what `read` gives."""
        x, n = batch
        blocks, own = self._cut(n)
        backend, parameters = self.backend, self._optimiser.parameters
        parts = blocks[own]
        first = parts[0].start if parts else 0
        parts = [slice(part.start - first, part.stop - first) for part in parts]
        codes = self._codes(x, parts, first, n)
        losses = []

        def gradients():
            for part, code in zip(parts, codes, strict=True):
                loss, found = objective.sums(backend, parameters, x[part], code, n)
                losses.append(as_number(backend, mean_loss(loss, 1)))
                yield tuple(found[name] for name in names)

        names = [name for name in PARAMETERS if name in parameters]
        like = tuple(parameters[name] for name in names)
        total = self.communicator.sum_blocks(backend, gradients(), len(blocks), like)
        self._optimiser.step(dict(zip(names, total, strict=True)), learning_rate)
        return float(self.communicator.gather(np.array(losses)).sum()) / n

    def _codes(self, x, parts, first, n):
        """The code of every part of the own images x, of which the first is number `first` of n."""
        parameters = self._optimiser.parameters
        codes = [
            objective.encode(self.backend, self._sparsity, parameters, x[part]) for part in parts
        ]
        if self._lifetime is None:
            return codes
        # a map's winners over the whole batch compete
        values = [self.backend.to_host(code.values) for code in codes]
        none = np.empty((0, len(parameters["encoder_bias"])), np.dtype(str(x.dtype)))
        values = self.communicator.gather(np.concatenate([none, *values]))
        n_survivors = survivors_over_batch(n, self._lifetime)
        values = self.backend.lifetime_sparsity(self.backend.to_device(values), n_survivors)
        return [
            Code(values[first + part.start : first + part.stop], code.positions)
            for part, code in zip(parts, codes, strict=True)
        ]

    def all_finite(self):
        """As of `MapsSplit`; all ranks have the same."""
        return self._optimiser.all_finite()

    def on_host(self):
        """As of `MapsSplit`."""
        return self._optimiser.on_host()

    def keep_apart(self, made):
        """As of `SGD`."""
        self._optimiser.keep_apart(made)
