"""Augmentations of features (N × D). A draw depends only on seed, step, stream, row and column: it
is the same on every run, for any number of threads, and in the backward pass.

`seed` (one per run) and `stream` (separates the draws of one step) are Python integers. `step` is
an integer or an array of one, which may change without recompilation. interpolate uses two streams.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from ._axes import same_axes
from ._call import as_words, call, check_features, flag, number, whole

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
    option = flag("mask", "rescale", rescale)
    keep = number("mask", "keep_probability", keep_probability)
    return _augment("mask", x, seed, step, stream, option, keep)


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
    option = flag("gaussian_noise", "relative", relative)
    size = number("gaussian_noise", "scale", scale)
    return _augment("gaussian_noise", x, seed, step, stream, option, size)


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
    numbers = [number("interpolate", "weight", weight) for weight in (first, second)]
    return _augment("interpolate", x, seed, step, stream, distribution, *numbers)


def _augment(
    operator: str,
    x: ArrayLike,
    seed: int,
    step: ArrayLike,
    stream: int,
    option: int,
    first: np.float64,
    second: np.float64 = np.float64(0),
) -> Array:
    features = jnp.asarray(x)
    check_features(operator, x=features)
    if isinstance(step, np.ndarray) and step.ndim == 0:
        step = step[()]
    if isinstance(step, (int, np.integer)):  # JAX's arrays may be traced: the handler checks them
        step = jnp.uint32(_unsigned(operator, "step", step, 32))
    counter = jnp.asarray(step)
    if counter.ndim != 0 or not jnp.issubdtype(counter.dtype, jnp.integer):
        raise TypeError(
            f"{operator}: step: got {counter.dtype} of shape {counter.shape}, wanted an integer"
        )
    attributes = (
        ("kind", operator),
        ("option", np.int64(option)),
        ("first", first),
        ("second", second),
        # The bits of the seed as a signed integer, since attributes are signed.
        ("seed", np.uint64(_unsigned(operator, "seed", seed, 64)).astype(np.int64)),
        ("stream", np.int64(_unsigned(operator, "stream", stream, 16))),
    )
    words = as_words(counter)
    return _augmented(operator, attributes, *same_axes([features, words]))


def _unsigned(operator: str, argument: str, value: int, bits: int) -> int:
    return whole(operator, argument, value, 0, 2**bits - 1, f"0 to 2^{bits} - 1")


def _run(handler: str, attributes: _Attributes, x: Array, step: Array) -> Array:
    (out,) = call(handler, [jax.ShapeDtypeStruct(x.shape, x.dtype)], x, step, **dict(attributes))
    return out


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _augmented(operator: str, attributes: _Attributes, x: Array, step: Array) -> Array:
    return _run("augment", attributes, x, step)


def _forward(operator: str, attributes: _Attributes, x: Array, step: Array):
    return _run("augment", attributes, x, step), step


# The handlers of the backward pass; they repeat the draws. A mask applies to the gradient as to x;
# additive noise leaves the gradient unchanged.
_BACKWARD = {"mask": "augment", "interpolate": "augment_backward", "gaussian_noise": None}


def _backward(operator: str, attributes: _Attributes, step: Array, by_out: Array):
    backward = _BACKWARD[operator]
    by_x = by_out if backward is None else _run(backward, attributes, by_out, step)
    return by_x, None


_augmented.defvjp(_forward, _backward)
