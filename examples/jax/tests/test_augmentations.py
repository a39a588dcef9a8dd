"""Draws and gradients of mask, gaussian_noise and interpolate."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feaug_jax import Beta, Uniform, gaussian_noise, interpolate, mask, set_threads

AUGMENTATIONS = [
    pytest.param(mask, id="mask"),
    pytest.param(partial(mask, rescale=True), id="mask, rescaled"),
    pytest.param(gaussian_noise, id="gaussian_noise"),
    pytest.param(partial(interpolate, weight=0.7), id="interpolate"),
    pytest.param(partial(interpolate, weight=Uniform(0.5, 1)), id="interpolate, uniform"),
    pytest.param(partial(interpolate, weight=Beta(2, 2)), id="interpolate, beta"),
]
DTYPES = [jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16]


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_draws_are_a_function_of_seed_step_and_stream(rows, augment):
    x = rows(20, 30)
    once = augment(x, seed=1, step=2)
    np.testing.assert_array_equal(once, jax.jit(partial(augment, seed=1))(x, step=jnp.int32(2)))
    np.testing.assert_array_equal(once, augment(x, seed=1, step=jnp.uint32(2), stream=0))
    for other in ({"seed": 2, "step": 2}, {"seed": 1, "step": 3}):
        assert np.any(once != augment(x, **other))
    assert np.any(once != augment(x, seed=1, step=2, stream=2))
    assert np.any(once != augment(x, seed=2**64 - 1, step=2**32 - 1, stream=2**16 - 2))


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_draws_do_not_depend_on_threads(rows, augment):
    x = rows(3000, 40, jnp.float32)
    try:
        several = []
        for threads in (1, 2, 3):
            set_threads(threads)
            several.append(np.asarray(augment(x, seed=1, step=2)))
    finally:
        set_threads(0)
    for other in several[1:]:
        np.testing.assert_array_equal(several[0], other)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_gradient_is_the_transpose(rows, augment, dtype):
    """Each is linear in x plus a constant: unit vectors give its matrix, column by column."""
    n, d = 5, 4
    x, g = rows(n, d, dtype), rows(n, d, dtype)
    draw = partial(augment, seed=3, step=1)
    out, backward = jax.vjp(draw, x)
    assert out.dtype == dtype and out.shape == x.shape
    ones = jnp.eye(n * d, dtype=dtype).reshape(n * d, n, d)
    constant = np.asarray(draw(jnp.zeros_like(x)), np.float64)
    columns = np.asarray(jnp.stack([draw(one) for one in ones]), np.float64) - constant
    wanted = np.einsum("inj,nj->i", columns, np.asarray(g, np.float64)).reshape(n, d)
    tolerance = 4 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(
        np.asarray(backward(g)[0], np.float64), wanted, rtol=tolerance, atol=4 * tolerance
    )


def test_a_mask_keeps_or_clears(rows):
    x = rows(400, 50)
    out = np.asarray(mask(x, seed=5, step=0, keep_probability=0.7))
    kept = out != 0
    np.testing.assert_array_equal(out[kept], np.asarray(x)[kept])
    assert abs(kept.mean() - 0.7) < 0.01
    rescaled = np.asarray(mask(x, seed=5, step=0, keep_probability=0.7, rescale=True))
    np.testing.assert_allclose(rescaled, out * (50 / kept.sum(axis=1, keepdims=True)), rtol=1e-14)


def test_noise_is_normal(rows):
    x = rows(400, 50)
    epsilon = (gaussian_noise(x, seed=5, step=0, scale=0.5) - x) / 0.5
    assert abs(epsilon.mean()) < 0.03 and abs(epsilon.std() - 1) < 0.03
    relative = gaussian_noise(x, seed=5, step=0, scale=0.5, relative=True) - x
    norms = jnp.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(relative, 0.5 * norms * epsilon, rtol=1e-6, atol=1e-6)


def test_interpolation_mixes_with_a_permutation(rows):
    x = rows(60, 8)
    partners = (interpolate(x, seed=5, step=0, weight=0.25) - 0.25 * x) / 0.75
    distances = np.linalg.norm(np.asarray(partners)[:, None] - np.asarray(x)[None], axis=2)
    permutation = distances.argmin(axis=1)
    assert distances.min(axis=1).max() < 1e-12
    assert sorted(permutation) == list(range(60))
    assert np.any(permutation != np.arange(60))


@pytest.mark.parametrize("augment", AUGMENTATIONS)
def test_vmap_over_steps(rows, augment):
    x = rows(6, 5)
    steps = jnp.arange(3)
    together = jax.vmap(lambda step: augment(x, seed=1, step=step))(steps)
    for step in range(3):
        np.testing.assert_array_equal(together[step], augment(x, seed=1, step=step))


@pytest.mark.parametrize("augment", AUGMENTATIONS)
@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (3, 1025)])
def test_odd_shapes(rows, augment, shape):
    x = rows(*shape)
    out, backward = jax.vjp(partial(augment, seed=1, step=1), x)
    assert out.shape == shape and np.all(np.isfinite(out))
    assert backward(out)[0].shape == shape


def test_errors(rows, refuses):
    x = rows(4, 3)
    refuses(lambda: mask(x, seed=1, step=1, keep_probability=1.5), "keep_probability: got 1.5")
    refuses(lambda: gaussian_noise(x, seed=1, step=1, scale=-1), "scale: got -1, wanted")
    refuses(lambda: interpolate(x, seed=1, step=1, weight=2), "weight: got 2, wanted a weight")
    refuses(lambda: interpolate(x, seed=1, step=1, weight=Beta(0, 1)), "alpha: got 0, wanted")
    refuses(
        lambda: interpolate(x, seed=1, step=1, stream=2**16 - 1),
        "stream: got 65535 with 2 streams needed",
    )
    for step in (-1, 2**32 + 5, np.int64(-1), np.array(2**32 + 5)):
        refuses(lambda step=step: mask(x, seed=1, step=step), "mask: step: got", error=ValueError)
    for step in (jnp.int32(-1), jnp.int8(-1), jnp.int64(2**32 + 5)):
        refuses(
            lambda step=step: jax.jit(partial(mask, seed=1))(x, step=step),
            f"mask: step: got {step}, wanted a number from 0 to 2^32 - 1",
        )
    for value in (None, "0.5", 10**400, jnp.ones(2)):
        for call in (
            lambda value=value: mask(x, seed=1, step=1, keep_probability=value),
            lambda value=value: gaussian_noise(x, seed=1, step=1, scale=value),
            lambda value=value: interpolate(x, seed=1, step=1, weight=value),
        ):
            refuses(call, "wanted a number that is known when XLA compiles", error=TypeError)
    refuses(
        lambda: jax.jit(lambda keep: mask(x, seed=1, step=1, keep_probability=keep))(0.5),
        "mask: keep_probability: got",
        "wanted a number that is known when XLA compiles",
        error=TypeError,
    )
    refuses(lambda: mask(x, seed=-1, step=1), "seed: got -1, wanted 0 to", error=ValueError)
    refuses(lambda: mask(x, seed=1, step=0.5), "step: got float64", error=TypeError)
    refuses(
        lambda: jax.jit(lambda seed: mask(x, seed=seed, step=1))(1),
        "seed: got",
        "wanted a Python integer",
        error=TypeError,
    )
    refuses(
        lambda: mask(x.astype(jnp.int32), seed=1, step=1), "x: got int32, wanted", error=TypeError
    )
