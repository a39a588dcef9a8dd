"""Trains NNCLR on synthetic images: eight classes of blurred random patterns.

Every view of an image adds its own random stripes and noise.
"""

import torch
from feaug_torch import FeatureAugmentation, InfoNCELoss, NNMemoryBankModule, nearest
from torch import nn

torch.manual_seed(1)
shapes = nn.functional.interpolate(torch.randn(8, 1, 4, 4), size=16, mode="bilinear")
labels = torch.randint(8, (4096,))


def view(images: torch.Tensor) -> torch.Tensor:
    stripes = 2 * torch.randn(len(images), 1, 1, 16) + 2 * torch.randn(len(images), 1, 16, 1)
    return images + stripes + 0.3 * torch.randn_like(images)


def accuracy() -> float:
    with torch.no_grad():
        found = nearest(encoder(images), encoder(held_out)).indices
    return 100 * (labels[found] == labels[:1024]).double().mean().item()


images, held_out = view(shapes[labels]), view(shapes[labels[:1024]])
encoder = nn.Sequential(nn.Flatten(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 64))
predictor = nn.Sequential(nn.Linear(64, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 64))
augment = FeatureAugmentation("mask", keep=0.9, seed=1)
bank, criterion = NNMemoryBankModule(size=(2048, 64)), InfoNCELoss(temperature=0.2)
optimizer = torch.optim.Adam([*encoder.parameters(), *predictor.parameters()], lr=2e-3)
print(f"accuracy {accuracy():.1f} % of nearest neighbours before training")
for step in range(1, 301):
    batch = images[torch.randint(len(images), (256,))]
    z0, z1 = encoder(view(batch)), encoder(view(batch))
    p0, p1 = predictor(augment(z0)), predictor(augment(z1))
    n0, n1 = bank(z0.detach(), update=False), bank(z1.detach(), update=True)
    loss = (criterion(n0, p1) + criterion(n1, p0)) / 2
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 150 == 0:
        print(f"step {step}: loss {loss.item():.3f}, accuracy {accuracy():.1f} %")
