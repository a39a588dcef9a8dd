"""Losses under autocast: inputs are converted to one type, the loss is float32."""

import feaug_torch as ft
import formulas
import pytest
import torch

SIDES = [
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.bfloat16),
    (torch.bfloat16, torch.bfloat16),
    (torch.float32, torch.float32),
    (torch.float16, torch.bfloat16),
]


@pytest.mark.parametrize("types", SIDES, ids=str)
@pytest.mark.parametrize(
    "name", ["info_nce", "symmetric_info_nce", "nt_xent", "sigmoid", "negative_cosine"]
)
def test_sides_of_different_types(rows, name, types):
    a, b = (rows(24, 8, dtype).requires_grad_() for dtype in types)
    wanted = getattr(formulas, name)(a.double(), b.double())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = getattr(ft, name)(a, b)
    assert ours.dtype == torch.float32
    torch.testing.assert_close(ours.double(), wanted, rtol=2e-2, atol=1e-2)
    gradients = torch.autograd.grad(ours, (a, b))
    for gradient, side, plain in zip(gradients, (a, b), torch.autograd.grad(wanted, (a, b))):
        assert gradient.dtype == side.dtype
        torch.testing.assert_close(
            gradient.double(), plain.double(), rtol=0.1, atol=0.04 * plain.abs().max().item()
        )


def test_without_autocast_the_wider_type_is_taken(rows):
    a, b = (rows(24, 8, dtype).requires_grad_() for dtype in (torch.bfloat16, torch.float64))
    ours, wanted = ft.info_nce(a, b), formulas.info_nce(a.double(), b)
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, wanted)
    for gradient, side in zip(torch.autograd.grad(ours, (a, b)), (a, b)):
        assert gradient.dtype == side.dtype


def test_a_whole_step(rows):
    model = torch.nn.Linear(10, 8)
    bank, moco = ft.NNMemoryBankModule(size=(64, 8)), ft.NTXentLoss(memory_bank_size=(64, 8))
    augment, loss_of = ft.FeatureAugmentation(["mask", "interpolate"]), ft.InfoNCELoss()
    queue = ft.SupportQueue(64, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = model(rows(16, 10, torch.float32))
        assert z.dtype == torch.bfloat16
        found = bank(z.detach(), update=True)
        queue.enqueue(z)
        queue.nearest(z)
        augmented = augment(z)
        assert augmented.dtype == torch.bfloat16
        losses = [loss_of(found, augmented), moco(augmented, z.detach()), ft.vicreg(z, augmented)]
    for loss in losses:
        assert loss.dtype == torch.float32 and torch.isfinite(loss)
    sum(losses).backward()
    assert torch.isfinite(model.weight.grad).all() and model.weight.grad.any()
