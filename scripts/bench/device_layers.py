"""The benchmark's step, `transform` and growth on a device, as `bench_steps` has the CPU's."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from bench.cold import measure_cold_on, report_cold
from bench.device import COPY_BYTES, PRODUCT_SIDE, first_call, take_turns_on, to_host
from bench.growth import AXES, BASE, TINY
from bench.layers import LAYERS, LEARNING_RATE, MOMENTUM, make_images, make_parameters
from bench.peer import PeerStep, check_agreement
from bench.steps import agreement_line, describe, milliseconds
from bench.timing import median
from common.records import print_table

from minisca.sparsity import make_sparsity
from minisca.training.objective import loss_and_gradients
from minisca.training.optim import SGD


class DeviceStep:
    """minisca's training step on images x that are on the device, as are all parameters."""

    def __init__(self, device, x, parameters):
        self.device, self.backend = device, device.backend
        self.host_x, self.host_parameters = x, parameters
        self.sparsity = make_sparsity("winner-take-all")
        bring = self.backend.to_device
        self.x = bring(x)
        self.parameters = {name: bring(value.copy()) for name, value in parameters.items()}
        velocities = {name: bring(np.zeros_like(value)) for name, value in parameters.items()}
        self.optimiser = SGD(self.backend, self.parameters, MOMENTUM, velocities)

    def __call__(self):
        _, gradients = self.loss_and_gradients()
        self.optimiser.step(gradients, LEARNING_RATE)

    def loss_and_gradients(self):
        return loss_and_gradients(self.backend, self.sparsity, self.parameters, self.x)

    def encode(self):
        filters, bias = self.parameters["encoder_filters"], self.parameters["encoder_bias"]
        return self.backend.encode_winners(self.x, filters, bias)

    def encode_pooled(self, width, stride):
        filters, bias = self.parameters["encoder_filters"], self.parameters["encoder_bias"]
        return self.backend.encode_pooled(self.x, filters, bias, width, stride)

    def phases(self):
        """{phase: a call of it}: the operations of a step, each on what the one before it gave."""
        backend, x, parameters = self.backend, self.x, self.parameters
        encoder, decoder = parameters["encoder_filters"], parameters["decoder_filters"]
        values, positions = self.encode()
        code = values, positions
        size = x.shape[2:]
        decode = (*code, decoder, parameters["decoder_bias"], size)
        x_hat = backend.decode_winners(*decode)
        _, error = backend.residual(x_hat, x, x.shape[0])
        backward = (x, error, *code, encoder, decoder)
        names = ("encoder_filters", "encoder_bias", "decoder_filters", "decoder_bias")
        gradients = dict(zip(names, backend.winners_backward(*backward), strict=True))
        return {
            "encode": self.encode,
            "decode": lambda: backend.decode_winners(*decode),
            "error": lambda: backend.residual(x_hat, x, x.shape[0]),
            "backward": lambda: backend.winners_backward(*backward),
            "update": lambda: self.optimiser.step(gradients, LEARNING_RATE),
        }

    def on_host(self):
        """What `check_agreement` asks of a step, with NumPy arrays."""

        def computed():
            loss, gradients = self.loss_and_gradients()
            return loss, to_host(self.backend, gradients)

        return SimpleNamespace(
            x=self.host_x,
            parameters=self.host_parameters,
            encode=lambda: to_host(self.backend, self.encode()),
            loss_and_gradients=computed,
        )


def measure_ceilings(bench, device):
    """What the device does at most, measured now: bytes a second copied, FLOPs of a product."""
    n_bytes, side = (1 << 16, 64) if bench.tiny else (COPY_BYTES, PRODUCT_SIDE)
    copy, moved = device.copy(n_bytes)
    product = device.product(side, side, side)
    calls = {"copy": copy} | ({} if product is None else {"product": product})
    seconds = take_turns_on(device, calls, bench.repetitions)
    flops = None if product is None else 2 * side**3 / median(seconds["product"])
    return {
        "copy_bytes": moved,
        "product_side": side,
        "seconds": seconds,
        "bytes_per_second": moved / median(seconds["copy"]),
        "flops_per_second": flops,
    }


def measure_steps_on(bench, device):
    """Seconds of the step and its phases, of PyTorch's, of cuBLAS on written-down patches."""
    ceilings = measure_ceilings(bench, device)
    layers = [measure_step_on(bench, device, layer, ceilings) for layer in bench.layers(LAYERS)]
    return {"device": device.description(), "ceilings": ceilings, "layers": layers}


def measure_step_on(bench, device, layer, ceilings):
    x, parameters = make_images(layer, bench.digits), make_parameters(layer)
    step = DeviceStep(device, x, parameters)
    first = first_call(step, device)
    memory = device.memory(step)
    calls, agreement = {"minisca": step, **step.phases()}, None
    taps = layer.channels * layer.width**2
    product = device.product(layer.n_maps, taps, layer.batch * layer.size**2)
    if product is not None:
        calls["cublas on patches"] = product
    if bench.torch is not None:
        peer = PeerStep(bench.torch, x, parameters, bench.torch_device)
        agreement = check_agreement(step.on_host(), peer)
        calls |= {"pytorch convolution": peer.convolve, "pytorch": peer}
    seconds = take_turns_on(device, calls, bench.repetitions)
    medians = {name: median(values) for name, values in seconds.items()}
    update_bytes = 5 * sum(value.nbytes for value in parameters.values())
    peak = ceilings["flops_per_second"]
    return {
        **describe(layer),
        "floor_seconds": layer.flops / peak if peak else None,
        "first_step_seconds": first,
        "memory_bytes": memory,
        "seconds": seconds,
        "median_seconds": medians,
        "encode_share_of_product": layer.flops / medians["encode"] / peak if peak else None,
        "update_share_of_copy": update_bytes / medians["update"] / ceilings["bytes_per_second"],
        "agreement": agreement,
    }


def report_steps_on(result):
    ceilings = result["ceilings"]
    flops, bandwidth = ceilings["flops_per_second"], ceilings["bytes_per_second"]
    product = "no library to measure it" if flops is None else f"{flops / 1e12:.1f} TFLOP/s"
    print(f"{result['device']['name']}; product {product}, copy {bandwidth / 1e12:.2f} TB/s")
    rows, phase_rows = [], []
    for layer in result["layers"]:
        found = layer["median_seconds"]
        ours, floor, theirs = found["minisca"], layer["floor_seconds"], found.get("pytorch")
        share = layer["encode_share_of_product"]
        rows.append(
            [
                layer["layer"],
                *(_or_dash(value, milliseconds) for value in (floor, ours)),
                _or_dash(floor and ours / floor, "{:.2f} x".format),
                *(_or_dash(found.get(name), milliseconds)
                  for name in ("cublas on patches", "pytorch convolution", "pytorch")),
                _or_dash(theirs and theirs / ours, "{:.1f} x".format),
                _or_dash(share, "{:.0%}".format),
                f"{layer['update_share_of_copy']:.0%}",
                f"{layer['first_step_seconds']:.1f} s",
                _or_dash(layer["memory_bytes"], lambda n_bytes: f"{n_bytes / 1e6:.0f}"),
            ]
        )  # fmt: skip
        phases = ("encode", "decode", "error", "backward", "update")
        phase_rows.append([layer["layer"], *(milliseconds(found[name]) for name in phases)])
    header = ["training step, ms", "floor", "minisca", "of floor", "cuBLAS on patches"]
    header += ["PyTorch's convolution", "PyTorch", "faster", "encode of product"]
    print_table([*header, "update of copy", "first step", "MB of a step"], rows)
    print()
    print_table(["phases, ms", *phases], phase_rows)
    for layer in result["layers"]:
        print(f"{layer['layer']}: images are {layer['images']}; "
              f"{agreement_line(layer['agreement'])}")  # fmt: skip


def _or_dash(value, show):
    return "-" if value is None else show(value)


def measure_transform_on(bench, device):
    """Seconds of convolution, ReLU and pooling in one pass beside the step's own encoder."""
    found = []
    for layer in bench.layers(LAYERS):
        step = DeviceStep(device, make_images(layer, bench.digits), make_parameters(layer))
        calls = {
            "encode_winners": step.encode,
            "encode_pooled": lambda step=step, layer=layer: step.encode_pooled(*layer.pool),
        }
        seconds = take_turns_on(device, calls, bench.repetitions)
        medians = {name: median(values) for name, values in seconds.items()}
        found.append(
            {
                **describe(layer),
                "pool": layer.pool,
                "seconds": seconds,
                "median_seconds": medians,
                "ratio": medians["encode_pooled"] / medians["encode_winners"],
            }
        )
    return {"device": device.description(), "layers": found}


def report_transform_on(result):
    rows = [
        [
            layer["layer"],
            milliseconds(layer["median_seconds"]["encode_winners"]),
            milliseconds(layer["median_seconds"]["encode_pooled"]),
            f"{layer['ratio']:.2f} x",
        ]
        for layer in result["layers"]
    ]
    print_table(["transform, ms", "step's encoder", "transform", "of encoder"], rows)


def measure_growth_on(bench, device):
    """A first layer's step against maps, batch, image side and filter width."""
    base, axes = BASE.tiny() if bench.tiny else BASE, {}
    for name in AXES:
        axes[name] = []
        for size in TINY[name] if bench.tiny else AXES[name][1]:
            layer = replace(base, **{name: size})
            step = DeviceStep(device, make_images(layer, None), make_parameters(layer))
            seconds = take_turns_on(device, {"minisca": step}, bench.repetitions)
            axes[name].append(
                {"at": size, "flops": layer.flops, "seconds": seconds["minisca"],
                 "median_seconds": median(seconds["minisca"])}
            )  # fmt: skip
    return {"device": device.description(), "axes": axes, "images": "Gaussian"}


def report_growth_on(result):
    for name, points in result["axes"].items():
        rows = [[str(point["at"]), milliseconds(point["median_seconds"])] for point in points]
        print_table([AXES[name][0], "step, ms"], rows)


#: As in benchmark.py.
DEVICE_SECTIONS = {
    "steps": (measure_steps_on, report_steps_on),
    "transform": (measure_transform_on, report_transform_on),
    "cold": (measure_cold_on, report_cold),
    "growth": (measure_growth_on, report_growth_on),
}
#: The sections of benchmark.py that a device has not, and why.
OF_THE_CPU = {
    "threads": "it compares numbers of the CPU's threads; a device always runs all that it has",
    "classifier": "logistic regression runs on the CPU, whatever the features were computed on",
    "memory": "it is the host's; a step's memory on the device is a column of steps",
}
