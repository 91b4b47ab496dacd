"""What a report of a fault needs: versions, threads, vectors, and what runs here."""

#: Distributions that are named where they are installed.
CORE = ("numpy", "numba", "llvmlite", "scipy", "tqdm")
OTHERS = (
    *("numba-cuda", "cupy", "cupy-cuda12x", "cupy-cuda13x"),
    *("matplotlib", "scikit-learn", "pandas", "torch"),
)


def show_versions() -> None:
    """Print what a report of a fault should hold.

    Versions of Python, minisca and other packages; the system; how many threads are used, whose
    they are, and how wide vectors are; each backend, and why it does not run here if it does not.
    Backends that are installed are loaded, which takes seconds.
    """
    for name, value in described().items():
        print(f"{name:>12}: {value}")


def described():
    """{what: text} of all that `show_versions` prints."""
    import platform

    import numba

    import minisca
    from minisca.backends import CHOICES, cpu_runtime

    runtime = cpu_runtime()
    found = {"python": platform.python_version(), "minisca": minisca.__version__}
    versions = {name: _version(name) for name in (*CORE, *OTHERS)}
    found |= {name: version for name, version in versions.items() if name in CORE or version}
    found["system"] = platform.platform()
    found["processor"] = runtime.machine_code.machine()[0]
    found["vectors"] = f"{runtime.machine_code.VECTOR_BYTES} bytes"
    n = runtime.thread_count()
    found["threads"] = f"{n}, of {numba.threading_layer()}" if n > 1 else "1"
    return found | {name: _state_of(name) for name in CHOICES if name != "auto"}


def _version(name):
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _state_of(backend):
    from minisca.backends import get_backend

    try:
        get_backend(backend)
    except (ImportError, RuntimeError) as error:
        return f"does not run here: {error}"
    return "runs here"
