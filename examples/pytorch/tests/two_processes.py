"""The work of each of the two processes of test_distributed.py, which import this module."""

import os

import feaug_torch as ft
import torch
import torch.distributed as dist
from torch import nn

ROWS, FEATURES, STEPS = 12, 6, 3

LOSSES = {
    "NTXentLoss": lambda gather: ft.NTXentLoss(0.3, gather_distributed=gather),
    "MoCo": lambda gather: ft.NTXentLoss(0.3, (30, FEATURES), gather_distributed=gather),
    "InfoNCELoss": lambda gather: ft.InfoNCELoss(0.3, gather_distributed=gather),
    "symmetric": lambda gather: ft.InfoNCELoss(0.3, symmetric=True, gather_distributed=gather),
    "DCLLoss": lambda gather: ft.DCLLoss(0.3, gather_distributed=gather),
    "DCLWLoss": lambda gather: ft.DCLWLoss(0.3, gather_distributed=gather),
    "BarlowTwinsLoss": lambda gather: ft.BarlowTwinsLoss(gather_distributed=gather),
    "VICRegLoss": lambda gather: ft.VICRegLoss(gather_distributed=gather),
    "HypersphereLoss": lambda gather: ft.HypersphereLoss(gather_distributed=gather),
}


def batches():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(STEPS, 2, ROWS, FEATURES, generator=generator, dtype=torch.float64)


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(11)
        self.network = nn.Sequential(
            nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, FEATURES)
        ).double()

    def forward(self, x):
        return self.network(x)


def train(name, gather, rows, wrap=lambda model: model):
    """Losses and gradients of a few steps on these rows of every batch; the state of the loss."""
    torch.manual_seed(5)
    loss_of, model = LOSSES[name](gather).double(), wrap(Learner())
    losses, gradients = [], []
    for a, b in batches()[:, :, rows]:
        model.zero_grad()
        loss = loss_of(*model(torch.cat([a, b])).chunk(2))
        loss.backward()
        losses.append(loss.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    return torch.stack(losses), torch.stack(gradients), loss_of.state_dict()


def fill(queue, rows):
    for batch in batches()[:, 0, rows]:
        queue.enqueue(batch.float())
    return queue.state_dict()


def masked(rows):
    return ft.FeatureAugmentation("mask", seed=3)(batches()[0, 0, rows])


def gathered_columns(rank):
    """The result of ft.distributed.all_gather, and the gradient of a rank's own loss of it."""
    own = (torch.arange(6.0).reshape(3, 2) + 10 * rank).requires_grad_()
    gathered = ft.distributed.all_gather(own)
    weights = torch.arange(12.0).reshape(6, 2) * (rank + 1)
    (gradient,) = torch.autograd.grad((gathered * weights).sum(), own)
    return gathered.detach(), gradient


def seeded_apart(rank):
    """The states of banks whose processes have different seeds, after a step."""
    torch.manual_seed(rank)
    bank = ft.NNMemoryBankModule((30, FEATURES), gather_distributed=True)
    moco = ft.NTXentLoss(0.3, (30, FEATURES), gather_distributed=True)
    rows = batches()[0, :, 2 * rank : 2 * rank + 2].float()
    bank(rows[0], update=True)
    moco(rows[0].requires_grad_(), rows[1])
    return [bank.rows, moco.memory_bank.rows]


def uneven(rank):
    """What a process is told whose batch is larger or smaller than the other's."""
    try:
        ft.InfoNCELoss(gather_distributed=True)(torch.randn(4, 3), torch.randn(4 - rank, 3))
    except ValueError as refused:
        return str(refused)
    return "no error"


def leave():
    """Ends a process that has written its results, without Python's finalisation: a thread of gloo
    that releases a tensor during it may abort the process.
    """
    dist.destroy_process_group()
    os._exit(0)


def uneven_of_three(rank, folder):
    """Processes 0 and 2 have equal batches."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/three", rank=rank, world_size=3)
    torch.save(uneven(rank % 2), f"{folder}/uneven_{rank}.pt")
    leave()


def main(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    rows = slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)
    results = {
        name: train(name, True, rows, nn.parallel.DistributedDataParallel) for name in LOSSES
    }
    results["queue"] = fill(ft.SupportQueue(20, FEATURES, gather_distributed=True), rows)
    results["mask"] = masked(rows)
    results["all_gather"] = gathered_columns(rank)
    results["uneven"] = uneven(rank)
    results["seeded apart"] = seeded_apart(rank)
    torch.save(results, f"{folder}/{rank}.pt")
    leave()
