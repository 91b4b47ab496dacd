"""What PyTorch has no operation for, in Triton: every winner's filter times the patch below it."""

import triton
import triton.language as tl

BLOCK = 1024


@triton.jit
def _products(patches, positions, filters, out, places, n_maps, length, block: tl.constexpr):
    pair = tl.program_id(0)
    place = tl.load(positions + pair) + pair // n_maps * places
    patch, row = patches + place * length, filters + pair % n_maps * length
    total = tl.zeros((block,), tl.float32)
    for start in range(0, length, block):
        at = start + tl.arange(0, block)
        inside = at < length
        total += tl.load(patch + at, inside, 0.0) * tl.load(row + at, inside, 0.0)
    tl.store(out + pair, tl.sum(total, 0))


def products(patches, positions, rows):
    """(n, m), of patches (n, h w, length), positions (n, m) int64 and rows (m, length)."""
    found = rows.new_empty(positions.shape)
    places, length = patches.shape[1:]
    block = min(BLOCK, triton.next_power_of_2(length))
    sizes = places, positions.shape[1], length
    _products[(positions.numel(),)](patches, positions, rows, found, *sizes, block=block)
    return found
