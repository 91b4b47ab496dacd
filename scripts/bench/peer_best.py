"""The best peer: of every operation its fastest way, the whole compiled, replayed as a CUDA graph.

What is the fastest is measured on the layer, the precision and the device at hand. What PyTorch
cannot compile or capture is run without, and what it said is kept.
"""

import time
from functools import partial

from bench.layers import LEARNING_RATE, MOMENTUM
from bench.peer import relative_differences
from bench.peer_operations import GATHERED, WAYS, Operations
from bench.timing import median

#: How often a way is timed, and about how long.
TURNS, TURN_SECONDS = 3, 0.01


class BestPeerStep:
    """A training step on images x and parameters, NumPy's; it has copies of both.

    compiled: whether to compile at all. known: the "seconds" of a step of another precision.

    made_of: {"ways": {operation: way}, "seconds": {operation: {way: seconds}}, "compiled": True or
    why not, "graph": the same}.
    """

    def __init__(self, torch, x, parameters, device="cpu", compiled=True, known=None):
        self.torch, self.device = torch, device
        self.x = torch.from_numpy(x).to(device)
        self.parameters = {
            name: torch.from_numpy(value.copy()).to(device) for name, value in parameters.items()
        }
        self.velocities = [torch.zeros_like(value) for value in self.parameters.values()]
        self.wants_compiling = compiled
        if compiled:
            torch.compiler.reset()  # of what was compiled for other layers only so much is kept
        with torch.no_grad():
            seconds = self.measure_ways(known or {})
            ways = {name: min(found, key=found.get) for name, found in seconds.items()}
            self.operations = Operations(torch, ways)
            self.made_of = {"ways": ways, "seconds": seconds}
            self.run, self.made_of["compiled"] = self.compile(self.step)
            self.run, self.made_of["graph"] = self.capture(self.run)

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

    # How the step is made ----------------------------------------------------------------------

    def measure_ways(self, known):
        """{operation: {way: median seconds}}; a way that fails is left out.

        The gathered ways, known from another precision, are taken over: it is nothing to them.
        """
        encoder, encoder_bias, decoder, decoder_bias = self.parameters.values()
        size = tuple(self.x.shape[2:])
        values, positions = Operations(self.torch).encode(self.x, encoder, encoder_bias)
        arguments = {
            "encode": (self.x, encoder, encoder_bias),
            "decode": (values, positions, decoder, decoder_bias, size),
            "slopes": (values, positions, self.x, decoder),
            "gradient": (values, positions, self.x, encoder),
        }
        found = {name: {} for name in WAYS}
        for name, way in ((name, way) for name, ways in WAYS.items() for way in ways):
            gathered = way == GATHERED
            if gathered and way in known.get(name, {}):
                found[name][way] = known[name][way]
                continue
            operation = getattr(Operations(self.torch, {name: way}), name)
            try:
                found[name][way] = self.seconds(operation, arguments[name], gathered)
            except RuntimeError as error:  # out of memory, say
                print(f"PyTorch, {name}, {way}: {what_it_says(error)}")
        return found

    def seconds(self, operation, arguments, compiled):
        """Median seconds of an operation by itself, without the host's part where that can be."""
        call = partial(operation, *arguments)
        if compiled:
            call, _ = self.compile(call)
        call, _ = self.capture(call)
        call()
        count = max(1, round(TURN_SECONDS / max(self.clock(call, 1), 1e-6)))
        return median([self.clock(call, count) for _ in range(TURNS)])

    def clock(self, call, count):
        """Mean seconds of a call."""
        if self.device == "cpu":
            start = time.perf_counter()
            for _ in range(count):
                call()
            return (time.perf_counter() - start) / count
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(count):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / count

    def compile(self, call):
        """The call compiled, and True; as it is, and why."""
        if not self.wants_compiling:
            return call, "not asked for"
        compiled = self.torch.compile(call, fullgraph=True, dynamic=False)
        try:
            compiled()
        except Exception as error:  # of any kind: it may be the compiler's, the linker's, ...
            return call, what_it_says(error)
        return compiled, True

    def capture(self, call):
        """The replay of a CUDA graph of the call, and True; the call, and why."""
        if self.device == "cpu":
            return call, "not on the CPU"
        torch = self.torch
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        try:
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    call()
            torch.cuda.current_stream().wait_stream(stream)
            with torch.cuda.graph(graph):
                found = call()
        except RuntimeError as error:
            torch.cuda.synchronize()
            return call, what_it_says(error)

        def replay():
            graph.replay()
            return found

        return replay, True


def what_it_says(error):
    """The first line of an error, and its kind."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"[:300]
