"""What crosses between host and device while an estimator trains: next to nothing."""

from collections import Counter

import numpy as np
import pytest

from minisca import encoding
from minisca.backends import get_backend
from minisca.training import batches
from tests.support.backends import EMULATED, SIMULATED
from tests.support.emulated_device import Kernel
from tests.support.layers import RULES, few, small


def counted(device, monkeypatch):
    """Counts, from now on, of what goes "in" to the device and "out" of it: times, and bytes."""
    if device == "cupy":
        counts = get_backend("cupy").runtime.machine.platform.transfers
        counts.clear()
        return counts
    return counted_in_simulator(get_backend("numba_cuda").runtime.machine.cuda, monkeypatch)


def counted_in_simulator(cuda, monkeypatch):
    counts = Counter()
    kinds = type(cuda.device_array(1)), type(cuda.jit(lambda: None))
    copy_to_device, copy_to_host = kinds[0].copy_to_device, kinds[0].copy_to_host
    call = kinds[1].__call__

    def count_in(self, source, *more):
        if isinstance(source, np.ndarray):
            counts.update({"in": 1, "bytes in": source.nbytes})
        return copy_to_device(self, source, *more)

    def count_out(self):
        counts.update({"out": 1, "bytes out": self.nbytes})
        return copy_to_host(self)

    def call_without_host_arrays(self, *args):
        if not self._device:
            assert not any(isinstance(arg, np.ndarray) for arg in args), "Numba would move it"
        return call(self, *args)

    monkeypatch.setattr(kinds[0], "copy_to_device", count_in)
    monkeypatch.setattr(kinds[0], "copy_to_host", count_out)
    monkeypatch.setattr(kinds[1], "__call__", call_without_host_arrays)
    return counts


@pytest.mark.skipif(not (EMULATED or SIMULATED), reason="counted where devices are stood in for")
@pytest.mark.parametrize("rule", ["winner-take-all", "k-largest", "tied", "none"])
def test_an_epoch_takes_in_its_images_or_their_order_and_gives_out_its_losses_at_the_end(
    device, rule, monkeypatch
):
    monkeypatch.setattr(encoding, "warn_of_dead_maps", lambda *_: None)  # it looks at images again

    def transfers(batch_size, share):
        monkeypatch.setattr(batches, "SHARE", share)
        counts = counted(device, monkeypatch)
        small(**RULES[rule], backend=device, batch_size=batch_size, n_epochs=1).fit(few(6))
        return Counter(counts)

    loss, image = 8, 5 * 4 * 4  # in float32, as they are
    parameters = 3 if rule == "tied" else 4
    one_step, two_steps = transfers(6, 0), transfers(3, 0)
    assert two_steps["in"] - one_step["in"] == 1
    assert two_steps["bytes in"] == one_step["bytes in"]
    resident, in_more_steps = transfers(6, 0.5), transfers(3, 0.5)
    order, rates, counter = 6 * 8, 8 * parameters * (device == "cupy"), 4 * (device == "cupy")
    assert resident["bytes in"] == one_step["bytes in"] + order + rates + counter
    assert in_more_steps["bytes in"] == resident["bytes in"] + rates
    assert in_more_steps["in"] == resident["in"]
    for one, more in ((one_step, two_steps), (resident, in_more_steps)):
        assert more["out"] == one["out"], "losses leave at the end of an epoch, all at once"
        assert more["bytes out"] - one["bytes out"] == loss
    learned = 8 * ((parameters - 2) * 3 * 9 + 3 + 1)
    assert one_step["bytes in"] == 2 * learned + 6 * image  # velocities as well
    finite = 8 * parameters  # a number a parameter, once an epoch
    assert one_step["bytes out"] == 2 * learned + loss + finite


@pytest.mark.skipif(not EMULATED, reason="launches are counted in the emulator")
@pytest.mark.parametrize("rule", ["winner-take-all", "tied", "none"])
def test_a_step_updates_all_parameters_in_one_launch(rule):
    Kernel.launches.clear()
    small(**RULES[rule], backend="cupy", n_epochs=1).fit(few())
    assert Kernel.launches["sgd_momentum"] == 2


def test_images_that_take_more_than_a_share_of_the_memory_come_batch_by_batch(device, monkeypatch):
    backend, n_bytes = get_backend(device), few().size * 8
    for free, resident in ((2 * n_bytes, True), (2 * n_bytes - 1, False)):
        monkeypatch.setattr(backend, "free_bytes", lambda free=free: free)
        assert batches.Batches(backend, few(), "float64").resident == resident
