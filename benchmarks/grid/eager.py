"""Each operator as its users write it in PyTorch. The formulas are those of feaug_torch, with the same defaults."""
import torch
import torch.nn.functional as F

TEMPERATURE = 0.1


def unit(x):
    return F.normalize(x, dim=1)


def own_rows(x):
    return torch.arange(len(x))


def info_nce(queries, keys):
    return F.cross_entropy(unit(queries) @ unit(keys).T / TEMPERATURE, own_rows(queries))


def symmetric_info_nce(queries, keys):
    logits = unit(queries) @ unit(keys).T / TEMPERATURE
    own = own_rows(queries)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def nt_xent(a, b):
    z = unit(torch.cat([a, b]))
    logits = z @ z.T / TEMPERATURE
    return F.cross_entropy(logits.fill_diagonal_(-torch.inf), own_rows(z).roll(len(a)))


def sigmoid(a, b):
    logits = 10.0 * unit(a) @ unit(b).T - 10.0
    signs = 2 * torch.eye(len(a), dtype=logits.dtype) - 1
    return -F.logsigmoid(signs * logits).sum() / len(a)


def supervised_contrastive(features, labels):
    z = unit(features)
    others = ~torch.eye(len(z), dtype=torch.bool)
    logits = (z @ z.T / TEMPERATURE).masked_fill(~others, -torch.inf)
    positives = (labels[:, None] == labels) & others
    counts = positives.sum(1)
    sums = F.log_softmax(logits, dim=1).masked_fill(~positives, 0).sum(1)
    return -(sums / counts.clamp(min=1)).sum() / (counts > 0).sum()


def negative_cosine(predictions, targets):
    return -F.cosine_similarity(predictions, targets).mean()


def barlow_twins(a, b, lambda_param=5e-3, eps=1e-5):
    a, b = ((x - x.mean(0)) / (x.var(0, unbiased=False) + eps).sqrt() for x in (a, b))
    c = a.T @ b / len(a)
    on = c.diagonal()
    return (1 - on).square().sum() + lambda_param * (c.square().sum() - on.square().sum())


def vicreg(a, b, eps=1e-4):
    loss = 25 * F.mse_loss(a, b)
    for x in (a, b):
        x = x - x.mean(0)
        c = x.T @ x / (len(x) - 1)
        loss = loss + 12.5 * F.relu(1 - (c.diagonal() + eps).sqrt()).mean()
        loss = loss + (c.square().sum() - c.diagonal().square().sum()) / x.shape[1]
    return loss


def hypersphere(a, b):
    x, y = unit(a), unit(b)
    uniformity = [torch.pdist(rows).square().neg().exp().mean().log() for rows in (x, y)]
    return (x - y).norm(dim=1).square().mean() + sum(uniformity) / 2


def mask(x):
    return x * torch.empty_like(x).bernoulli_(0.8)


def gaussian_noise(x):
    return x + 0.05 * torch.randn_like(x)


def uniform_noise(x):
    return x + torch.empty_like(x).uniform_(-0.05, 0.05)


def interpolate(x, partner):
    return torch.lerp(partner, x, 0.5)


def extrapolate(x, partner):
    return partner + 1.5 * (x - partner)


def slerp(x, partner):
    cosine = F.cosine_similarity(x, partner, dim=1)[:, None].clamp(-1, 1)
    angle = cosine.acos()
    weight = (0.5 * angle).sin() / angle.sin()
    return weight * unit(x) + weight * unit(partner)


def exchange_moments(x, partner):
    mean, other_mean = x.mean(1, keepdim=True), partner.mean(1, keepdim=True)
    return (x - mean) / _deviation(x) * _deviation(partner) + other_mean


def _deviation(x, eps=1e-5):
    return (x.var(1, unbiased=False, keepdim=True) + eps).sqrt()


def l2_normalize(x):
    return unit(x)


def nearest(rows, queries, k):
    """Among unit rows: similarities and indices."""
    return (unit(queries) @ rows.T).topk(k)


def enqueue(rows, batch):
    rows[: len(batch)] = unit(batch)


def momentum_update(targets, online):
    with torch.no_grad():
        torch._foreach_mul_(targets, 0.99)
        torch._foreach_add_(targets, online, alpha=0.01)
