"""What a device does at most, on random data: products of the vendor's library, and a copy."""

from bench.machines import random_matrices
from bench.peer import tf32
from bench.timing import medians, take_turns
from common.records import print_rows


def measure_peaks(bench, machine):
    """FLOPs a second of products of float32, TF32 and float16, bytes a second of a copy.

    By PyTorch's cuBLAS; without PyTorch of float32 alone.
    """
    ceilings = machine.ceilings(bench.tiny)
    amounts = {name: amount for name, (_, amount) in ceilings.items()}
    calls = {name: call for name, (call, _) in ceilings.items()}
    seconds = take_turns(machine, calls, bench.repetitions)
    if "product" in seconds:
        seconds["product, float32"] = seconds.pop("product")
        amounts["product, float32"] = amounts.pop("product")
    if bench.torch is not None and machine.is_device:
        flops = amounts["product, float32"]
        for name, call in _products(bench, machine).items():
            with tf32(bench.torch, name == "product, TF32"):
                seconds |= take_turns(machine, {name: call}, bench.repetitions)
            amounts[name] = flops
    middle = medians(seconds)
    rates = {name: amounts[name] / spent for name, spent in middle.items()}
    return {"seconds": seconds, "median_seconds": middle, "rates": rates}


def _products(bench, machine):
    side = 128 if bench.tiny else machine.product_side
    a, b = (bench.torch.from_numpy(m).to(bench.torch_device) for m in random_matrices(*[side] * 3))
    half_a, half_b = a.half(), b.half()
    return {"product, TF32": lambda: a @ b, "product, float16": lambda: half_a @ half_b}


def report_peaks(result):
    rows = []
    for name, rate in result["rates"].items():
        unit = "TB/s" if name == "copy" else "TFLOP/s"
        rows.append({"at most, on random data": name, "rate": f"{rate / 1e12:.3g} {unit}"})
    print_rows(rows)
