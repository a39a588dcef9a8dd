"""Runs a handler as a custom call; helpers for types and shapes."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from ._axes import results_like

_COMPUTED_IN = {
    jnp.dtype(jnp.float16): jnp.dtype(jnp.float32),
    jnp.dtype(jnp.bfloat16): jnp.dtype(jnp.float32),
    jnp.dtype(jnp.float32): jnp.dtype(jnp.float32),
    jnp.dtype(jnp.float64): jnp.dtype(jnp.float64),
}


def call(
    operator: str,
    results: Sequence[jax.ShapeDtypeStruct],
    *operands: Array,
    aliases: dict[int, int] | None = None,
    **attributes: Any,
) -> Sequence[Array]:
    """Runs a handler. Under vmap there is one call per element of the axis, sequentially. Under
    shard_map the operands vary along the same axes (same_axes), and so do the results.
    """
    handler = jax.ffi.ffi_call(
        f"feaug_{operator}",
        results_like(operands, results),
        vmap_method="sequential",
        input_output_aliases=aliases,
    )
    return handler(*operands, **attributes)


def check_features(operator: str, **matrices: Array) -> None:
    """Checks what the shapes and types of results depend on; feaug checks the rest."""
    first, *_ = matrices
    wanted = matrices[first].dtype
    if wanted not in _COMPUTED_IN:
        raise TypeError(
            f"{operator}: {first}: got {wanted}, wanted float16, bfloat16, float32 or float64"
        )
    for name, matrix in matrices.items():
        if matrix.dtype != wanted:
            raise TypeError(f"{operator}: {name}: got {matrix.dtype}, wanted {wanted} as {first}")
        if matrix.ndim != 2:
            raise ValueError(
                f"{operator}: {name}: got shape {matrix.shape}, wanted 2 axes: rows, features"
            )


def computed_in(features: Array) -> jnp.dtype:
    """The type of losses and temperatures for these features."""
    return _COMPUTED_IN[features.dtype]


def as_pairs(numbers: Array) -> Array:
    """32-bit integers as 64-bit integers of two words: by default JAX has no 64-bit integers."""
    # The upper word is 0 for unsigned numbers, otherwise the sign.
    upper = numbers >> 31 if numbers.dtype == jnp.int32 else jnp.zeros_like(numbers)
    return jnp.stack([numbers, upper], axis=-1)


def as_words(number: Array) -> Array:
    """An integer of any type as a 64-bit integer of two unsigned words."""
    if number.dtype.itemsize == 8:
        return jnp.stack([number & 0xFFFFFFFF, number >> 32]).astype(jnp.uint32)
    is_signed = jnp.issubdtype(number.dtype, jnp.signedinteger)
    words = as_pairs(number.astype(jnp.int32 if is_signed else jnp.uint32))
    return jax.lax.bitcast_convert_type(words, jnp.uint32)


def from_pairs(words: Array) -> Array:
    """The lower words, which suffice: slots, cursors and sizes are below 2³¹."""
    return words[..., 0]
