"""The best peer: of every operation its fastest way, the whole replayed as one CUDA graph.

What is the fastest is measured on the layer, the precision and the device at hand. Where PyTorch
cannot capture the step it is run without, and what it said is kept.
"""

from functools import partial

from bench.layers import LEARNING_RATE, MOMENTUM
from bench.peer import relative_differences
from bench.peer_calls import VERY_SLOW, captured, seconds, what_it_says
from bench.peer_operations import (
    COMPILED,
    DENSE,
    DEVICE_WAYS,
    GATHERED,
    LAST,
    ROWS,
    WAYS,
    Operations,
)


class BestPeerStep:
    """A training step on images x and parameters, NumPy's; it has copies of both.

    compiled: whether torch.compile goes over the whole step. known: {operation: {way: seconds}}
    from another precision, or from the step that was not compiled. ways: what is measured, in place
    of all that the device has.

    made_of: {"ways": {operation: way}, "seconds": {operation: {way: seconds}}, "graph": True or
    why not}.
    """

    def __init__(self, torch, x, parameters, device="cpu", compiled=False, known=None, ways=None):
        self.torch, self.device = torch, device
        self.x = torch.from_numpy(x).to(device)
        self.parameters = {
            name: torch.from_numpy(value.copy()).to(device) for name, value in parameters.items()
        }
        self.ways = ways or (WAYS if device == "cpu" else DEVICE_WAYS)
        self.velocities = [torch.zeros_like(value) for value in self.parameters.values()]
        with torch.no_grad():
            spent = self.measure_ways(known or {})
            candidates = self.candidates(spent)
            self.operations = candidates[0]
            if len(candidates) > 1:
                self.operations = min(candidates, key=self.seconds_of)
            self.made_of = {"ways": self.operations.ways, "seconds": spent}
            self.run = self.step
            if compiled:
                torch.compiler.reset()  # of what was compiled before only so much is kept
                self.run = torch.compile(self.step, fullgraph=True, dynamic=False)
                self.run()
            self.run, self.made_of["graph"] = captured(torch, self.run, device)

    def __call__(self):
        with self.torch.no_grad():
            self.found = self.run()

    def step(self):
        loss, gradients, code = self.operations.loss_and_gradients(
            self.x, [*self.parameters.values()]
        )
        for parameter, velocity, gradient in zip(
            self.parameters.values(), self.velocities, gradients, strict=True
        ):
            velocity.mul_(MOMENTUM).add_(gradient)
            parameter.sub_(LEARNING_RATE * velocity)
        return loss, code

    def units(self):
        with self.torch.no_grad():
            names = ("encoder_filters", "encoder_bias")
            return self.operations.units(self.x, *(self.parameters[name] for name in names))

    def loss_and_gradients(self, positions, active):
        """With these winners in place of its own: positions (n, m), active where there is one."""
        with self.torch.no_grad():
            values = self.units().gather(2, positions[..., None])[..., 0] * active
            return self._named(values, positions)

    def differences_of_a_run(self):
        """A run as it is timed beside its operations one by one: {name: relative difference}."""
        with self.torch.no_grad():
            for velocity in self.velocities:
                velocity.zero_()  # it is the gradient after the step
            before = [value.clone() for value in self.parameters.values()]
            self()
            loss, code = self.found
            velocities = [velocity.clone() for velocity in self.velocities]
            gradients = dict(zip(self.parameters, velocities, strict=True))
            for value, old in zip(self.parameters.values(), before, strict=True):
                value.copy_(old)
            return relative_differences(float(loss), gradients, *self._named(*code))

    def _named(self, values, positions):
        parameters = [*self.parameters.values()]
        loss, gradients, _ = self.operations.loss_and_gradients(
            self.x, parameters, (values, positions)
        )
        return float(loss), dict(zip(self.parameters, gradients, strict=True))

    def candidates(self, spent):
        """Of every operation the fastest way by itself; on a device, all in the same too."""
        fastest = {name: min(found, key=found.get) for name, found in spent.items()}
        if self.device == "cpu":  # it has no launches that a common layout would spare
            return [Operations(self.torch, fastest)]
        same = (dict.fromkeys(WAYS, way) for way in (DENSE, LAST))
        return [Operations(self.torch, ways) for ways in (fastest, *same)]

    def seconds_of(self, operations):
        """Of a whole step; what it learns is forgotten."""
        self.operations = operations
        learned = [*self.parameters.values(), *self.velocities]
        before = [value.clone() for value in learned]
        spent = seconds(self.torch, self.step, self.device)
        for value, old in zip(learned, before, strict=True):
            value.copy_(old)
        return spent

    def measure_ways(self, known):
        """{operation: {way: seconds}}; what is known is taken over, what fails left out."""
        encoder, encoder_bias, decoder, decoder_bias = self.parameters.values()
        size = tuple(self.x.shape[2:])
        values, positions = Operations(self.torch).encode(self.x, encoder, encoder_bias)
        arguments = {
            "encode": (self.x, encoder, encoder_bias),
            "decode": (values, positions, decoder, decoder_bias, size),
            "slopes": (values, positions, self.x, decoder),
            "gradient": (values, positions, self.x, encoder),
        }
        found = {name: {} for name in self.ways}
        for name, way in ((name, way) for name, ways in self.ways.items() for way in ways):
            if way in known.get(name, {}):
                found[name][way] = known[name][way]
                continue
            try:
                operation = getattr(Operations(self.torch, {name: way}), name)
                call = partial(operation, *arguments[name])
                if way == COMPILED and found[name].get(ROWS, 0) > VERY_SLOW:
                    continue  # a compiler's loop is no way through so many patches
                if way == COMPILED:
                    call()
                found[name][way] = seconds(self.torch, call, self.device)
            except Exception as error:  # no memory, no compiler of Triton's, ...
                print(f"PyTorch, {name}, {way}: {what_it_says(error)}")
        return found


def gathered_alone(seconds_of_ways):
    """What another precision changes nothing of."""
    return {
        name: {way: spent for way, spent in found.items() if way == GATHERED}
        for name, found in seconds_of_ways.items()
    }
