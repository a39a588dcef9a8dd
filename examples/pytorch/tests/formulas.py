"""Reference losses in plain PyTorch, as written in their papers."""

import torch
import torch.nn.functional as F


def unit(x):
    return F.normalize(x, dim=1)


def info_nce(queries, keys, negatives=None, temperature=0.1, positive_offset=0):
    """The positive of row i is key i + positive_offset, among all keys and negatives."""
    columns = keys if negatives is None else torch.cat([keys, negatives])
    logits = unit(queries) @ unit(columns).T / temperature
    return F.cross_entropy(logits, torch.arange(len(queries)) + positive_offset)


def symmetric_info_nce(queries, keys, temperature=0.1):
    forward = info_nce(queries, keys, temperature=temperature)
    return (forward + info_nce(keys, queries, temperature=temperature)) / 2


def moco(queries, keys, negatives, temperature=0.5):
    """A query's logits are those of its own key and of `negatives`; no in-batch negatives."""
    positive = (unit(queries) * unit(keys)).sum(1, keepdim=True)
    logits = torch.cat([positive, unit(queries) @ unit(negatives).T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(queries), dtype=torch.long))


def _pairs_of_two_views(z0, z1, temperature):
    """2N × 2N logits with the diagonal excluded, and the column of row i's other view."""
    n = len(z0)
    z = unit(torch.cat([z0, z1]))
    own = torch.eye(2 * n, dtype=torch.bool)
    return (z @ z.T / temperature).masked_fill(own, -torch.inf), torch.arange(2 * n).roll(n)


def nt_xent(z0, z1, temperature=0.5):
    logits, other_view = _pairs_of_two_views(z0, z1, temperature)
    return F.cross_entropy(logits, other_view)


def dcl(z0, z1, temperature=0.1, sigma=None):
    """NT-Xent without the positive in the denominator; sigma: with the weights of DCLW."""
    logits, other_view = _pairs_of_two_views(z0, z1, temperature)
    rows = torch.arange(len(logits))
    positive = logits[rows, other_view]
    negative = logits.index_put((rows, other_view), torch.tensor(-torch.inf, dtype=logits.dtype))
    if sigma is not None:
        cosine = (unit(z0) * unit(z1)).sum(1).detach()
        positive = positive * (2 - len(z0) * torch.softmax(cosine / sigma, dim=0)).repeat(2)
    return (torch.logsumexp(negative, dim=1) - positive).mean()


def negative_cosine(predictions, targets):
    return -(unit(predictions) * unit(targets)).sum(1).mean()


def sigmoid(a, b, scale=10.0, bias=-10.0):
    """SigLIP: a binary classification of every pair."""
    logits = scale * unit(a) @ unit(b).T + bias
    return -F.logsigmoid(logits * (2 * torch.eye(len(a), dtype=a.dtype) - 1)).sum() / len(a)


def supervised_contrastive(features, labels, temperature=0.1):
    """L_out of SupCon; the mean excludes rows without a positive."""
    own = torch.eye(len(features), dtype=torch.bool)
    logits = (unit(features) @ unit(features).T / temperature).masked_fill(own, -torch.inf)
    log_softmax = logits.log_softmax(dim=1).masked_fill(own, 0)
    positive = (labels[:, None] == labels[None, :]) & ~own
    count = positive.sum(1)
    rows = -(log_softmax * positive).sum(1)[count > 0] / count[count > 0]
    return rows.mean()


def barlow_twins(a, b, lambda_param=5e-3, eps=1e-5):
    def standardised(x):
        return (x - x.mean(0)) / (x.var(0, unbiased=False) + eps).sqrt()

    correlation = standardised(a).T @ standardised(b) / len(a)
    diagonal = correlation.diagonal()
    redundancy = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + lambda_param * redundancy


def vicreg(a, b, lambda_param=25.0, mu_param=25.0, nu_param=1.0, eps=1e-4):
    def variance(x):
        return F.relu(1 - (x.var(0) + eps).sqrt()).mean()

    def covariance(x):
        c = torch.cov(x.T).reshape(x.shape[1], x.shape[1])
        return (c.square().sum() - c.diagonal().square().sum()) / x.shape[1]

    return (
        lambda_param * F.mse_loss(a, b)
        + mu_param * (variance(a) + variance(b)) / 2
        + nu_param * (covariance(a) + covariance(b))
    )


def hypersphere(a, b, t=1.0, lam=1.0, alpha=2.0):
    def uniformity(x):
        return torch.pdist(unit(x)).square().mul(-t).exp().mean().log()

    alignment = (unit(a) - unit(b)).norm(dim=1).pow(alpha).mean()
    return alignment + lam * (uniformity(a) + uniformity(b)) / 2


def nearest(rows, queries, k):
    """Slots of the k rows with the largest cosine, in float64; ties go to the lowest slot."""
    cosines = unit(queries.double()) @ unit(rows.double()).T
    return cosines.sort(dim=1, descending=True, stable=True).indices[:, :k]
