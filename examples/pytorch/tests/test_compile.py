"""torch.compile without graph breaks gives the results of eager PyTorch."""

import copy

import feaug_torch as ft
import pytest
import torch
from calls import functions
from torch import nn


class Step(nn.Module):
    """NNCLR's forward pass: network, augmentation, neighbours, loss, and enqueue."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 8))
        self.predictor = nn.Linear(8, 8)
        self.augment = ft.FeatureAugmentation(["mask", "noise"], seed=3)
        self.bank = ft.NNMemoryBankModule(size=(64, 8))
        self.queue = ft.SupportQueue(32, 8)
        self.loss = ft.InfoNCELoss()
        self.moco = ft.NTXentLoss(memory_bank_size=(32, 8))

    def forward(self, x0, x1):
        z0, z1 = self.encoder(x0), self.encoder(x1)
        p0, p1 = self.predictor(self.augment(z0)), self.predictor(self.augment(z1))
        n0 = self.bank(z0.detach(), update=False)
        n1 = self.bank(z1.detach(), update=True)
        self.queue.enqueue(z0)
        nearest = self.queue.nearest(z1, k=3).values.mean(1)
        contrast = (self.loss(n0, p1) + self.loss(n1, p0)) / 2
        return contrast + self.moco(p0, z1.detach()) + ft.negative_cosine(p0, nearest)


def trained(step, model, views):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for x0, x1 in views:
        optimizer.zero_grad()
        loss = step(x0, x1)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_training_step_is_the_eager_one(backend):
    torch._dynamo.reset()
    views = torch.randn(5, 2, 24, 10)
    eager = Step()
    compiled_model = copy.deepcopy(eager)
    compiled = torch.compile(compiled_model, fullgraph=True, backend=backend)
    torch.testing.assert_close(
        trained(compiled, compiled_model, views), trained(eager, eager, views), rtol=1e-4, atol=1e-4
    )
    for name, value in eager.state_dict().items():
        torch.testing.assert_close(
            compiled_model.state_dict()[name], value, rtol=1e-3, atol=1e-3, msg=name
        )


@pytest.mark.parametrize("name", functions(torch.empty))
def test_a_compiled_function_is_the_eager_one(rows, name):
    torch._dynamo.reset()
    function = functions(rows)[name]
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager", dynamic=True)
    for _ in range(2):
        x, y = rows(9, 6).requires_grad_(), rows(9, 6).requires_grad_()
        ours, wanted = compiled(x, y), function(x, y)
        torch.testing.assert_close(ours, wanted)
        if wanted.requires_grad:
            of = [
                torch.autograd.grad(out.sum(), (x, y), allow_unused=True) for out in (ours, wanted)
            ]
            torch.testing.assert_close(of[0], of[1])


def test_one_program_serves_every_batch_size(rows):
    torch._dynamo.reset()
    programs = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(ft.info_nce, fullgraph=True, backend=programs, dynamic=True)
    compiled(rows(9, 6).requires_grad_(), rows(9, 6))
    compiled_first = programs.frame_count
    for count in (17, 33):
        x, y = rows(count, 6).requires_grad_(), rows(count, 6)
        torch.testing.assert_close(compiled(x, y), ft.info_nce(x, y))
    assert programs.frame_count == compiled_first > 0
