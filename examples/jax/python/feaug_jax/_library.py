"""Loads the compiled handlers and registers them with XLA."""

import ctypes
import os
import sys
from pathlib import Path

import jax

from ._loss_table import losses_of

_XLA_PLATFORMS = {"cpu": "cpu", "cuda": "CUDA"}


def _compiled(platform: str) -> Path | None:
    # An editable installation (pip install -e) has the library in another folder than the modules.
    for folder in sys.modules[__package__].__path__:
        library = Path(folder, f"libfeaug_jax_{platform}.so")
        if library.exists():
            return library
    return None


def _load(platform: str) -> ctypes.CDLL:
    """Loads the library of a platform."""
    path = _compiled(platform)
    if path is None:
        raise ImportError(
            "feaug_jax: the compiled handlers are missing: install the package (pip install, or "
            "pip install -e, of the folder that has its pyproject.toml) instead of importing its sources"
        )
    return ctypes.CDLL(str(path))


def _text(function: str) -> str:
    read = getattr(_cpu, f"feaug_jax_{function}")
    read.restype = ctypes.c_char_p
    return read().decode()


def _register(library: ctypes.CDLL, platform: str) -> None:
    """Registers the handlers. All losses have one, under their own names."""
    handlers = {name: name for name in ("augment", "augment_backward", "enqueue", "nearest")}
    handlers |= {loss.name: "loss" for loss in losses}
    for name, handler in handlers.items():
        jax.ffi.register_ffi_target(
            f"feaug_{name}",
            jax.ffi.pycapsule(getattr(library, f"feaug_{handler}")),
            platform=_XLA_PLATFORMS[platform],
        )


_cpu = _load("cpu")

#: The version of feaug that the handlers were compiled from.
__version__: str = _text("version")

#: The instruction set that the handlers for CPUs use: "portable", "AVX2", "AVX-512", "AVX-512 with
#: bfloat16" or "AMX".
instructions: str = _text("instructions")

#: The rows of the losses.
losses = losses_of(_text("loss_table"))

_register(_cpu, "cpu")

#: JAX platforms of the operators: "cpu", and "cuda" if it was compiled.
platforms: tuple[str, ...] = ("cpu",)
if _compiled("cuda") is not None:
    _register(_load("cuda"), "cuda")
    platforms += ("cuda",)


def set_threads(count: int) -> None:
    """Sets the number of threads of a call on the CPU; 0: as many as the machine has.

    Initially the environment variable FEAUG_JAX_THREADS, else 0. Results do not depend on it.
    """
    if not 0 <= count < 2**31:
        raise ValueError(f"set_threads: count: got {count}, wanted a number from 0 to 2^31 - 1")
    _cpu.feaug_jax_set_threads(ctypes.c_int(count))


set_threads(int(os.environ.get("FEAUG_JAX_THREADS", "0")))
