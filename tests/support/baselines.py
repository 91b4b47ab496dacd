"""Small baselines, and images that they learn from quickly."""

import numpy as np

from minisca.baselines import KSparseAutoencoder, SupervisedConvNet, TriangleKMeans

QUICK = {"random_state": 0, "verbose": False}


def network(**parameters):
    """A small network; whatever is not given is small, quick and seeded."""
    small = {"n_maps": 3, "filter_width": 3, "pool_width": 3, "pool_stride": 2}
    small |= {"n_epochs": 3, "batch_size": 7, "backend": "cpu"}
    return SupervisedConvNet(**small | QUICK | parameters)


def autoencoder(**parameters):
    """A small k-sparse autoencoder; whatever is not given is small, quick and seeded."""
    small = {"n_units": 12, "n_active": 3, "n_active_start": None, "n_epochs": 3}
    small |= {"batch_size": 10, "learning_rate": 0.1, "init_scale": 0.1, "backend": "cpu"}
    return KSparseAutoencoder(**small | QUICK | parameters)


def triangle(**parameters):
    """A small triangle k-means; whatever is not given is small, quick and seeded."""
    small = {"n_maps": 5, "patch_width": 3, "n_patches": 200, "n_iterations": 5}
    return TriangleKMeans(**small | {"standardise": False} | QUICK | parameters)


def set_learned(made, names, values):
    """Replace what a baseline has learned under these names."""
    for name, value in zip(names, values, strict=True):
        setattr(made, f"{name}_", value)


def bars(n=30, dtype=np.float32, seed=0):
    """Noise with a bright bar, upright or lying: X (n, 1, 8, 7) and y of two words."""
    rng = np.random.default_rng(seed)
    X = 0.2 * rng.random((n, 1, 8, 7)).astype(dtype)
    X[::2, :, :, 3] += 1
    X[1::2, :, 4] += 1
    return X, np.where(np.arange(n) % 2, "lying", "upright")


def patches(n=60, seed=0, dtype=np.float32):
    """Sums of two of six fixed patterns, in changing strengths: (n, 2, 4, 3)."""
    patterns = np.random.default_rng(9).standard_normal((6, 2, 4, 3))
    rng = np.random.default_rng(seed)
    x = np.zeros((n, 2, 4, 3), dtype)
    for patch in x:
        for pattern in patterns[rng.choice(6, 2, replace=False)]:
            patch += rng.uniform(0.5, 1.5) * pattern
    return x


def pictures(n=12, channels=2, height=8, width=7, seed=0):
    """Noise in [0, 1]."""
    return np.random.default_rng(seed).random((n, channels, height, width)).astype(np.float32)
