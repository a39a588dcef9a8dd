"""Augmentations of features (N × D). A draw depends only on seed, step, stream, row and column: it
is the same on every run, for any number of threads, and in the backward pass.

`seed` (one per run) and `stream` (separates the draws of one step) are Python integers. `step` is
an integer or an array of one, which may change without recompilation. interpolate uses two streams.
"""

import operator as operators
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ._axes import same_axes
from ._call import as_words, call, check_features

_Attributes = tuple[tuple[str, Any], ...]


class Uniform(NamedTuple):
    """A weight per row, uniform in [low, high)."""

    low: float
    high: float


class Beta(NamedTuple):
    """A weight per row from the Beta distribution."""

    alpha: float
    beta: float


def mask(
    x: ArrayLike,
    *,
    seed: int,
    step: ArrayLike,
    stream: int = 0,
    keep_probability: float = 0.8,
    rescale: bool = False,
) -> Array:
    """Keeps each feature with this probability, independently, and sets the others to zero.

    rescale: multiplies the row by D / (number of kept features), to preserve its expected size.
    """
    attributes = (
        ("keep_probability", _number("mask", "keep_probability", keep_probability)),
        ("rescale", bool(rescale)),
    )
    return _augment("mask", x, seed, step, stream, attributes)


def gaussian_noise(
    x: ArrayLike,
    *,
    seed: int,
    step: ArrayLike,
    stream: int = 0,
    scale: float = 0.05,
    relative: bool = False,
) -> Array:
    """x + scale · ε, ε standard normal. relative: scale · ‖row‖ · ε. The gradient passes
    unchanged: it treats ‖row‖ as a constant.
    """
    attributes = (
        ("scale", _number("gaussian_noise", "scale", scale)),
        ("relative", bool(relative)),
    )
    return _augment("gaussian_noise", x, seed, step, stream, attributes)


def interpolate(
    x: ArrayLike,
    *,
    seed: int,
    step: ArrayLike,
    stream: int = 0,
    weight: float | Uniform | Beta = 0.5,
) -> Array:
    """w·x + (1 − w)·partner: the partners are the rows of x in a random permutation.

    The weight is one number, or drawn for every row. The gradient flows to both rows.
    """
    if isinstance(weight, Uniform):
        distribution, first, second = 1, weight.low, weight.high
    elif isinstance(weight, Beta):
        distribution, first, second = 2, weight.alpha, weight.beta
    else:
        distribution, first, second = 0, weight, weight
    attributes = (
        ("distribution", np.int32(distribution)),
        ("first", _number("interpolate", "weight", first)),
        ("second", _number("interpolate", "weight", second)),
    )
    return _augment("interpolate", x, seed, step, stream, attributes)


def _augment(
    operator: str, x: ArrayLike, seed: int, step: ArrayLike, stream: int, attributes: _Attributes
) -> Array:
    features = jnp.asarray(x)
    check_features(operator, x=features)
    if isinstance(step, np.ndarray) and step.ndim == 0:
        step = step[()]
    if isinstance(step, (int, np.integer)):  # JAX's arrays may be traced: the handler checks them
        step = jnp.uint32(_static(operator, "step", step, 32))
    counter = jnp.asarray(step)
    if counter.ndim != 0 or not jnp.issubdtype(counter.dtype, jnp.integer):
        raise TypeError(
            f"{operator}: step: got {counter.dtype} of shape {counter.shape}, wanted an integer"
        )
    draws = (
        # The bits of the seed as a signed integer, since attributes are signed.
        ("seed", np.uint64(_static(operator, "seed", seed, 64)).astype(np.int64)),
        ("stream", np.uint16(_static(operator, "stream", stream, 16))),
    )
    words = as_words(counter)
    return _augmented(operator, (*draws, *attributes), *same_axes([features, words]))


def _number(operator: str, argument: str, value: float) -> np.float32:
    """Checks a number that must be known when XLA compiles."""
    try:
        if isinstance(value, str):
            raise TypeError
        return np.float32(float(value))
    except (TypeError, ValueError, OverflowError, jax.errors.JAXTypeError):
        raise TypeError(
            f"{operator}: {argument}: got {value!r}, wanted a number that is known when XLA compiles"
        ) from None


def _static(operator: str, argument: str, number: int, bits: int) -> int:
    """Checks a number that must be known when XLA compiles."""
    try:
        known = operators.index(number)
    except TypeError:
        raise TypeError(
            f"{operator}: {argument}: got {type(number).__name__}, wanted a Python integer"
        ) from None
    if not 0 <= known < 2**bits:
        raise ValueError(f"{operator}: {argument}: got {known}, wanted 0 to 2^{bits} - 1")
    return known


def _run(operator: str, attributes: _Attributes, x: Array, step: Array) -> Array:
    (out,) = call(operator, [jax.ShapeDtypeStruct(x.shape, x.dtype)], x, step, **dict(attributes))
    return out


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _augmented(operator: str, attributes: _Attributes, x: Array, step: Array) -> Array:
    return _run(operator, attributes, x, step)


def _forward(operator: str, attributes: _Attributes, x: Array, step: Array):
    return _run(operator, attributes, x, step), step


# The handlers of the backward pass; they repeat the draws. A mask applies to the gradient as to x;
# additive noise leaves the gradient unchanged.
_BACKWARD = {"mask": "mask", "interpolate": "interpolate_backward", "gaussian_noise": None}


def _backward(operator: str, attributes: _Attributes, step: Array, by_out: Array):
    backward = _BACKWARD[operator]
    by_x = by_out if backward is None else _run(backward, attributes, by_out, step)
    return by_x, None


_augmented.defvjp(_forward, _backward)
