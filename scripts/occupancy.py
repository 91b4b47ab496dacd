"""How many warps of a kernel a multiprocessor of compute capability 9.0 holds at once.

Limits from the technical specifications in NVIDIA's CUDA C++ Programming Guide.
"""

SHARED_OF_BLOCK, SHARED_OF_PROCESSOR, SHARED_RESERVED = 227 << 10, 228 << 10, 1 << 10
REGISTERS_OF_PROCESSOR, REGISTERS_AT_ONCE, PARTITIONS = 65536, 256, 4
WARPS_OF_PROCESSOR, BLOCKS_OF_PROCESSOR, WARP = 64, 32, 32


def occupancy(launch, kernel):
    """Warps of a multiprocessor that the launch can fill, as a share, and what limits them."""
    warps = -(-launch.threads // WARP)
    of_warp = -(-kernel.registers * WARP // REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE
    shared = kernel.shared_bytes + launch.shared_bytes + SHARED_RESERVED
    limits = {
        "registers": REGISTERS_OF_PROCESSOR // PARTITIONS // of_warp * PARTITIONS // warps,
        "shared memory": SHARED_OF_PROCESSOR // (-(-shared // 128) * 128),
        "warps": WARPS_OF_PROCESSOR // warps,
        "blocks": BLOCKS_OF_PROCESSOR,
    }
    limit = min(limits, key=limits.get)
    return limits[limit] * warps / WARPS_OF_PROCESSOR, limit
