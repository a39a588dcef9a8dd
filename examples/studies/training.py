"""Trains an encoder without labels by the losses of NNCLR, BYOL or SimCLR, with feature augmentation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from feaug_torch import FeatureAugmentation, InfoNCELoss, NegativeCosineSimilarity, NTXentLoss, SupportQueue, momentum_update
from torch import nn

BATCH, QUEUE, PROJECTED = 256, 4096, 64
LEARNING_RATE, TEMPERATURE, MOMENTUM = 2e-3, 0.2, 0.99
# The strengths are the defaults of train_fashion_mnist. Features are normalised first, since noise is relative to rows of norm 1.
AUGMENTATIONS = {"mask": {"keep": 0.8}, "noise": {"scale": 0.05}, "interpolate": {"weight": (0.8, 1.0)}}


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Neighbours:
    """The nearest row of a support queue of targets, never of the same sample."""

    def __init__(self, samples: int, dim: int):
        # The labels are the samples' numbers. A queue of at most all samples has a sample twice at most: in two orders of the samples.
        self.queue = SupportQueue(min(QUEUE, samples), dim, labels=True)

    def of(self, targets: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
        if int(self.queue.filled) < 3:
            return targets
        found = self.queue.nearest(targets, 3)
        others = self.queue.labels[found.indices] != samples[:, None]
        return found.values[torch.arange(len(targets)), others.int().argmax(1)]


def train(encoder: nn.Module, view: Callable[[torch.Tensor, int], torch.Tensor], samples: int, features: int, *, method: str, augmentation: str,
          epochs: int, seed: int) -> None:
    """Trains `encoder`, which gives `features` numbers a sample. view(samples, number) makes view 0 or 1 of these samples, as the encoder's input.

    PyTorch's generator draws the first weights and the order of the samples; `seed` is that of the feature augmentation.
    """
    online = nn.Sequential(encoder, mlp(features, 256, PROJECTED))
    target = copy.deepcopy(online).requires_grad_(False) if method == "byol" else None
    predictor = mlp(PROJECTED, 256, PROJECTED) if method in ("nnclr", "byol") else nn.Identity()
    neighbours = Neighbours(samples, PROJECTED)
    change = FeatureAugmentation(augmentation, seed=seed, **AUGMENTATIONS[augmentation]) if augmentation in AUGMENTATIONS else None
    criterion = {"nnclr": InfoNCELoss(temperature=TEMPERATURE), "byol": NegativeCosineSimilarity(), "simclr": NTXentLoss(temperature=TEMPERATURE)}[method]
    optimizer = torch.optim.AdamW([*online.parameters(), *predictor.parameters()], lr=LEARNING_RATE)
    size = min(BATCH, samples)
    total = epochs * (samples // size)
    warm_up = max(1, total // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda at: (at + 1) / warm_up if at < warm_up else 0.5 * (1 + math.cos(math.pi * (at - warm_up) / max(1, total - warm_up))))
    for _ in range(epochs):
        order = torch.randperm(samples)
        for batch in order[: samples - samples % size].split(size):
            both = torch.cat([view(batch, 0), view(batch, 1)])
            z = online(both)
            t = z if target is None else target(both)
            if method != "simclr":
                t = t.detach()
            z0, z1 = z.chunk(2)
            t0, t1 = (augmented(part, batch, augmentation, neighbours, change) for part in nn.functional.normalize(t, dim=1).chunk(2))
            p0, p1 = predictor(z).chunk(2)
            loss = (criterion(t0, p1) + criterion(t1, p0)) / 2
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if target is not None:
                momentum_update([*online.parameters()], [*target.parameters()], MOMENTUM)
            neighbours.queue.enqueue(t[: len(batch)].detach(), labels=batch)


def augmented(targets: torch.Tensor, batch: torch.Tensor, augmentation: str, neighbours: Neighbours, change: nn.Module | None) -> torch.Tensor:
    if augmentation == "neighbour":
        return neighbours.of(targets.detach(), batch)
    return targets if change is None else change(targets)


@torch.no_grad()
def features_of(encoder: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
    """Of the frozen encoder, with the statistics that it has learned."""
    encoder.eval()
    result = torch.cat([encoder(part) for part in inputs.split(4096)])
    encoder.train()
    return result
