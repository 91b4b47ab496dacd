"""What the machine code of the CuPy column's kernels says: registers, spills, the inner loop.

Needs no device. From the inner loop follows an estimate of a kernel's time on an H100: as many
instructions as its products take at the loop's mix, all processors issuing one a cycle each; or, if
that is longer, its arrays read or written once; and what the start of a kernel takes.
"""

from functools import cache, partial

from bench.compiled import compile_text, counts, disassemble, inner_loop
from bench.launches import launches_of
from bench.layers import describe
from common.records import print_rows

ARCHITECTURE = 90
#: Of an H100: schedulers that issue an instruction a cycle, cycles a second, bytes a second.
SCHEDULERS, CLOCK, BANDWIDTH = 4 * 132, 1.755e9, 3.0e12
#: What a kernel takes that does nothing, within a graph.
START_SECONDS = 2e-6
#: FLOPs of a warp's instruction, and cycles that it keeps its unit busy.
FLOPS = {"FFMA": 64, "HMMA": 4096}
CYCLES = {"FFMA": 1, "HMMA": 4}

#: FLOPs of a kernel: how often the encoder's convolution, and how often as many as the winners'
#: patches have taps. Of what is not named here nothing is computed to speak of. `decide` has at
#: least one candidate a map; how many more depends on the images.
WORK = {
    **dict.fromkeys((f"{way}_winners" for way in ("direct", "convolve", "tensor")), (1, 0)),
    **dict.fromkeys(("propose", "staged_winners", "staged_maps", "direct_pooled"), (1, 0)),
    **dict.fromkeys(("decode", "paste", "paste_and_subtract", "correlate_errors"), (0, 1)),
    "decide": (0, 1),
    **dict.fromkeys(("add_patches", "walk_error", "walk_error_and_update"), (0, 2)),
    **dict.fromkeys(("walk_images", "walk_images_and_update"), (0, 1)),
    "walk_both": (0, 3),
}

#: What other kernels than a step's are for: {it: (what is called, the compute capability)}.
OTHERS = {
    "winners without tensor cores": (lambda layer, step: step.encode(), 70),
    "pooled features": (lambda layer, step: step.encode(*layer.pool), 90),
}


def flops_of(name, layer):
    convolutions, patches = WORK.get(name, (0, 0))
    return layer.flops * convolutions + layer.flops // layer.size**2 * patches


def estimate(flops, loop, n_bytes):
    """Seconds of a kernel on an H100."""
    each = sum(count * loop[name] for name, count in FLOPS.items()) if loop else 0
    cycles = max(loop["all"], *(CYCLES[name] * loop[name] for name in CYCLES)) if loop else 0
    issued = flops / each * cycles / SCHEDULERS / CLOCK if each else 0
    return START_SECONDS + max(issued, n_bytes / BANDWIDTH)


def measure_machine_code(bench, machine):
    """Of every layer the kernels of a step, and `OTHERS` by what for, as compiled for an H100."""
    compiled = cache(_compile)
    layers = []
    for layer in bench.layers():
        step, others = launches_of(layer), other_launches_of(layer)
        made_of = {
            what: [_kernel(layer, launch, compiled) for launch in others[what]] for what in others
        }
        kernels = [_kernel(layer, launch, compiled) for launch in step]
        layers.append({**describe(layer), "kernels": kernels, "others": made_of})
    return {"architecture": ARCHITECTURE, "layers": layers}


def other_launches_of(layer):
    """{what for: its `Launch`es}, of `OTHERS`, where they are not among those of a step."""
    step, found = launches_of(layer), {}
    for what, (call, compute_capability) in OTHERS.items():
        launches = launches_of(layer, partial(call, layer), compute_capability)
        if not set(launches) <= set(step):
            found[what] = launches
    return found


def _compile(text, options):
    """{kernel: (what the compiler says, its inner loop)}"""
    kernels, code = compile_text(text, options, ARCHITECTURE)
    loops = {name: counts(inner_loop(found)) for name, found in disassemble(code).items()}
    return {kernel.name: (kernel, loops[kernel.name]) for kernel in kernels}


def _kernel(layer, launch, compiled):
    kernel, loop = compiled(launch.text, launch.options)[launch.name]
    flops = flops_of(launch.name, layer)
    return {
        "name": launch.name,
        "macros": [option[2:] for option in launch.options if option.startswith("-D")],
        "blocks": launch.blocks,
        "threads": launch.threads,
        "registers": kernel.registers,
        "spilled_bytes": kernel.spilled,
        "shared_bytes": kernel.shared_bytes + launch.dynamic_shared_bytes,
        "argument_bytes": launch.argument_bytes,
        "flops": flops,
        "inner_loop": loop,
        "estimated_seconds": estimate(flops, loop, launch.argument_bytes),
    }


def report_machine_code(result):
    for layer in result["layers"]:
        _report(layer["layer"], layer["kernels"])
        for what, kernels in layer["others"].items():
            _report(f"{layer['layer']}: {what}", kernels)


def _report(title, kernels):
    rows = []
    for kernel in kernels:
        loop = kernel["inner_loop"]
        row = {title: kernel["name"], "registers": kernel["registers"]}
        row |= {"spilled": kernel["spilled_bytes"], "shared": kernel["shared_bytes"]}
        row |= {"MFLOP": f"{kernel['flops'] / 1e6:.4g}"}
        row |= {"loop": loop["all"], "FFMA": loop["FFMA"], "HMMA": loop["HMMA"]}
        for of, short in (("shared", "LDS"), ("global", "LDG")):
            row[f"{short} wide + less"] = f"{loop[f'{of}, 16 bytes']} + {loop[f'{of}, less']}"
        row |= {"estimate, µs": f"{1e6 * kernel['estimated_seconds']:.3g}"}
        rows.append(row)
    print_rows(rows)
    total = sum(kernel["estimated_seconds"] for kernel in kernels)
    print(f"all: {1e6 * total:.0f} µs, estimated for an H100\n")
