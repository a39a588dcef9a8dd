"""Runs a handler as a custom call; checks and conversions of arguments."""

import operator as operators
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

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


def number(operator: str, argument: str, value: float) -> np.float64:
    """A number that must be known when XLA compiles."""
    try:
        if isinstance(value, str):
            raise TypeError
        return np.float64(float(value))
    except (TypeError, ValueError, OverflowError, jax.errors.JAXTypeError):
        raise TypeError(
            f"{operator}: {argument}: got {value!r}, wanted a number that is known when XLA compiles"
        ) from None


def whole(
    operator: str,
    argument: str,
    value: int,
    least: int = -(2**63),
    most: int = 2**63 - 1,
    wanted: str = "-2^63 to 2^63 - 1",
) -> int:
    """A whole number that must be known when XLA compiles."""
    try:
        known = operators.index(value)
    except TypeError:
        raise TypeError(
            f"{operator}: {argument}: got {type(value).__name__}, wanted a Python integer"
        ) from None
    if not least <= known <= most:
        raise ValueError(f"{operator}: {argument}: got {known}, wanted {wanted}")
    return known


def flag(operator: str, argument: str, value: bool) -> bool:
    """True or False, known when XLA compiles."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{operator}: {argument}: got {value!r}, wanted True or False")
    return bool(value)


def _as_array(value: Any) -> Array | None:
    """What JAX makes of a value; None if nothing. (JAX 0.5 reads None as NaN.)"""
    try:
        return None if value is None else jnp.asarray(value)
    except (TypeError, ValueError, OverflowError):
        return None


def an_array(operator: str, argument: str, value: ArrayLike) -> Array:
    """An array, or what JAX makes one of."""
    array = _as_array(value)
    if array is None:
        raise TypeError(f"{operator}: {argument}: got {type(value).__name__}, wanted an array")
    return array


def one_number(operator: str, argument: str, value: ArrayLike, dtype: jnp.dtype) -> Array:
    """A number or an array of one, which may be traced."""
    array = _as_array(value)
    if array is None or not jnp.isdtype(array.dtype, ("real floating", "integral")):
        raise TypeError(f"{operator}: {argument}: got {value!r}, wanted a number or an array of one")
    if array.size != 1:
        raise ValueError(f"{operator}: {argument}: got {array.size} elements, wanted 1")
    return array.astype(dtype)


def whole_numbers(operator: str, argument: str, values: ArrayLike) -> Array:
    """An array of integers of any type, as the handlers read it: as 64-bit integers."""
    array = values if isinstance(values, Array) else np.asarray(values)
    if array.ndim != 1 or not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(
            f"{operator}: {argument}: got {array.dtype} of shape {array.shape}, "
            "wanted integers, one a row"
        )
    if isinstance(array, np.ndarray):
        # All 64 bits, also where JAX has no such integers.
        words = np.ascontiguousarray(array.astype(np.int64)).view(np.int32)
        return jnp.asarray(words.reshape(len(array), 2))
    if array.dtype.itemsize == 8:
        return array.astype(jnp.int64)
    is_signed = jnp.issubdtype(array.dtype, jnp.signedinteger)
    return as_pairs(array.astype(jnp.int32 if is_signed else jnp.uint32))
