"""Loads the compiled handlers and registers them with XLA."""

import ctypes
import os
import sys
from pathlib import Path

import jax

_HANDLERS = (
    "info_nce",
    "nt_xent",
    "negative_cosine",
    "nearest",
    "enqueue",
    "mask",
    "gaussian_noise",
    "interpolate",
    "interpolate_backward",
)

_XLA_PLATFORMS = {"cpu": "cpu", "cuda": "CUDA"}


def _compiled(platform: str) -> Path | None:
    # An editable installation (pip install -e) has the library in another folder than the modules.
    for folder in sys.modules[__package__].__path__:
        library = Path(folder, f"libfeaug_jax_{platform}.so")
        if library.exists():
            return library
    return None


def _load(platform: str) -> ctypes.CDLL:
    path = _compiled(platform)
    if path is None:
        raise ImportError(
            "feaug_jax: the compiled handlers are missing: install the package (pip install, or "
            "pip install -e, of the folder that has its pyproject.toml) instead of importing its sources"
        )
    library = ctypes.CDLL(str(path))
    for name in _HANDLERS:
        handler = getattr(library, f"feaug_{name}")
        jax.ffi.register_ffi_target(
            f"feaug_{name}", jax.ffi.pycapsule(handler), platform=_XLA_PLATFORMS[platform]
        )
    return library


_cpu = _load("cpu")

#: JAX platforms of the operators: "cpu", and "cuda" if it was compiled.
platforms: tuple[str, ...] = ("cpu",)
if _compiled("cuda") is not None:
    _load("cuda")
    platforms += ("cuda",)


def set_threads(count: int) -> None:
    """Sets the number of threads of a call on the CPU; 0: as many as the machine has.

    Initially the environment variable FEAUG_JAX_THREADS, else 0. Results do not depend on it.
    """
    if not 0 <= count < 2**31:
        raise ValueError(f"set_threads: count: got {count}, wanted a number from 0 to 2^31 - 1")
    _cpu.feaug_jax_set_threads(ctypes.c_int(count))


set_threads(int(os.environ.get("FEAUG_JAX_THREADS", "0")))
