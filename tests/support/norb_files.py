"""Small sets of stereo pairs in small NORB's exact files, written by nothing of minisca's.

Five convex solids stand where NORB has toys: lit from six directions, turned, tilted, and drawn as
seen by two cameras.
"""

import hashlib
import struct

import numpy as np

from tests.support.mnist_files import write

HALVES = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing",
}
NAMES = {
    f"{half}_{kind}": f"{stem}-{kind}.mat"
    for half, stem in HALVES.items()
    for kind in ("dat", "cat", "info")
}
INSTANCES = {"train": (4, 6, 7, 8, 9), "test": (0, 1, 2, 3, 5)}
MAGIC = {"float32": 0x51, "float64": 0x53, "int32": 0x54, "uint8": 0x55, "int16": 0x56}

AXES = np.vstack([np.eye(3), -np.eye(3)])
CORNERS = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T / np.sqrt(3)
GOLDEN = np.pi * (3 - np.sqrt(5)) * np.arange(60)
HEIGHTS = np.linspace(-0.98, 0.98, 60)
RINGS = np.sqrt(1 - HEIGHTS**2)
#: Outward normals of the faces, and the solid's half-widths along its own axes.
SOLIDS = [
    (AXES, (1, 1, 1)),  # cube
    (CORNERS, (1.5, 1.5, 1.5)),  # octahedron
    (np.stack([RINGS * np.cos(GOLDEN), RINGS * np.sin(GOLDEN), HEIGHTS], 1), (1.2, 1.2, 1.2)),
    (AXES, (1.9, 0.4, 0.4)),  # bar
    (CORNERS[CORNERS.prod(axis=1) > 0], (0.8, 0.8, 0.8)),  # tetrahedron
]


def render(category, instance, elevation, azimuth, lighting, camera, size=96):
    """One view, (size, size) uint8: a solid on a light ground, by casting a ray a pixel."""
    normals, widths = SOLIDS[category]
    normals = normals / (np.array(widths) * (0.9 + 0.02 * instance))  # the face: normal . p = 1
    turn = np.deg2rad(10 * azimuth + 4 * camera + 7 * instance)
    tilt = np.deg2rad(30 + 5 * elevation)
    around = [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    over = [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    normals = (normals @ (np.array(over) @ np.array(around)).T).astype(np.float32)
    places = np.linspace(-3, 3, size, dtype=np.float32)
    across, down = np.meshgrid(places, places)
    gap = 1 - across[..., None] * normals[:, 0] + down[..., None] * normals[:, 1]
    along = np.where(np.abs(normals[:, 2]) < 1e-9, np.float32(1e-9), normals[:, 2])
    depth = gap / along
    front = np.where(along > 0, depth, np.float32(np.inf))  # rays come from z = +inf
    enters = front.min(axis=-1)
    leaves = np.where(along < 0, depth, np.float32(-np.inf)).max(axis=-1)
    facing = normals[front.argmin(axis=-1)]
    facing = facing / np.linalg.norm(facing, axis=-1, keepdims=True)
    angle = np.deg2rad(60 * lighting)
    light = np.float32([np.cos(angle), np.sin(angle), 1.2]) / np.float32(np.hypot(1, 1.2))
    shade = 30 + 150 * np.clip(facing @ light, 0, 1)
    return np.where(enters > leaves, shade, 200).astype(np.uint8)


def draw(half, n, size=96, seed=0):
    """n pairs (n, 2, size, size) uint8, their labels (n,) and infos (n, 4) int32."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n, dtype=np.int32) % 5
    info = np.empty((n, 4), np.int32)
    info[:, 0] = np.array(INSTANCES[half])[np.arange(n) // 5 % 5]
    info[:, 1] = rng.integers(0, 9, n)
    info[:, 2] = 2 * rng.integers(0, 18, n)
    info[:, 3] = rng.integers(0, 6, n)
    pairs = [
        [render(label, *numbers, camera, size) for camera in (0, 1)]
        for label, numbers in zip(labels, info.tolist(), strict=True)
    ]
    return np.array(pairs), labels, info


def header(dtype, shape):
    """What a matrix file starts with: at least three sides, whatever the rank."""
    sides = [*shape, *[1] * (3 - len(shape))]
    magic = bytes([MAGIC[np.dtype(dtype).name], 0x4C, 0x3D, 0x1E])
    return magic + struct.pack(f"<i{len(sides)}i", len(shape), *sides)


def contents(array):
    """The bytes of a matrix file."""
    return header(array.dtype, array.shape) + array.astype(array.dtype.newbyteorder("<")).tobytes()


def put(directory, halves, ending=""):
    """Write {half: (pairs, labels, infos)}; returns the directory."""
    arrays = {
        f"{half}_{kind}": array
        for half, found in halves.items()
        for kind, array in zip(("dat", "cat", "info"), found, strict=True)
    }
    files = {f"{NAMES[role]}{ending}": contents(array) for role, array in arrays.items()}
    return write(directory, files)


def put_solids(directory, n_train, n_test, ending=""):
    """Write a whole data set; returns the directory."""
    halves = {"train": draw("train", n_train, seed=0), "test": draw("test", n_test, seed=1)}
    return put(directory, halves, ending)


def noise(n=7, size=4, seed=0):
    """{half: (pairs, labels, infos)} of random bytes."""
    rng = np.random.default_rng(seed)
    return {
        half: (
            rng.integers(0, 256, (n, 2, size, size + 1), dtype=np.uint8),
            rng.integers(0, 5, n, dtype=np.int32),
            rng.integers(0, [10, 9, 35, 6], (n, 4), dtype=np.int32),
        )
        for half in HALVES
    }


def checksums(directory):
    """{role: SHA-256 of its gzipped file}."""
    files = {role: (directory / f"{name}.gz").read_bytes() for role, name in NAMES.items()}
    return {role: hashlib.sha256(body).hexdigest() for role, body in files.items()}
