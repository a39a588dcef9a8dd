"""Tests of the loss modules: values and gradients equal the formulas in formulas.py; arguments have the order of the library lightly; memory banks."""

import copy
import math

import feaug_torch as ft
import formulas
import pytest
import torch

MODULES = [
    pytest.param(ft.NTXentLoss(), formulas.nt_xent, id="NTXentLoss"),
    pytest.param(ft.InfoNCELoss(), formulas.info_nce, id="InfoNCELoss"),
    pytest.param(
        ft.InfoNCELoss(temperature=0.2, symmetric=True),
        lambda a, b: formulas.symmetric_info_nce(a, b, temperature=0.2),
        id="symmetric InfoNCELoss",
    ),
    pytest.param(
        ft.NegativeCosineSimilarity(), formulas.negative_cosine, id="NegativeCosineSimilarity"
    ),
    pytest.param(ft.DCLLoss(), formulas.dcl, id="DCLLoss"),
    pytest.param(
        ft.DCLWLoss(temperature=0.2, sigma=0.4),
        lambda a, b: formulas.dcl(a, b, temperature=0.2, sigma=0.4),
        id="DCLWLoss",
    ),
    pytest.param(ft.BarlowTwinsLoss(), formulas.barlow_twins, id="BarlowTwinsLoss"),
    pytest.param(
        ft.BarlowTwinsLoss(lambda_param=0.1),
        lambda a, b: formulas.barlow_twins(a, b, lambda_param=0.1),
        id="BarlowTwinsLoss of another weight",
    ),
    pytest.param(ft.VICRegLoss(), formulas.vicreg, id="VICRegLoss"),
    pytest.param(
        ft.VICRegLoss(lambda_param=1.0, mu_param=2.0, nu_param=3.0, eps=1e-2),
        lambda a, b: formulas.vicreg(a, b, 1.0, 2.0, 3.0, 1e-2),
        id="VICRegLoss of other weights",
    ),
    pytest.param(ft.HypersphereLoss(), formulas.hypersphere, id="HypersphereLoss"),
    pytest.param(
        ft.HypersphereLoss(t=2.0, lam=0.5, alpha=1.0),
        lambda a, b: formulas.hypersphere(a, b, 2.0, 0.5, 1.0),
        id="HypersphereLoss of other weights",
    ),
]


@pytest.mark.parametrize("module, plain", MODULES)
def test_modules_are_the_formulas(rows, module, plain):
    a, b = (rows(31, 11).requires_grad_() for _ in range(2))
    ours, wanted = module(a, b), plain(a, b)
    torch.testing.assert_close(ours, wanted, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(ours, (a, b)),
        torch.autograd.grad(wanted, (a, b)),
        rtol=1e-9,
        atol=1e-11,
    )


def test_the_order_of_arguments_is_lightlys():
    assert ft.NTXentLoss(0.3).temperature == 0.3
    assert ft.DCLWLoss(0.3, 0.7).sigma == 0.7
    ft.NTXentLoss(0.3, (8, 4), False)
    ft.DCLLoss(0.3, None, False)
    ft.NegativeCosineSimilarity(1, 1e-8)
    ft.BarlowTwinsLoss(5e-3, False)
    ft.VICRegLoss(25.0, 25.0, 1.0, False, 1e-4)
    assert ft.HypersphereLoss(2.0, 0.5, 1.0).lam == 0.5


def test_supcon_takes_views_as_its_authors_code_does(rows):
    features, labels = rows(2 * 9, 5).reshape(9, 2, 5).requires_grad_(), torch.arange(9) % 4
    flat, of_rows = features.flatten(0, 1), labels.repeat_interleave(2)
    wanted = formulas.supervised_contrastive(flat, of_rows, temperature=0.2)
    ours = ft.SupConLoss(temperature=0.2, base_temperature=0.2)(features, labels)
    torch.testing.assert_close(ours, wanted)
    torch.testing.assert_close(
        ft.SupConLoss(temperature=0.2, base_temperature=0.1)(flat, of_rows), 2 * wanted
    )
    simclr = formulas.nt_xent(features[:, 0], features[:, 1], temperature=0.07)
    torch.testing.assert_close(ft.SupConLoss()(features), simclr)


def test_the_temperature_of_a_module_is_learnt(rows):
    a, b = rows(9, 5), rows(9, 5)
    t = torch.nn.Parameter(torch.tensor(0.4, dtype=torch.float64))
    for module, plain in (
        (ft.NTXentLoss, formulas.nt_xent),
        (ft.InfoNCELoss, formulas.info_nce),
    ):
        loss = module(temperature=t)
        assert [name for name, _ in loss.named_parameters()] == ["temperature"]
        torch.testing.assert_close(
            torch.autograd.grad(loss(a, b), t), torch.autograd.grad(plain(a, b, temperature=t), t)
        )


class PlainBank:
    """Reference for MoCo's bank, which inserts one row at a time."""

    def __init__(self, rows):
        self.rows, self.slot = rows.clone(), 0

    def enqueue(self, batch):
        for row in batch:
            self.rows[self.slot] = row
            self.slot = (self.slot + 1) % len(self.rows)


def test_nt_xent_with_a_memory_bank_is_the_loss_of_moco(rows):
    loss = ft.NTXentLoss(temperature=0.2, memory_bank_size=(20, 6)).double()
    state = loss.state_dict()
    (bank,) = [value for value in state.values() if value.shape == (20, 6)]
    torch.testing.assert_close(bank.norm(dim=1), torch.ones(20, dtype=bank.dtype))
    plain = PlainBank(bank.double())
    for count in (8, 7, 8, 1, 20, 33):  # wraps around; larger than the bank
        queries, keys = rows(count, 6).requires_grad_(), rows(count, 6)
        ours = loss(queries, keys)
        wanted = formulas.moco(queries, keys, plain.rows, temperature=0.2)
        torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(
            torch.autograd.grad(ours, queries),
            torch.autograd.grad(wanted, queries),
            rtol=1e-5,
            atol=1e-6,
        )
        plain.enqueue(formulas.unit(keys))


def test_a_memory_bank_does_not_change_without_gradients(rows):
    loss = ft.NTXentLoss(memory_bank_size=(20, 6))
    before = copy.deepcopy(loss.state_dict())
    for _ in range(3):
        loss(rows(4, 6, torch.float32), rows(4, 6, torch.float32))
    for name, value in loss.state_dict().items():
        assert torch.equal(value, before[name])


def test_gradients_reach_keys_that_are_not_detached(rows):
    loss = ft.NTXentLoss(temperature=0.2, memory_bank_size=(20, 6)).double()
    (bank,) = [value for value in loss.state_dict().values() if value.shape == (20, 6)]
    bank = bank.double()
    queries, keys = rows(7, 6).requires_grad_(), rows(7, 6).requires_grad_()
    wanted = formulas.moco(queries, keys, bank, temperature=0.2)
    wanted = torch.autograd.grad(wanted, (queries, keys))
    ours = torch.autograd.grad(loss(queries, keys), (queries, keys))
    torch.testing.assert_close(ours, wanted, rtol=1e-6, atol=1e-7)


def test_a_module_without_a_bank_has_no_state():
    for module in (ft.NTXentLoss(), ft.InfoNCELoss(), ft.VICRegLoss(), ft.BarlowTwinsLoss()):
        assert not module.state_dict()


def test_sizes_of_a_memory_bank_that_are_refused(refuses):
    refuses(lambda: ft.NTXentLoss(memory_bank_size=-1), "-1", error=ValueError)
    refuses(lambda: ft.NTXentLoss(memory_bank_size=(8, 4, 2)), "(8, 4, 2)", error=ValueError)
    assert not ft.NTXentLoss(memory_bank_size=0).state_dict()


def test_arguments_of_lightly_that_are_not_supported(refuses):
    refuses(lambda: ft.NegativeCosineSimilarity(dim=0), "dim", "0", error=ValueError)
    refuses(lambda: ft.DCLLoss(weight_fn=lambda a, b: a.sum(1)), "weight_fn", error=ValueError)
    for temperature in (0.0, -0.1, math.nan):
        refuses(lambda t=temperature: ft.NTXentLoss(t), "temperature", error=ValueError)
        refuses(lambda t=temperature: ft.InfoNCELoss(t), "temperature", error=ValueError)


def test_deepcopy(rows):
    loss = ft.NTXentLoss(memory_bank_size=(20, 6))
    other = copy.deepcopy(loss)
    queries, keys = rows(4, 6, torch.float32).requires_grad_(), rows(4, 6, torch.float32)
    first = loss(queries, keys)
    assert torch.equal(first, other(queries, keys))
    assert not torch.equal(first, loss(queries, keys))
