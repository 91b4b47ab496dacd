"""What `fit(callbacks=[...])` calls after every epoch of a layer.

A callback is called as callback(layer, epoch, loss): the layer as it is after that epoch, counted
from 1, and the epoch's mean loss. Training ends there if it returns True. One that has them is told
by begin(layer, images, number) and end() that a layer's training begins and ends; number: the
layer's within a stack, from 1, else None.
"""

import json
import math
import os
import time
from typing import Any

from minisca import encoding
from minisca.chunks import ceil_div
from minisca.files.atomic import atomic_write
from minisca.training.optim import scheduled_rate
from minisca.types import Images, PathLike
from minisca.validation import check_integer, check_number


class EarlyStopping:
    """Ends training when the loss of the validation images falls no more, and restores the best.

    However training ends, what the layer has then is what it had after the epoch whose loss of the
    validation images was the smallest: filters, biases and velocities. The histories stay whole,
    `best_epoch_` says which epoch it was. A resumed fit ends at the same epoch, with the same bits.

    Parameters
    ----------
    patience : int >= 1, default 5
        End after so many epochs without a new smallest loss.
    min_delta : float >= 0, default 0
        A loss counts as smaller if it is so by more than this.
    """

    def __init__(self, patience: int = 5, min_delta: float = 0.0) -> None:
        self.patience = check_integer("patience", patience)
        self.min_delta = check_number("min_delta", min_delta)

    def __call__(self, layer: Any, epoch: int, loss: float) -> bool:
        return self.ends(layer.validation_loss_history_)

    def ends(self, losses: list[float]) -> bool:
        """Whether training ends after epochs that had these losses of the validation images."""
        smallest, waited = math.inf, 0
        for loss in losses:
            waited += 1
            if loss < smallest - self.min_delta:
                smallest, waited = loss, 0
        return waited >= self.patience


class JSONLLog:
    """Writes a line of JSON an epoch: "epoch", "loss", "validation_loss" (or null) and others.

    Those are "learning_rate", of the epoch's last step; "dead_maps", those without a survivor in
    1,000 images or fewer, spread over all; "seconds" since the line before, validation included,
    and "images_per_second" of that time; in a stack, first of all, "layer".

    The file is replaced whole after every epoch. A resumed fit goes on in it: lines of later epochs
    are removed, and with a fresh fit's first line all those of before.

    Parameters
    ----------
    path : str or path
        Missing folders are made. Raises ValueError, when a fit begins, if a file is there that is
        no such log.
    """

    def __init__(self, path: PathLike) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"path is {path!r}; it must be the path of a file")
        self.path = os.fspath(path)
        self._images: Any = None

    def begin(self, layer: Any, images: Images, number: int | None = None) -> None:
        """Called before the first epoch."""
        self._read()
        self._images, self._number, self._start = images, number, time.perf_counter()

    def end(self) -> None:
        """Called after the last epoch: lets go of the images."""
        self._images = None

    def __call__(self, layer: Any, epoch: int, loss: float) -> None:
        seconds, n = time.perf_counter() - self._start, self._images.shape[0]
        n_batches = ceil_div(n, layer.batch_size)
        steps = epoch * n_batches - 1, layer.n_epochs * n_batches
        rate = scheduled_rate(layer.learning_rate, *steps, layer.warmup_steps, layer.schedule)
        validation = layer.validation_loss_history_
        dead, _ = encoding.count_dead_maps(*layer._checked(self._images))
        line: dict[str, Any] = {} if self._number is None else {"layer": self._number}
        line |= {"epoch": epoch, "loss": loss}
        line |= {"validation_loss": validation[-1] if validation else None}
        line |= {"learning_rate": rate, "dead_maps": dead}
        line |= {"seconds": seconds, "images_per_second": n / seconds}
        lines = [each for each in self._read() if _place(each) < _place(line)]
        with atomic_write(self.path) as file:
            file.write("".join(json.dumps(each) + "\n" for each in [*lines, line]).encode())
        self._start = time.perf_counter()

    def _read(self):
        """The lines that are there, as dicts."""
        try:
            with open(self.path, encoding="utf-8") as file:
                lines = [json.loads(line) for line in file]
            for line in lines:
                _place(line)
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            must = "it must be a log of JSONLLog, or not be there"
            raise ValueError(f"{self.path} is something else ({error!r}); {must}") from error
        return lines


def _place(line):
    """Where a line stands among all."""
    return int(line.get("layer", 1)), int(line["epoch"])
