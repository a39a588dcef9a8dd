"""Losses and their gradients against the formulas in plain PyTorch."""

from functools import partial

import feaug_torch as ft
import formulas
import pytest
import torch
import torch.utils.checkpoint

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 2, 1, 0, 5])


def of_labels(loss):
    """Turns a loss of features and labels into one of two matrices with labels for their rows."""

    def both(a, b, **options):
        labels = LABELS.repeat(len(a))[: len(a)].repeat(2)
        return loss(torch.cat([a, b]), labels, **options)

    return both


PAIRS = [
    pytest.param(ft.info_nce, formulas.info_nce, id="info_nce"),
    pytest.param(ft.symmetric_info_nce, formulas.symmetric_info_nce, id="symmetric_info_nce"),
    pytest.param(ft.nt_xent, formulas.nt_xent, id="nt_xent"),
    pytest.param(partial(ft.nt_xent, temperature=0.1, decoupled=True), formulas.dcl, id="dcl"),
    pytest.param(
        of_labels(ft.supervised_contrastive),
        of_labels(formulas.supervised_contrastive),
        id="supervised_contrastive",
    ),
    pytest.param(ft.sigmoid, formulas.sigmoid, id="sigmoid"),
    pytest.param(ft.negative_cosine, formulas.negative_cosine, id="negative_cosine"),
    pytest.param(ft.barlow_twins, formulas.barlow_twins, id="barlow_twins"),
    pytest.param(ft.hypersphere, formulas.hypersphere, id="hypersphere"),
    pytest.param(ft.vicreg, formulas.vicreg, id="vicreg"),
]
LOSSES = [pytest.param(pair.values[0], id=pair.id) for pair in PAIRS]
CONTRASTS = PAIRS[:4]
TOLERANCE = {
    torch.float64: 1e-11,
    torch.float32: 5e-5,
    torch.float16: 6e-3,
    torch.bfloat16: 4e-2,
}


def leaf(x):
    return x.detach().clone().requires_grad_()


def loss_and_gradients(loss, *sides, **options):
    """Sides that require a gradient get one; the others have None."""
    value = loss(*sides, **options)
    wanted = [side for side in sides if side.requires_grad]
    found = iter(torch.autograd.grad(value, wanted) if wanted else ())
    return value.detach(), [next(found) if side.requires_grad else None for side in sides]


def assert_close(ours, wanted, tolerance):
    """Compares relative to the largest number, since small numbers have its rounding error."""
    ours, wanted = ours.double(), wanted.double()
    torch.testing.assert_close(ours, wanted, rtol=tolerance, atol=tolerance * wanted.abs().max())


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("loss, plain", PAIRS)
def test_loss_and_gradients_are_the_formulas(rows, loss, plain, dtype):
    a, b = leaf(rows(37, 19, dtype)), leaf(rows(37, 19, dtype))
    value, gradients = loss_and_gradients(loss, a, b)
    wanted, wanted_gradients = loss_and_gradients(plain, leaf(a.double()), leaf(b.double()))
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert value.shape == ()
    assert_close(value, wanted, TOLERANCE[dtype])
    for gradient, wanted_gradient in zip(gradients, wanted_gradients):
        assert gradient.dtype == dtype
        assert_close(gradient, wanted_gradient, TOLERANCE[dtype])


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_gradcheck(rows, loss, recompute):
    a, b = leaf(rows(5, 4)), leaf(rows(5, 4))
    loss = partial(loss, recompute=recompute)
    assert torch.autograd.gradcheck(loss, (a, b))
    assert torch.autograd.gradcheck(lambda x: loss(x, b.detach()), a)
    assert torch.autograd.gradcheck(lambda x: loss(a.detach(), x), b)


@pytest.mark.parametrize("loss, plain", PAIRS)
@pytest.mark.parametrize("shape", [(2, 1), (65, 3), (130, 257)])
def test_odd_shapes(rows, loss, plain, shape):
    a, b = leaf(rows(*shape)), leaf(rows(*shape))
    value, gradients = loss_and_gradients(loss, a, b)
    wanted, wanted_gradients = loss_and_gradients(plain, a, b)
    torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-10)
    for ours, plain_ones in zip(gradients, wanted_gradients):
        torch.testing.assert_close(ours, plain_ones, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["info_nce", "symmetric_info_nce", "nt_xent", "negative_cosine"])
def test_one_row(rows, name):
    a, b = leaf(rows(1, 6)), leaf(rows(1, 6))
    value, gradients = loss_and_gradients(getattr(ft, name), a, b)
    wanted, wanted_gradients = loss_and_gradients(getattr(formulas, name), a, b)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(gradients, wanted_gradients, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda x: x.repeat_interleave(2, 0)[::2], id="every other row"),
        pytest.param(lambda x: torch.cat([x, x], 1)[:, : x.shape[1]], id="columns of a matrix"),
        pytest.param(lambda x: x.T.contiguous().T, id="features apart"),
        pytest.param(lambda x: x[:1].expand_as(x), id="one row many times"),
    ],
)
@pytest.mark.parametrize("loss", LOSSES)
def test_views_are_read_as_what_they_show(rows, loss, arrange):
    view, b = arrange(rows(12, 7)).requires_grad_(), leaf(rows(12, 7))
    whole = leaf(view.contiguous())
    value, gradients = loss_and_gradients(loss, view, b)
    wanted, wanted_gradients = loss_and_gradients(loss, whole, b)
    torch.testing.assert_close(value, wanted, rtol=0, atol=0)
    torch.testing.assert_close(gradients, wanted_gradients, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_recompute_gives_the_same(rows, loss, dtype):
    a, b = leaf(rows(33, 8, dtype)), leaf(rows(33, 8, dtype))

    def scaled(recompute):
        return loss_and_gradients(lambda a, b: 3 * loss(a, b, recompute=recompute), a, b)

    (kept, kept_gradients), (again, again_gradients) = scaled(False), scaled(True)
    torch.testing.assert_close(again, kept)
    for x, y in zip(again_gradients, kept_gradients):
        assert_close(x, y, TOLERANCE[dtype])


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_incoming_gradient_multiplies(rows, loss, recompute):
    a, b = leaf(rows(12, 6)), leaf(rows(12, 6))
    loss = partial(loss, recompute=recompute)
    value, gradients = loss_and_gradients(loss, a, b)
    _, multiplied = loss_and_gradients(lambda a, b: 3 * loss(a, b).square(), a, b)
    for gradient, wanted in zip(multiplied, gradients):
        torch.testing.assert_close(gradient, 6 * value * wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_stopped_side_has_no_gradient_and_changes_nothing(rows, loss, recompute):
    a, b = leaf(rows(12, 6)), leaf(rows(12, 6))
    loss = partial(loss, recompute=recompute)
    value, (by_a, by_b) = loss_and_gradients(loss, a, b)
    for sides, wanted in (((a, b.detach()), (by_a, None)), ((a.detach(), b), (None, by_b))):
        one_sided, gradients = loss_and_gradients(loss, *sides)
        torch.testing.assert_close(one_sided, value)
        for gradient, of_both in zip(gradients, wanted):
            assert (gradient is None) == (of_both is None)
            if of_both is not None:
                torch.testing.assert_close(gradient, of_both, rtol=1e-11, atol=1e-13)
    stopped = loss(a.detach(), b.detach())
    assert not stopped.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(loss(a, b), value)


@pytest.mark.parametrize("loss, plain", CONTRASTS[:3])
def test_temperature_is_learnt(rows, loss, plain):
    a, b = leaf(rows(30, 8)), leaf(rows(30, 8))
    for temperature in (0.05, 0.5):
        t = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
        ours = torch.autograd.grad(loss(a, b, temperature=t), (a, b, t))
        wanted = torch.autograd.grad(plain(a, b, temperature=t), (a, b, t))
        torch.testing.assert_close(ours, wanted, rtol=1e-9, atol=1e-10)
        log_scale = leaf(t.log())  # only the temperature requires a gradient, through exp
        stopped = (a.detach(), b.detach())
        (ours,) = torch.autograd.grad(loss(*stopped, temperature=log_scale.exp()), log_scale)
        torch.testing.assert_close(ours, wanted[2] * t.detach(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("recompute", [False, True])
def test_gradcheck_of_the_temperature(rows, recompute):
    a, b = leaf(rows(5, 4)), leaf(rows(5, 4))
    t = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    for loss in (ft.info_nce, ft.nt_xent):
        assert torch.autograd.gradcheck(
            lambda a, b, t, loss=loss: loss(a, b, temperature=t, recompute=recompute), (a, b, t)
        )


def test_info_nce_with_more_keys_than_queries(rows):
    queries, keys = leaf(rows(20, 8)), leaf(rows(50, 8))
    for offset in (0, 30):
        ours = loss_and_gradients(partial(ft.info_nce, positive_offset=offset), queries, keys)
        wanted = loss_and_gradients(
            partial(formulas.info_nce, positive_offset=offset), queries, keys
        )
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
def test_info_nce_with_negatives(rows, recompute):
    queries, keys, negatives = leaf(rows(20, 8)), leaf(rows(20, 8)), rows(70, 8)
    ours, wanted = (
        loss_and_gradients(partial(loss, negatives=negatives), queries, keys)
        for loss in (partial(ft.info_nce, recompute=recompute), formulas.info_nce)
    )
    torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-12)


def test_rows_of_one_class_and_rows_without_a_positive(rows):
    features = leaf(rows(9, 5))
    for labels in (torch.zeros(9), torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 7])):
        labels = labels.long()
        ours = loss_and_gradients(lambda x: ft.supervised_contrastive(x, labels), features)
        wanted = loss_and_gradients(lambda x: formulas.supervised_contrastive(x, labels), features)
        torch.testing.assert_close(ours, wanted, rtol=1e-10, atol=1e-12)
    alone = ft.supervised_contrastive(features, torch.arange(9))
    assert alone == 0 and not torch.autograd.grad(alone, features)[0].any()


@pytest.mark.parametrize("loss", LOSSES[:7])
def test_a_row_without_a_direction_has_no_gradient(rows, loss):
    a, b = rows(6, 4), leaf(rows(6, 4))
    a[2] = 0
    _, (by_a, by_b) = loss_and_gradients(loss, a.requires_grad_(), b)
    assert not by_a[2].any()
    assert torch.isfinite(by_a).all() and torch.isfinite(by_b).all()


@pytest.mark.parametrize("recompute", [None, False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_second_derivative_is_refused(rows, loss, recompute, refuses):
    a, b = leaf(rows(6, 4)), leaf(rows(6, 4))
    (by_a,) = torch.autograd.grad(loss(a, b, recompute=recompute), a, create_graph=True)
    refuses(
        lambda: torch.autograd.grad(by_a.square().sum(), a), "second derivatives are not offered"
    )


@pytest.mark.parametrize("loss, plain", PAIRS[:-1])  # vicreg depends on the norms
def test_float16_gradients_do_not_vanish_before_they_are_scaled(rows, loss, plain):
    """With respect to long rows a gradient is about 1e-6, and float16 has steps of 6e-8: the
    factor of GradScaler must be applied before rounding."""
    a, b = (leaf(2**13 * rows(256, 16, torch.float16)) for _ in range(2))
    _, gradients = loss_and_gradients(lambda a, b: 2.0**12 * loss(a, b), a, b)
    _, wanted = loss_and_gradients(
        lambda a, b: 2.0**12 * plain(a, b), leaf(a.double()), leaf(b.double())
    )
    for gradient, wanted_gradient in zip(gradients, wanted):
        assert_close(gradient, wanted_gradient, 6e-3)


def test_grad_scaler_trains_in_float16(rows):
    """Loss scaling as in a mixed-precision loop: float16 weights whose unscaled gradients are
    below the smallest number of float16."""
    x = rows(512, 32, torch.float16) * 64
    weights = leaf(torch.eye(32, dtype=torch.float16) * 16)
    keys = rows(512, 32, torch.float16)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)

    def gradient(loss, weights, x, keys, scale):
        value = loss(x @ weights, keys, temperature=1.0)
        return torch.autograd.grad(scale(value), weights)[0]

    ours = gradient(ft.info_nce, weights, x, keys, scaler.scale)
    wanted = gradient(
        formulas.info_nce, leaf(weights.double()), x.double(), keys.double(), lambda loss: loss
    )
    unscaled = ours.double() / scaler.get_scale()
    assert_close(unscaled, wanted, 2e-2)


@pytest.mark.parametrize("loss", LOSSES)
def test_results_do_not_depend_on_threads(rows, loss):
    a, b = leaf(rows(300, 40, torch.float32)), leaf(rows(300, 40, torch.float32))
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(loss_and_gradients(loss, a, b))
    finally:
        torch.set_num_threads(threads)
    for value, gradients in results[1:]:
        assert torch.equal(value, results[0][0])
        assert all(torch.equal(x, y) for x, y in zip(gradients, results[0][1]))


def test_losses_within_checkpoints(rows):
    """Activation checkpointing repeats the forward pass."""
    a, b = leaf(rows(9, 5)), rows(9, 5)
    checkpoint = torch.utils.checkpoint.checkpoint
    again = checkpoint(lambda x: ft.info_nce(x.tanh(), b), a, use_reentrant=False)
    wanted = ft.info_nce(a.tanh(), b)
    torch.testing.assert_close(torch.autograd.grad(again, a), torch.autograd.grad(wanted, a))


@pytest.mark.parametrize("recompute", [False, True])
def test_a_graph_that_is_kept_is_differentiated_again(rows, recompute):
    a, b = leaf(rows(9, 5)), rows(9, 5)
    loss = ft.info_nce(a, b, recompute=recompute)
    first = torch.autograd.grad(loss, a, retain_graph=True)
    assert torch.equal(first[0], torch.autograd.grad(loss, a)[0])


def test_what_was_overwritten_is_not_computed_from(rows, refuses):
    """With recompute=True, enqueue between forward and backward must raise an error."""
    a, queue = leaf(rows(9, 5)), ft.SupportQueue(20, 5).double()
    queue.enqueue(rows(20, 5))
    of_rows = partial(ft.info_nce, a, rows(9, 5), negatives=queue.rows)
    kept, recomputed = of_rows(recompute=False), of_rows(recompute=True)
    queue.enqueue(rows(9, 5))
    assert torch.autograd.grad(kept, a)[0].any()
    refuses(recomputed.backward, "modified by an inplace operation")
