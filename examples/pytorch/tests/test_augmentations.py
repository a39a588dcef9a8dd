"""Formulas, gradients, draws and state of the augmentations."""

import copy
import io
from functools import partial

import feaug_torch as ft
import pytest
import torch
from formulas import unit

DRAWN = [
    pytest.param(ft.mask, id="mask"),
    pytest.param(ft.gaussian_noise, id="gaussian_noise"),
    pytest.param(ft.uniform_noise, id="uniform_noise"),
    pytest.param(ft.interpolate, id="interpolate"),
    pytest.param(ft.extrapolate, id="extrapolate"),
    pytest.param(ft.slerp, id="slerp"),
    pytest.param(ft.exchange_moments, id="exchange_moments"),
]
KINDS = ["mask", "noise", "interpolate", "extrapolate", "slerp", "exchange_moments"]


@pytest.mark.parametrize("augment", DRAWN)
def test_gradcheck(rows, augment):
    x = rows(5, 4).requires_grad_()
    assert torch.autograd.gradcheck(partial(augment, seed=3, step=2), x)


@pytest.mark.parametrize("augment", DRAWN)
@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str
)
def test_types_and_views(rows, augment, dtype):
    x = rows(2 * 9, 12, dtype)
    whole = augment(x[::2].contiguous(), seed=3, step=2)
    assert whole.dtype == dtype and whole.shape == (9, 12)
    assert torch.equal(augment(x[::2], seed=3, step=2), whole)
    assert torch.equal(augment(x[::2].T.contiguous().T, seed=3, step=2), whole)
    wide = torch.cat([x[::2], x[::2]], 1)
    assert torch.equal(augment(wide[:, :12], seed=3, step=2), whole)
    exact = augment(x[::2].double(), seed=3, step=2)
    torch.testing.assert_close(
        whole.double(), exact, rtol=8 * torch.finfo(dtype).eps, atol=16 * torch.finfo(dtype).eps
    )


@pytest.mark.parametrize("augment", DRAWN)
def test_a_draw_depends_on_seed_and_step_and_on_nothing_else(rows, augment):
    x = rows(300, 40, torch.float32)
    first = augment(x, seed=3, step=2)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(augment(x, seed=3, step=2), first)
    finally:
        torch.set_num_threads(threads)
    assert not torch.equal(augment(x, seed=4, step=2), first)
    assert not torch.equal(augment(x, seed=3, step=3), first)


def test_mask(rows):
    x = rows(200, 50)
    out = ft.mask(x, 0.7, seed=1, step=0)
    kept = out != 0
    assert torch.equal(out, torch.where(kept, x, 0))
    assert abs(kept.double().mean() - 0.7) < 0.02
    (gradient,) = torch.autograd.grad(
        ft.mask(y := x.clone().requires_grad_(), 0.7, seed=1, step=0).sum(), y
    )
    assert torch.equal(gradient, kept.double())


def test_noise(rows):
    x = rows(200, 50)
    noise = ft.gaussian_noise(x, 0.3, seed=1, step=0) - x
    assert abs(noise.mean()) < 0.01 and abs(noise.std() - 0.3) < 0.01
    assert noise.abs().max() > 0.9
    noise = ft.uniform_noise(x, 0.3, seed=1, step=0) - x
    assert noise.abs().max() <= 0.3 + 1e-12 and abs(noise.std() - 0.3 / 3**0.5) < 0.01


def test_mixes_are_the_formulas(rows):
    x, partner = rows(20, 8), rows(20, 8)
    w = 0.8
    mixed = ft.interpolate(x, partner=partner, weight=w, seed=0, step=0)
    torch.testing.assert_close(mixed, w * x + (1 - w) * partner, rtol=1e-6, atol=1e-6)
    w = 1.3
    mixed = ft.extrapolate(x, partner=partner, weight=w, seed=0, step=0)
    torch.testing.assert_close(mixed, w * x + (1 - w) * partner, rtol=1e-6, atol=1e-6)
    w = 0.25
    a, b = unit(x), unit(partner)
    angle = torch.acos((a * b).sum(1, keepdim=True))
    arc = (torch.sin(w * angle) * a + torch.sin((1 - w) * angle) * b) / torch.sin(angle)
    mixed = ft.slerp(x, partner=partner, weight=w, seed=0, step=0)
    torch.testing.assert_close(mixed, arc, rtol=1e-6, atol=1e-6)
    spread = [(y.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt() for y in (x, partner)]
    mean = [y.mean(1, keepdim=True) for y in (x, partner)]
    exchanged = ft.exchange_moments(x, partner=partner, seed=0, step=0)
    torch.testing.assert_close(exchanged, (x - mean[0]) / spread[0] * spread[1] + mean[1])


def test_without_a_partner_rows_are_mixed_with_the_batchs(rows):
    x = rows(30, 8)
    others = (ft.interpolate(x, weight=0.5, seed=0, step=0) - 0.5 * x) / 0.5
    slots = torch.cdist(others, x).argmin(1)
    assert sorted(slots.tolist()) == list(range(30))
    torch.testing.assert_close(others, x[slots], rtol=1e-6, atol=1e-6)


def test_gradients_reach_the_partner(rows):
    x, partner = rows(5, 4).requires_grad_(), rows(5, 4).requires_grad_()
    for augment in (ft.interpolate, ft.extrapolate, ft.slerp, ft.exchange_moments):
        assert torch.autograd.gradcheck(
            lambda x, y, augment=augment: augment(x, partner=y, seed=3, step=2), (x, partner)
        )


def test_l2_normalize(rows):
    x = rows(9, 5).requires_grad_()
    torch.testing.assert_close(ft.l2_normalize(x), unit(x))
    assert torch.autograd.gradcheck(ft.l2_normalize, x)
    x = torch.zeros(3, 5, requires_grad=True)
    out = ft.l2_normalize(x)
    assert not out.any() and not torch.autograd.grad(out.sum(), x)[0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_a_module_draws_anew_each_step_resumes_and_rests_in_eval(rows, kind):
    x = rows(40, 12, torch.float32)
    augment = ft.FeatureAugmentation(kind, seed=5)
    first, second = augment(x), augment(x)
    assert not torch.equal(first, x) and not torch.equal(first, second)
    again = ft.FeatureAugmentation(kind, seed=5)
    assert torch.equal(again(x), first)
    other = ft.FeatureAugmentation(kind, seed=6)
    assert not torch.equal(other(x), first)
    file = io.BytesIO()
    torch.save(augment.state_dict(), file)
    file.seek(0)
    resumed = ft.FeatureAugmentation(kind, seed=5)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    copied = copy.deepcopy(augment)
    third = augment(x)
    assert torch.equal(resumed(x), third) and torch.equal(copied(x), third)
    augment.eval()
    before = copy.deepcopy(augment.state_dict())
    assert torch.equal(augment(x), x)
    for name, value in augment.state_dict().items():
        assert torch.equal(value, before[name])
    assert torch.equal(augment.train()(x), resumed(x))


def test_a_list_of_kinds_is_one_after_another(rows):
    x = rows(40, 12)
    both = ft.FeatureAugmentation(["mask", "noise"], seed=5)
    out = both(x)
    kept = ((out - x).abs() < 0.4).double().mean()
    assert 0.6 < kept < 1 and not torch.equal(out, x)
    y = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(both(y).sum(), y)
    assert set(gradient.unique().tolist()) == {0.0, 1.0}


def test_parameters_of_a_module(rows):
    x = rows(100, 50)
    kept = ft.FeatureAugmentation("mask", keep=0.5)(x) != 0
    assert abs(kept.double().mean() - 0.5) < 0.03
    noise = ft.FeatureAugmentation("noise", scale=0.5)(x) - x
    assert abs(noise.std() - 0.5) < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_a_module(rows, kind):
    augment, x = ft.FeatureAugmentation(kind, seed=5), rows(5, 4).requires_grad_()
    start = copy.deepcopy(augment.state_dict())

    def at_the_same_step(x):
        augment.load_state_dict(start)
        return augment(x)

    assert torch.autograd.gradcheck(at_the_same_step, x)


def test_neighbours_from_a_queue(rows):
    queue = ft.SupportQueue(50, 8)
    queue.enqueue(rows(40, 8, torch.float32))
    augment = ft.FeatureAugmentation("neighbour", queue=queue)
    x = rows(6, 8, torch.float32)
    out = augment(x)
    torch.testing.assert_close(out, queue.nearest(x).values)
    assert augment.eval()(x) is x or torch.equal(augment(x), x)


def test_errors(rows, refuses):
    x = rows(4, 3)
    refuses(lambda: ft.mask(x, 1.5, seed=0, step=0), "mask", "keep", "1.5")
    refuses(lambda: ft.gaussian_noise(x, -1.0, seed=0, step=0), "noise", "scale", "-1")
    refuses(lambda: ft.interpolate(x, weight=1.5, seed=0, step=0), "interpolate", "weight", "1.5")
    refuses(
        lambda: ft.interpolate(x, partner=x[:2], seed=0, step=0),
        "partner",
        "got shape (2, 3), wanted shape (4, 3)",
    )
    refuses(lambda: ft.FeatureAugmentation("blur"), "blur", "mask", error=ValueError)
    refuses(
        lambda: ft.FeatureAugmentation("mask", scale=1.0), "scale", error=(TypeError, ValueError)
    )
    refuses(lambda: ft.FeatureAugmentation("neighbour"), "queue", error=(TypeError, ValueError))
