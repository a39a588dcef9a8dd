"""Losses and their gradients against the formulas in jax.numpy."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feaug_jax import info_nce, negative_cosine, nt_xent


def unit(x):
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def plain_info_nce(queries, keys, temperature=0.1):
    logits = unit(queries) @ unit(keys).T / temperature
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(logits, axis=1)))


def plain_nt_xent(a, b, temperature=0.1):
    z = unit(jnp.concatenate([a, b]))
    n = len(a)
    logits = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, z @ z.T / temperature)
    other_view = (jnp.arange(2 * n) + n) % (2 * n)
    return -jnp.mean(jax.nn.log_softmax(logits, axis=1)[jnp.arange(2 * n), other_view])


def plain_byol(prediction, target):
    return jnp.mean(2 - 2 * jnp.sum(unit(prediction) * unit(target), axis=1))


def plain_simsiam(prediction, target):
    return -jnp.mean(jnp.sum(unit(prediction) * unit(target), axis=1))


def simsiam(prediction, target):
    return negative_cosine(prediction, target, form="simsiam")


PAIRS = [
    pytest.param(info_nce, plain_info_nce, id="info_nce"),
    pytest.param(nt_xent, plain_nt_xent, id="nt_xent"),
    pytest.param(negative_cosine, plain_byol, id="byol"),
    pytest.param(simsiam, plain_simsiam, id="simsiam"),
]
LOSSES = [pytest.param(pair.values[0], id=pair.id) for pair in PAIRS]
TOLERANCE = {
    jnp.float64: 1e-12,
    jnp.float32: 2e-5,
    jnp.float16: 5e-3,
    jnp.bfloat16: 3e-2,
}


def assert_close(ours, wanted, tolerance):
    ours, wanted = (np.asarray(x, np.float64) for x in (ours, wanted))
    np.testing.assert_allclose(ours, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda dtype: dtype.__name__)
@pytest.mark.parametrize("loss, plain", PAIRS)
def test_loss_and_gradients_are_the_formulas(rows, loss, plain, dtype):
    a, b = rows(37, 19, dtype), rows(37, 19, dtype)
    value, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(a, b)
    wanted, wanted_gradients = jax.jit(jax.value_and_grad(plain, argnums=(0, 1)))(
        a.astype(jnp.float64), b.astype(jnp.float64)
    )
    assert value.dtype == (jnp.float64 if dtype == jnp.float64 else jnp.float32)
    assert_close(value, wanted, TOLERANCE[dtype])
    for gradient, wanted_gradient in zip(gradients, wanted_gradients):
        assert gradient.dtype == dtype
        assert_close(gradient, wanted_gradient, TOLERANCE[dtype])


@pytest.mark.parametrize("loss, plain", PAIRS)
@pytest.mark.parametrize("shape", [(1, 5), (2, 1), (65, 3), (130, 257)])
def test_odd_shapes(rows, loss, plain, shape):
    a, b = rows(*shape), rows(*shape)
    ours, wanted = (jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(a, b) for f in (loss, plain))
    for x, y in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted)):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-10)


def test_keys_without_a_query_of_their_own(rows):
    queries, keys = rows(20, 8), rows(50, 8)
    ours, wanted = (
        jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(queries, keys)
        for f in (info_nce, plain_info_nce)
    )
    jax.tree.map(lambda x, y: assert_close(x, y, 1e-12), ours, wanted)


@pytest.mark.parametrize("loss, plain", PAIRS[:2])
def test_temperature_is_an_array_with_a_gradient(rows, loss, plain):
    a, b = rows(30, 8), rows(30, 8)
    step, plain_step = (jax.jit(jax.value_and_grad(f, argnums=2)) for f in (loss, plain))
    for temperature in (0.05, 0.5):
        ours = step(a, b, temperature)
        wanted = plain_step(a, b, temperature)
        jax.tree.map(lambda x, y: assert_close(x, y, 1e-10), ours, wanted)
    assert step._cache_size() == 1


@pytest.mark.parametrize("loss, plain", PAIRS)
def test_the_cotangent_multiplies(rows, loss, plain):
    a, b = rows(12, 6), rows(12, 6)

    def of(function):
        return jax.jit(jax.grad(lambda a, b: 3 * jnp.exp(function(a, b)), argnums=(0, 1)))(a, b)

    jax.tree.map(lambda x, y: assert_close(x, y, 1e-11), of(loss), of(plain))


def results_of_the_call(function, *arguments):
    """Shapes and types of the results of a function's only call of feaug, in XLA's notation."""
    program = jax.jit(function).lower(*arguments).as_text()
    (results,) = re.findall(r"custom_call @feaug_.*-> \((.*)\)$", program, re.MULTILINE)
    return results.split(", ")


@pytest.mark.parametrize("loss", LOSSES)
def test_a_stopped_side_has_no_gradient_and_costs_none(rows, loss):
    a, b = rows(12, 6), rows(12, 6)

    def stopped(a, b):
        return loss(a, jax.lax.stop_gradient(b))

    for function in (stopped, jax.jit(stopped), jax.checkpoint(stopped)):
        by_a, by_b = jax.grad(function, argnums=(0, 1))(a, b)
        np.testing.assert_allclose(by_a, jax.grad(loss)(a, b), rtol=1e-12, atol=1e-15)
        assert np.all(by_b == 0)
    # The loss, then a gradient for each argument; an empty one is not computed.
    loss_alone, made, not_made = "tensor<f64>", "tensor<12x6xf64>", "tensor<0xf64>"
    for function, *wanted in (
        (loss, not_made, not_made),
        (jax.grad(loss), made, not_made),
        (jax.grad(stopped, argnums=(0, 1)), made, not_made),
        (jax.grad(loss, argnums=1), not_made, made),
        (jax.grad(loss, argnums=(0, 1)), made, made),
    ):
        assert results_of_the_call(function, a, b)[:3] == [loss_alone, *wanted]


@pytest.mark.parametrize("loss", LOSSES)
def test_vmap_is_a_call_for_every_element(rows, loss):
    a, b = rows(3 * 10, 6).reshape(3, 10, 6), rows(10, 6)
    both = jax.vmap(jax.value_and_grad(loss, argnums=(0, 1)), in_axes=(0, None))(a, b)
    for i in range(3):
        one = jax.value_and_grad(loss, argnums=(0, 1))(a[i], b)
        jax.tree.map(lambda x, y: np.testing.assert_array_equal(x[i], y), both, one)


def test_a_loss_within_a_scan(rows):
    a, b = rows(10, 6), rows(10, 6)

    def descended(loss):
        def step(a, _):
            value, gradient = jax.value_and_grad(loss)(a, b)
            return a - 0.1 * gradient, value

        return jax.lax.scan(step, a, None, length=5)

    jax.tree.map(
        lambda x, y: assert_close(x, y, 1e-10), descended(info_nce), descended(plain_info_nce)
    )


def test_errors(rows, refuses):
    a = rows(4, 3)
    refuses(lambda: info_nce(a, rows(4, 5)), "info_nce", "keys: got 5 columns, wanted 3")
    refuses(lambda: info_nce(a, rows(3, 3)), "keys: got 3 rows, wanted at least 4 queries")
    refuses(lambda: jax.jit(nt_xent)(a, rows(3, 3)), "nt_xent", "b: got shape (3, 3), wanted")
    refuses(lambda: jax.grad(negative_cosine)(a, rows(3, 3)), "target: got shape (3, 3), wanted")
    refuses(lambda: info_nce(a[:0], a[:0]), "queries: got shape (0, 3), wanted at least one row")
    for temperature in (0.0, -1.0, jnp.nan):
        refuses(lambda: info_nce(a, a, temperature), "temperature: got", "a finite number above 0")
    refuses(lambda: nt_xent(a, a, jnp.ones(2)), "temperature: got 2 elements, wanted 1")


def test_errors_of_types(rows, refuses):
    a = rows(4, 3)
    whole, single = a.astype(jnp.int32), a.astype(jnp.float32)
    refuses(lambda: info_nce(whole, whole), "queries: got int32, wanted float16", error=TypeError)
    refuses(lambda: nt_xent(a, single), "b: got float32, wanted float64 as a", error=TypeError)
    refuses(lambda: info_nce(a[0], a), "queries: got shape (3,), wanted 2 axes", error=ValueError)
    refuses(
        lambda: negative_cosine(a, a, form="moco"),
        'form: got \'moco\', wanted "byol" or "simsiam"',
        error=ValueError,
    )
