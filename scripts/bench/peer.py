"""The peer: the same training step, written straightforwardly in PyTorch, and proof that it is.

PyTorch is measured against, never used by minisca; without it the benchmark has no peer's column.
"""

import os
from contextlib import contextmanager

import numpy as np
from bench.layers import LEARNING_RATE, MOMENTUM
from bench.peer_calls import captured

from minisca.backends import get_backend
from minisca.training.optim import SGD

#: Roundings are taken as independent: a sum over N float32 terms errs by about sqrt(N) units in
#: the last place of the root of its squared terms. This many times that is still agreement.
SAFETY = 8
ROUNDING = 2.0**-24
#: Of TF32, whose products have 10 bits of mantissa, the rest cut off: of one factor.
ROUNDING_TF32 = 2.0**-10


class DisagreementError(AssertionError):
    """minisca's step and the peer's compute different things: no timing would mean anything."""


def import_torch(threads):
    """PyTorch on `threads` threads, or None where it is not installed."""
    # for what is compiled here, processes that compile take longer to start than they spare
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    # with channels last, derivatives have other strides than the compiled code expects
    os.environ.setdefault("TORCHINDUCTOR_LAYOUT_OPTIMIZATION", "0")
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    return torch


@contextmanager
def tf32(torch, allowed):
    """Within the block, whether products of float32 on the device may be of TF32."""
    kinds = torch.backends.cuda.matmul, torch.backends.cudnn
    before = [kind.allow_tf32 for kind in kinds]
    for kind in kinds:
        kind.allow_tf32 = allowed
    try:
        yield
    finally:
        for kind, value in zip(kinds, before, strict=True):
            kind.allow_tf32 = value


class PeerStep:
    """conv2d, relu, a mask of each map's largest unit, conv_transpose2d, backward, SGD.

    how: "compiled", the way to the loss, its derivative and the update go through torch.compile;
    "replayed", all of it is one CUDA graph; None, as it stands here.
    """

    def __init__(self, torch, x, parameters, device="cpu", how=None):
        self.torch, self.device = torch, device
        self.x = torch.from_numpy(x).to(device)
        self.parameters = {
            name: torch.from_numpy(value.copy()).to(device).requires_grad_()
            for name, value in parameters.items()
        }
        self.padding = parameters["encoder_filters"].shape[2] // 2
        self.optimiser = torch.optim.SGD(
            self.parameters.values(), lr=LEARNING_RATE, momentum=MOMENTUM
        )
        self.forward, self.update, self.run = self.loss_of_batch, self.optimiser.step, self.step
        if how == "compiled":
            torch.compiler.reset()  # of what was compiled for other layers only so much is kept
            self.forward = torch.compile(self.forward, dynamic=False)
            self.update = torch.compile(self.update, dynamic=False)
        if how == "replayed":
            self.run, done = captured(torch, self.step, device)
            if done is not True:
                raise RuntimeError(f"PyTorch cannot capture its step: {done}")

    def __call__(self):
        self.found = self.run()

    def step(self):
        self.optimiser.zero_grad()
        loss = self.forward()
        loss.backward()
        self.update()
        return loss, [value.grad for value in self.parameters.values()]

    def loss_of_batch(self):
        units = self.activations().flatten(2)
        winners = units.argmax(2, keepdim=True)
        return self.loss(units, self.torch.zeros_like(units).scatter_(2, winners, 1))

    def units(self):
        with self.torch.no_grad():
            return self.activations().flatten(2)

    def differences_of_a_run(self):
        """A run as it is timed beside its operations one by one: {name: relative difference}."""
        self()
        loss, gradients = self.found
        gradients = {
            name: value.clone() for name, value in zip(self.parameters, gradients, strict=True)
        }
        winners = self.units().argmax(2)
        expected = self.loss_and_gradients(winners, self.torch.ones_like(winners))
        return relative_differences(loss.item(), gradients, *expected)

    def loss_and_gradients(self, positions, active):
        """With these winners in place of its own: positions (n, m), active where there is one."""
        self.optimiser.zero_grad()
        units = self.activations().flatten(2)
        mask = self.torch.zeros_like(units)
        mask.scatter_(2, positions[..., None], active[..., None].to(units.dtype))
        loss = self.loss(units, mask)
        loss.backward()
        return loss.item(), {name: value.grad for name, value in self.parameters.items()}

    def convolve(self):
        with self.torch.no_grad():
            self.activations()

    def activations(self):
        filters, bias = self.parameters["encoder_filters"], self.parameters["encoder_bias"]
        convolve = self.torch.nn.functional.conv2d
        return self.torch.relu(convolve(self.x, filters, bias, padding=self.padding))

    def loss(self, units, mask):
        """Mean over images of ||x_hat - x||^2, of units (n, m, h * w) where the mask is 1."""
        maps = (units * mask).unflatten(2, self.x.shape[2:])
        x_hat = self.torch.nn.functional.conv_transpose2d(
            maps,
            self.parameters["decoder_filters"],
            self.parameters["decoder_bias"],
            padding=self.padding,
        )
        return ((x_hat - self.x) ** 2).sum() / len(self.x)


def relative_differences(loss, gradients, expected_loss, expected):
    """{"loss": ..., a parameter's name: ...}, of tensors."""
    found = {"loss": abs(loss / expected_loss - 1)}
    for name, wanted in expected.items():
        found[name] = float((gradients[name] - wanted).norm() / wanted.norm())
    return found


def check_agreement(step, peer, rounding=0.0):
    """Raise DisagreementError unless both compute the same loss, gradients and winners.

    A winner may differ where the two largest units of a map are equal but for rounding. So winners
    are compared by value, and then the peer is given minisca's, which makes the rest smooth.
    rounding: of a factor before it is multiplied, where the peer does so.

    Returns {"loss": relative difference, ...}, the tolerance, and how many winners differ.
    """
    torch = peer.torch
    n, channels, *_ = step.x.shape
    n_maps, _, k, _ = step.start["encoder_filters"].shape
    values, positions, loss, gradients = step.computed

    places = torch.from_numpy(positions.astype(np.int64)).to(peer.device)
    active = torch.from_numpy(values > 0).to(peer.device)
    of_products = rounding * np.sqrt(2)
    allowed = SAFETY * (ROUNDING * np.sqrt(channels * k * k) + of_products)
    differing = _compare_winners(torch, peer.units(), values, places, active, allowed)
    peer_loss, peer_gradients = peer.loss_and_gradients(places, active)

    # encoder, reconstruction, the winners' derivatives, and the sum over the batch
    tolerance = ROUNDING * np.sqrt(2 * channels * k * k + n_maps + n) + 2 * of_products
    tolerance *= SAFETY
    differences = {"loss": abs(peer_loss - loss) / loss}
    for name, gradient in gradients.items():
        theirs = peer_gradients[name].detach()
        size = float(theirs.norm())
        if name == "decoder_bias":  # errors of both signs may cancel: beside what was summed up
            size = 2 * np.sqrt(step.x[0].size * loss)
        difference = (torch.from_numpy(gradient).to(peer.device) - theirs).norm()
        differences[name] = float(difference) / max(size, float(np.finfo("f4").tiny))
    wrong = {name: value for name, value in differences.items() if not value <= tolerance}
    if wrong:
        raise DisagreementError(
            f"relative differences from PyTorch larger than {tolerance:.1e}: {wrong}"
        )
    return {
        "relative_differences": differences,
        "tolerance": float(tolerance),
        "winners": int(active.sum()),
        "winners_at_other_of_two_equal_units": differing,
    }


def agreement_with(step, peer, rounding=0.0):
    """What `check_agreement` returns; {"disagreement": what it says} where it finds one.

    A convolution of the vendor's library by FFT or Winograd's method rounds more than a sum does.
    That is a finding to stand beside the times, not a reason to lose all others.
    """
    try:
        return check_agreement(step, peer, rounding)
    except DisagreementError as disagreement:
        return {"disagreement": str(disagreement)}


def agreement_line(agreement):
    if agreement is None:
        return "PyTorch not run"
    if "failed" in agreement:
        return f"failed: {agreement['failed']}"
    if "disagreement" in agreement:
        return f"PyTorch computes something else: {agreement['disagreement']}"
    largest = max(agreement["relative_differences"].values())
    return (
        f"agrees with PyTorch to {largest:.0e} (allowed {agreement['tolerance']:.0e}), "
        f"{agreement['winners_at_other_of_two_equal_units']} of {agreement['winners']} winners at "
        "the other of two units that differ by rounding alone"
    )


def _compare_winners(torch, units, values, places, active, allowed):
    """Every winner's unit is the peer's largest but for rounding; how many are at other places.

    allowed: of the largest unit.
    """
    largest, where = units.max(2)
    values = torch.from_numpy(values).to(units.device)
    allowed *= float(largest.max())
    at_ours = units.gather(2, places[..., None])[..., 0] * active
    worst = float(torch.maximum(largest - at_ours, (values - at_ours).abs()).max())
    if not worst <= allowed:
        raise DisagreementError(
            f"a winner's value differs by {worst:.1e} from PyTorch's; "
            f"rounding explains {allowed:.1e}"
        )
    return int(((where != places) & (largest > 0)).sum())


def check_update(torch):
    """Raise DisagreementError unless three updates with momentum are the same as PyTorch's."""
    random = np.random.default_rng(0)
    start, *gradients = random.standard_normal((4, 100), np.float32)
    ours, theirs = {"p": start.copy()}, torch.from_numpy(start.copy()).requires_grad_()
    optimiser = SGD(get_backend("cpu"), ours, MOMENTUM)
    peer = torch.optim.SGD([theirs], lr=0.1, momentum=MOMENTUM)
    for gradient in gradients:
        optimiser.step({"p": gradient}, 0.1)
        theirs.grad = torch.from_numpy(gradient)
        peer.step()
    difference = np.abs(ours["p"] - theirs.detach().numpy()).max()
    # three steps, three roundings each, of numbers below 8
    if not difference <= 9 * 8 * ROUNDING:
        raise DisagreementError(f"updates differ by {difference:.1e} from PyTorch's SGD")
