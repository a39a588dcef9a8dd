"""Losses and their gradients against the formulas in jax.numpy."""

import inspect
import re
from functools import partial
from pathlib import Path

import feaug_jax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feaug_jax import (
    barlow_twins,
    hypersphere,
    info_nce,
    negative_cosine,
    nt_xent,
    sigmoid,
    supervised_contrastive,
    symmetric_info_nce,
    vicreg,
)
from feaug_jax import _losses as losses_module


def unit(x):
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


def plain_info_nce(queries, keys, temperature=0.1):
    logits = unit(queries) @ unit(keys).T / temperature
    return -jnp.mean(jnp.diagonal(jax.nn.log_softmax(logits, axis=1)))


def plain_moco(queries, keys, negatives, temperature=0.1):
    """Only `negatives` are negatives."""
    positive = jnp.sum(unit(queries) * unit(keys), axis=1, keepdims=True)
    logits = jnp.concatenate([positive, unit(queries) @ unit(negatives).T], axis=1) / temperature
    return -jnp.mean(jax.nn.log_softmax(logits, axis=1)[:, 0])


def plain_nt_xent(a, b, temperature=0.5):
    z = unit(jnp.concatenate([a, b]))
    n = len(a)
    logits = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, z @ z.T / temperature)
    other_view = (jnp.arange(2 * n) + n) % (2 * n)
    return -jnp.mean(jax.nn.log_softmax(logits, axis=1)[jnp.arange(2 * n), other_view])


def plain_dcl(a, b, temperature=0.5):
    """The mean over both views: the positive is not among a row's negatives."""
    n = len(a)
    z = unit(jnp.concatenate([a, b]))
    logits = z @ z.T / temperature
    excluded = jnp.tile(jnp.eye(n, dtype=bool), (2, 2))
    positive = jnp.diagonal(jnp.roll(logits, -n, axis=1))
    return jnp.mean(jax.nn.logsumexp(jnp.where(excluded, -jnp.inf, logits), axis=1) - positive)


def plain_symmetric(queries, keys, temperature=0.1):
    return (
        plain_info_nce(queries, keys, temperature) + plain_info_nce(keys, queries, temperature)
    ) / 2


def plain_sigmoid(a, b, scale=10.0, bias=-10.0):
    logits = scale * unit(a) @ unit(b).T + bias
    signs = 2 * jnp.eye(len(a)) - 1
    return -jnp.sum(jax.nn.log_sigmoid(signs * logits)) / len(a)


def labels_of(features):
    return np.arange(len(features)) % 5


def plain_supervised(features, other, temperature=0.1):
    z = unit(jnp.concatenate([features, other]))
    labels = labels_of(z)
    others = ~np.eye(len(z), dtype=bool)
    logits = jnp.where(others, z @ z.T / temperature, -jnp.inf)
    is_positive = (labels[:, None] == labels[None]) & others
    counts = is_positive.sum(axis=1)
    log_probabilities = jnp.where(is_positive, jax.nn.log_softmax(logits, axis=1), 0)
    means = -jnp.sum(log_probabilities, axis=1) / np.maximum(counts, 1)
    return jnp.sum(means) / max((counts > 0).sum(), 1)


def supervised(features, other, **options):
    """Both arguments are rows of one batch, so that it is a loss of two matrices."""
    batch = jnp.concatenate([jnp.asarray(features), jnp.asarray(other)])
    return supervised_contrastive(batch, labels_of(batch), **options)


def plain_byol(prediction, target):
    return jnp.mean(2 - 2 * jnp.sum(unit(prediction) * unit(target), axis=1))


def plain_simsiam(prediction, target):
    return -jnp.mean(jnp.sum(unit(prediction) * unit(target), axis=1))


def byol(prediction, target):
    return negative_cosine(prediction, target, form="byol")


def plain_barlow_twins(a, b, lambda_param=5e-3, eps=1e-5):
    a, b = ((x - x.mean(axis=0)) / jnp.sqrt(x.var(axis=0) + eps) for x in (a, b))
    c = a.T @ b / len(a)
    on = jnp.diagonal(c)
    return jnp.sum((1 - on) ** 2) + lambda_param * (jnp.sum(c**2) - jnp.sum(on**2))


def plain_vicreg(a, b, lambda_param=25.0, mu_param=25.0, nu_param=1.0, eps=1e-4):
    n, d = a.shape
    variance, covariance = 0.0, 0.0
    for x in (a, b):
        x = x - x.mean(axis=0)
        c = x.T @ x / (n - 1)
        variance += jnp.mean(jax.nn.relu(1 - jnp.sqrt(jnp.diagonal(c) + eps)))
        covariance += (jnp.sum(c**2) - jnp.sum(jnp.diagonal(c) ** 2)) / d
    invariance = jnp.mean((a - b) ** 2)
    return lambda_param * invariance + mu_param * variance / 2 + nu_param * covariance


def plain_hypersphere(a, b, t=1.0, lam=1.0, alpha=2.0):
    def uniformity(x):
        i, j = np.triu_indices(len(x), 1)
        return jnp.log(jnp.mean(jnp.exp(-t * jnp.sum((x[i] - x[j]) ** 2, axis=1))))

    a, b = unit(a), unit(b)
    alignment = jnp.mean(jnp.sum((a - b) ** 2, axis=1) ** (alpha / 2))
    return alignment + lam * (uniformity(a) + uniformity(b)) / 2


def pair(ours, plain, name):
    return pytest.param(ours, plain, id=name)


# The rows of a loss's formula are independent of each other and of the number of rows.
ROW_PAIRS = [
    pair(info_nce, plain_info_nce, "info_nce"),
    pair(nt_xent, plain_nt_xent, "nt_xent"),
    pair(symmetric_info_nce, plain_symmetric, "symmetric_info_nce"),
    pair(sigmoid, plain_sigmoid, "sigmoid"),
    pair(supervised, plain_supervised, "supervised_contrastive"),
    pair(byol, plain_byol, "byol"),
    pair(negative_cosine, plain_simsiam, "negative_cosine"),
]
PAIRS = [
    *ROW_PAIRS,
    pair(barlow_twins, plain_barlow_twins, "barlow_twins"),
    pair(vicreg, plain_vicreg, "vicreg"),
    pair(hypersphere, plain_hypersphere, "hypersphere"),
]
LOSSES = [pytest.param(one.values[0], id=one.id) for one in PAIRS]
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


@pytest.mark.parametrize("loss, plain", ROW_PAIRS)
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


def test_every_loss_of_the_table_has_a_formula():
    assert {row.name for row in losses_module.losses} <= {one.id for one in PAIRS}
    assert set(losses_module.__all__) <= set(feaug_jax.__all__)


def test_the_stub_is_that_of_the_table():
    stub = Path(__file__).parents[1] / "python" / "feaug_jax" / "_losses.pyi"
    assert stub.read_text(encoding="utf-8") == losses_module.stub()


def test_a_row_makes_the_function():
    signature = inspect.signature(hypersphere)
    assert list(signature.parameters) == ["z0", "z1", "t", "lam", "alpha", "recompute"]
    assert signature.parameters["alpha"].default == 2.0
    assert "uniformities" in hypersphere.__doc__
    assert "hypersphere(" in inspect.getsource(hypersphere)


NUMBERS = [
    pair(lambda a, b, t: info_nce(a, b, temperature=t), plain_info_nce, "info_nce"),
    pair(lambda a, b, t: nt_xent(a, b, temperature=t), plain_nt_xent, "nt_xent"),
    pair(lambda a, b, t: symmetric_info_nce(a, b, temperature=t), plain_symmetric, "symmetric"),
    pair(lambda a, b, t: sigmoid(a, b, scale=t), plain_sigmoid, "scale of sigmoid"),
    pair(
        lambda a, b, t: sigmoid(a, b, bias=t), lambda a, b, t: plain_sigmoid(a, b, bias=t), "bias"
    ),
    pair(lambda a, b, t: supervised(a, b, temperature=t), plain_supervised, "supervised"),
]


@pytest.mark.parametrize("loss, plain", NUMBERS)
def test_a_number_is_an_array_with_a_gradient(rows, loss, plain):
    a, b = rows(30, 8), rows(30, 8)
    step, plain_step = (jax.jit(jax.value_and_grad(f, argnums=2)) for f in (loss, plain))
    for temperature in (0.05, 0.5):
        ours = step(a, b, temperature)
        wanted = plain_step(a, b, temperature)
        jax.tree.map(lambda x, y: assert_close(x, y, 1e-10), ours, wanted)
    assert step._cache_size() == 1
    value, gradient = jax.value_and_grad(loss, argnums=2)(a, b, jnp.full((1, 1), 0.5))
    assert gradient.shape == (1, 1) and value == ours[0]


OPTIONS = [
    pair(partial(nt_xent, decoupled=True), plain_dcl, "decoupled"),
    pair(
        partial(barlow_twins, lambda_param=0.1, eps=0.3),
        partial(plain_barlow_twins, lambda_param=0.1, eps=0.3),
        "barlow_twins",
    ),
    pair(
        partial(vicreg, lambda_param=2, mu_param=np.float32(3), nu_param=4, eps=0.5),
        partial(plain_vicreg, lambda_param=2, mu_param=3, nu_param=4, eps=0.5),
        "vicreg",
    ),
    pair(
        partial(hypersphere, t=0.7, lam=0.3, alpha=1.5),
        partial(plain_hypersphere, t=0.7, lam=0.3, alpha=1.5),
        "hypersphere",
    ),
    pair(
        lambda a, b: info_nce(a[:9], b, positive_offset=4),
        lambda a, b: plain_info_nce(a[:9], jnp.roll(b, -4, axis=0)),
        "positive_offset",
    ),
    pair(
        lambda a, b: info_nce(a[:9], b[:9], negatives=b[9:], in_batch_negatives=False),
        lambda a, b: plain_moco(a[:9], b[:9], b[9:]),
        "negatives",
    ),
]


@pytest.mark.parametrize("loss, plain", OPTIONS)
def test_options(rows, loss, plain):
    a, b = rows(30, 8), rows(30, 8)
    ours, wanted = (jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(a, b) for f in (loss, plain))
    jax.tree.map(lambda x, y: assert_close(x, y, 1e-10), ours, wanted)


@pytest.mark.parametrize("dtype", [jnp.int64, jnp.int32, jnp.uint8, jnp.int16])
def test_labels_of_any_integers(rows, dtype):
    features = rows(30, 8)
    labels = labels_of(features)
    wanted = supervised_contrastive(features, labels)
    assert supervised_contrastive(features, jnp.asarray(labels, dtype)) == wanted
    if jnp.issubdtype(dtype, jnp.signedinteger):
        assert jax.jit(supervised_contrastive)(features, jnp.asarray(labels - 3, dtype)) == wanted


@pytest.mark.parametrize("x64", [False, True])
def test_labels_of_64_bits(rows, x64):
    features = np.asarray(rows(16, 8), np.float32)
    labels = np.array([1, 1 + 2**32, 2, 2 - 2**40] * 4)
    enable = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64
    with enable(x64):
        wanted = supervised_contrastive(features, np.unique(labels, return_inverse=True)[1])
        assert supervised_contrastive(features, labels) == wanted


@pytest.mark.parametrize("recompute", [False, True])
def test_a_loss_that_is_only_looked_at(rows, recompute):
    a, b = rows(6, 4), rows(6, 4)

    @jax.jit
    def both(a):
        return jnp.sum(a**2), info_nce(a, b, recompute=recompute)

    def scanned(a):
        _, losses = jax.lax.scan(lambda carry, _: (carry, both(a)[1]), 0, None, length=2)
        return jnp.sum(a**2), losses

    for function in (both, scanned):
        gradient, _ = jax.grad(function, has_aux=True)(a)
        np.testing.assert_allclose(gradient, 2 * a)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("loss", LOSSES)
def test_strict_promotion(rows, loss, dtype):
    a, b = rows(6, 4, dtype), rows(6, 4, dtype)
    with jax.numpy_dtype_promotion("strict"):
        jax.grad(loss, argnums=(0, 1))(a, b)


def test_recomputed_gradients_in_half_do_not_underflow(rows):
    a, b = rows(4096, 128, jnp.float16), rows(4096, 128, jnp.float16)
    scale = 2.0**16

    def gradient(loss, a, b):
        return np.asarray(jax.grad(lambda a, b: scale * loss(a, b))(a, b), np.float64)

    wide = [x.astype(jnp.float64) for x in (a, b)]
    wanted = gradient(partial(info_nce, temperature=1), *wide)

    def error(**options):
        ours = gradient(partial(info_nce, temperature=1, **options), a, b)
        return np.linalg.norm(ours - wanted) / np.linalg.norm(wanted)

    assert error() < 1e-3  # the default of this type
    assert error(recompute=False) > 5e-3
    for dtype in (jnp.float32, jnp.float64):
        wide = [x[:64].astype(dtype) for x in (a, b)]
        both = [
            jax.grad(partial(info_nce, recompute=recompute), argnums=(0, 1))(*wide)
            for recompute in (False, True)
        ]
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-8), *both
        )


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
    if loss is supervised:
        return  # its two arguments are rows of one operand
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
    refuses(lambda: info_nce(a, rows(4, 5)), "info_nce: keys: got 5 columns, wanted 3 as queries")
    refuses(lambda: info_nce(a, rows(3, 3)), "info_nce: keys: got 3 rows, wanted at least 4")
    refuses(lambda: jax.jit(nt_xent)(a, rows(3, 3)), "nt_xent: z1: got shape (3, 3), wanted")
    refuses(lambda: jax.grad(negative_cosine)(a, rows(3, 3)), "targets: got shape (3, 3), wanted")
    refuses(lambda: info_nce(a[:0], a[:0]), "queries: got shape (0, 3), wanted at least one row")
    refuses(lambda: info_nce(a, a, negatives=rows(2, 4)), "negatives: got 4 columns, wanted 3")
    refuses(lambda: barlow_twins(a, a, lambda_param=np.nan), "barlow_twins: lambda_param: got nan")
    refuses(lambda: supervised_contrastive(a, [1, 2]), "labels: got 2 elements, wanted 4")
    for temperature in (0.0, -1.0, jnp.nan):
        refuses(
            lambda: info_nce(a, a, temperature=temperature),
            "info_nce: temperature: got",
            "a finite number above 0",
        )


def test_errors_of_types(rows, refuses):
    a = rows(4, 3)
    whole, single = a.astype(jnp.int32), a.astype(jnp.float32)
    refuses(lambda: info_nce(whole, whole), "queries: got int32, wanted float16", error=TypeError)
    refuses(lambda: nt_xent(a, single), "z1: got float32, wanted float64 as z0", error=TypeError)
    refuses(
        lambda: info_nce(a, a, negatives=single),
        "negatives: got float32, wanted float64 as queries",
        error=TypeError,
    )
    refuses(lambda: info_nce(a[0], a), "queries: got shape (3,), wanted 2 axes", error=ValueError)
    refuses(
        lambda: nt_xent(a, a, temperature=jnp.ones(2)),
        "nt_xent: temperature: got 2 elements, wanted 1",
        error=ValueError,
    )
    for number in ("0.5", None, 1j, True, 2**70):
        refuses(
            lambda: nt_xent(a, a, temperature=number),
            "nt_xent: temperature: got",
            "wanted a number or an array of one",
            error=TypeError,
        )
    for missing in (
        lambda: vicreg(None, a),
        lambda: supervised_contrastive(None, [0, 0, 1, 1]),
        lambda: info_nce(a, None),
        lambda: info_nce(a, a, negatives=object()),
    ):
        refuses(missing, ": got", "wanted an array", error=TypeError)
    refuses(lambda: supervised_contrastive(a, None), "labels: got object", error=TypeError)
    refuses(
        lambda: info_nce(a, a, recompute="x"),
        "info_nce: recompute: got 'x', wanted True or False",
        error=TypeError,
    )
    refuses(
        lambda: jax.jit(lambda t: hypersphere(a, a, t=t))(1.0),
        "hypersphere: t: got",
        "wanted a number that is known when XLA compiles",
        error=TypeError,
    )
    refuses(
        lambda: info_nce(a, a, in_batch_negatives=0),
        "in_batch_negatives: got 0, wanted True or False",
        error=TypeError,
    )
    refuses(
        lambda: info_nce(a, a, positive_offset=0.5),
        "positive_offset: got float, wanted a Python integer",
        error=TypeError,
    )
    refuses(
        lambda: info_nce(a, a, positive_offset=2**63),
        "positive_offset: got 9223372036854775808, wanted",
        error=ValueError,
    )
    for labels in (jnp.ones(4), jnp.ones((4, 1), jnp.int32), np.ones(4, bool)):
        refuses(
            lambda: supervised_contrastive(a, labels),
            "supervised_contrastive: labels: got",
            "wanted integers, one a row",
            error=TypeError,
        )
    refuses(
        lambda: negative_cosine(a, a, form="moco"),
        'form: got \'moco\', wanted "simsiam" or "byol"',
        error=ValueError,
    )
