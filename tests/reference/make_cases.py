#!/usr/bin/env python3
"""Writes the project's case files: OP.json for every operator, into FOLDER or, by default, into this folder.

An independent implementation of the operators' formulas (torch 2.x, float64, gradients by automatic differentiation).
It shares no code and no method with the library: full matrices, no blocks, no hand-written gradients. Its output is
deterministic: every run writes the same bytes.

    python3 tests/reference/make_cases.py [FOLDER]

A case is {"name", "options", "inputs", "stop_gradient", "expected", "tolerance"}; a tensor is {"shape", "data"}. The
expected gradients are for a cotangent (upstream gradient) of 1 or, if the output is an array, of inputs.grad_out.
"""

import itertools
import json
import math
import pathlib
import random
import sys
import zlib

import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # so that the order of sums is fixed

NORM_EPS = 1e-12
HUGE = 1e18
SIZES = [(5, 7), (2, 3), (9, 4), (1, 6), (6, 1)]


# ---- data


class Draw:
    """Random numbers that depend only on the seed.

    All are multiples of 1/256, which float32 represents exactly. So a case has the same inputs in both dtypes. Dot
    products of two rows are exact in float64, so ties between neighbours are well defined.
    """

    def __init__(self, seed):
        self.random = random.Random(zlib.crc32(seed.encode()))

    def normal(self, *shape, scale=1.0):
        count = math.prod(shape)
        data = [round(self.random.gauss(0, scale) * 256) / 256 for _ in range(count)]
        return torch.tensor(data).reshape(shape)

    def uniform(self, low, high, *shape):
        steps = round((high - low) * 256)
        data = [low + self.random.randint(0, steps) / 256 for _ in range(math.prod(shape))]
        return torch.tensor(data).reshape(shape)

    def mask(self, probability, *shape):
        data = [float(self.random.random() < probability) for _ in range(math.prod(shape))]
        return torch.tensor(data).reshape(shape)


def number(value):
    """The value rounded to 15 digits, which hides differences in the last bit between versions of torch."""
    rounded = float(f"{value:.15g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def tensor_json(tensor):
    return {"shape": list(tensor.shape), "data": [number(v) for v in tensor.detach().reshape(-1).tolist()]}


# ---- the formulas


def unit(x, eps=NORM_EPS):
    """x / max(‖x‖, eps). The gradient of rows with ‖x‖ ≤ eps is 0."""
    with torch.no_grad():
        short = torch.linalg.vector_norm(x, dim=1) <= eps
    safe = torch.where(short[:, None], torch.ones_like(x), x)
    long_rows = safe / torch.linalg.vector_norm(safe, dim=1, keepdim=True)
    return torch.where(short[:, None], x.detach() / eps, long_rows)


def reduced(row_losses, reduction):
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}[reduction](row_losses)


def negative_cosine(prediction, target, form="byol", reduction="mean"):
    cosine = (unit(prediction) * unit(target)).sum(dim=1)
    return reduced(2 - 2 * cosine if form == "byol" else -cosine, reduction)


def info_nce(
    queries,
    keys,
    negatives=None,
    temperature=0.1,
    reduction="mean",
    positive_offset=0,
    in_batch_negatives=True,
    normalize=True,
):
    direction = unit if normalize else (lambda x: x)
    scores = direction(queries) @ direction(keys).T / temperature
    rows = torch.arange(len(queries))
    positive = scores[rows, rows + positive_offset]
    columns = [scores] if in_batch_negatives else [positive[:, None]]
    if negatives is not None:
        columns.append(direction(queries) @ direction(negatives).T / temperature)
    return reduced(torch.logsumexp(torch.cat(columns, dim=1), dim=1) - positive, reduction)


def synthetic_rows(
    query,
    hardest,
    first,
    second,
    weights,
    noise,
    interpolated,
    extrapolated,
    mixed,
    noisy,
    stepped,
    sign_stepped,
    noise_scale,
    step,
    sign_step,
):
    """All synthetic negatives of one query, made from its hardest negatives (nearest first) and the draws of its row.
    They are constants. A mixture with norm up to NORM_EPS becomes a row of zeros. A mixture that needs a missing
    negative is skipped."""
    with torch.no_grad():
        rows, at, found = [], 0, len(hardest)
        for kind, count in [
            ("interpolated", interpolated),
            ("extrapolated", extrapolated),
            ("mixed", mixed),
            ("noisy", noisy),
            ("stepped", stepped),
            ("sign_stepped", sign_stepped),
        ]:
            for t in range(count):
                rank, at = int(first[at]), at + 1
                if rank >= found or (kind == "mixed" and int(second[t]) >= found):
                    continue
                n = hardest[rank]
                if kind == "interpolated":
                    row = weights[at - 1] * query + (1 - weights[at - 1]) * n
                elif kind == "extrapolated":
                    row = query + weights[at - 1] * (n - query)
                elif kind == "mixed":
                    row = weights[at - 1] * n + (1 - weights[at - 1]) * hardest[int(second[t])]
                elif kind == "noisy":
                    row = n + noise_scale * noise[t]
                elif kind == "stepped":
                    row = n + step * query
                else:
                    row = n + sign_step * torch.sign(query)
                norm = torch.linalg.vector_norm(row)
                rows.append(torch.zeros_like(row) if norm <= NORM_EPS else row / norm)
        return torch.stack(rows) if rows else torch.zeros(0, len(query))


def hard_negative_info_nce(
    queries,
    keys,
    negatives,
    first,
    second=None,
    weights=None,
    noise=None,
    ids=None,
    exclude_ids=None,
    temperature=0.1,
    reduction="mean",
    positive_offset=0,
    in_batch_negatives=True,
    normalize=True,
    hardest=1,
    interpolated=0,
    extrapolated=0,
    mixed=0,
    noisy=0,
    stepped=0,
    sign_stepped=0,
    noise_scale=0.01,
    step=0.01,
    sign_step=0.01,
):
    direction = unit if normalize else (lambda x: x)
    q, k, n = direction(queries), direction(keys), direction(negatives)
    losses = []
    for i in range(len(q)):
        allowed = [j for j in range(len(n)) if ids is None or ids[j] != exclude_ids[i]]
        hard = []
        if allowed:
            found, _, _ = nearest(queries[i : i + 1], negatives[allowed], min(hardest, len(allowed)))
            hard = n.detach()[[allowed[slot] for slot in found[0].tolist()]]
        made = synthetic_rows(
            q[i].detach(),
            hard,
            first[i],
            None if second is None else second[i],
            None if weights is None else weights[i],
            None if noise is None else noise[i * noisy : (i + 1) * noisy],
            interpolated,
            extrapolated,
            mixed,
            noisy,
            stepped,
            sign_stepped,
            noise_scale,
            step,
            sign_step,
        )
        positive = q[i] @ k[i + positive_offset] / temperature
        columns = [k @ q[i] / temperature if in_batch_negatives else positive[None]]
        columns += [n @ q[i] / temperature, made @ q[i] / temperature]
        losses.append(torch.logsumexp(torch.cat(columns), dim=0) - positive)
    return reduced(torch.stack(losses), reduction)


def symmetric_info_nce(queries, keys, temperature=0.1, reduction="mean", normalize=True):
    how = {"temperature": temperature, "reduction": "none", "normalize": normalize}
    return reduced((info_nce(queries, keys, **how) + info_nce(keys, queries, **how)) / 2, reduction)


def nt_xent(a, b, temperature=0.1, reduction="mean", decoupled=False, normalize=True, positive_weighting=0.0):
    rows = len(a)
    z = torch.cat([a, b])
    z = unit(z) if normalize else z
    scores = z @ z.T / temperature
    partner = torch.arange(2 * rows).roll(rows)
    positive = scores[torch.arange(2 * rows), partner]
    left_out = torch.eye(2 * rows, dtype=torch.bool)
    if decoupled:
        left_out[torch.arange(2 * rows), partner] = True
    if positive_weighting:
        agreement = (z[:rows] * z[rows:]).sum(dim=1).detach() / positive_weighting
        positive = positive * (2 - rows * torch.softmax(agreement, dim=0)).repeat(2)
    return reduced(torch.logsumexp(scores.masked_fill(left_out, -math.inf), dim=1) - positive, reduction)


def sigmoid(a, b, scale=10.0, bias=-10.0, reduction="mean", normalize=True):
    direction = unit if normalize else (lambda x: x)
    logits = scale * (direction(a) @ direction(b).T) + bias
    sign = 2 * torch.eye(len(a)) - 1
    return reduced(-torch.nn.functional.logsigmoid(sign * logits).sum(dim=1), reduction)


def supervised_contrastive(z, labels, temperature=0.1, reduction="mean", normalize=True):
    """The formula, row by row. Rows without a positive have loss 0 and do not count in the mean."""
    z = unit(z) if normalize else z
    losses, counts = [], []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        positives = [j for j in others if labels[j] == labels[i]]
        counts.append(bool(positives))
        if not positives:
            losses.append((z[i] * 0).sum())
            continue
        scores = z @ z[i] / temperature
        losses.append(torch.logsumexp(scores[others], dim=0) - scores[positives].mean())
    losses = torch.stack(losses)
    return losses.sum() / max(sum(counts), 1) if reduction == "mean" else reduced(losses, reduction)


def sinkhorn(scores, extra_scores=None, epsilon=0.05, iterations=3):
    """A constant. The formula, except for one factor that the first scaling cancels."""
    rows = len(scores)
    with torch.no_grad():
        everything = scores if extra_scores is None else torch.cat([scores, extra_scores])
        q = torch.exp((everything - everything.max()) / epsilon)
        count, prototypes = q.shape
        q = q / q.sum()
        for _ in range(iterations):
            q = q / q.sum(dim=0, keepdim=True) / prototypes
            q = q / q.sum(dim=1, keepdim=True) / count
        return (q * count)[:rows]


def swapped_assignment(
    scores_a,
    scores_b,
    extra_scores_a=None,
    extra_scores_b=None,
    temperature=0.1,
    epsilon=0.05,
    iterations=3,
    reduction="mean",
):
    def cross_entropy(assigned, predicted):
        return -(assigned * torch.log_softmax(predicted / temperature, dim=1)).sum(dim=1)

    q_a = sinkhorn(scores_a, extra_scores_a, epsilon, iterations)
    q_b = sinkhorn(scores_b, extra_scores_b, epsilon, iterations)
    return reduced((cross_entropy(q_b, scores_a) + cross_entropy(q_a, scores_b)) / 2, reduction)


def barlow_twins(a, b, **options):
    rows, columns = a.shape
    normalised = [torch.nn.functional.batch_norm(x, None, None, training=True, eps=options["eps"]) for x in (a, b)]
    correlation = normalised[0].T @ normalised[1] / rows
    on = torch.eye(columns, dtype=torch.bool)
    return ((correlation[on] - 1) ** 2).sum() + options["lambda"] * (correlation[~on] ** 2).sum()


def vicreg(a, b, invariance=25.0, variance=25.0, covariance=1.0, eps=1e-4):
    columns = a.shape[1]
    off = ~torch.eye(columns, dtype=torch.bool)
    loss = invariance * torch.nn.functional.mse_loss(a, b)
    for x in (a, b):
        loss = loss + variance / 2 * torch.relu(1 - torch.sqrt(x.var(dim=0) + eps)).mean()
        loss = loss + covariance * (torch.cov(x.T).reshape(columns, columns)[off] ** 2).sum() / columns
    return loss


def momentum_update(targets, online, momentum):
    return momentum * targets + (1 - momentum) * online


def alignment(a, b, alpha=2.0):
    return torch.linalg.vector_norm(unit(a) - unit(b), dim=1).pow(alpha).mean()


def uniformity(x, t=2.0):
    return torch.pdist(unit(x)).pow(2).mul(-t).exp().mean().log()


def hypersphere(a, b, t=1.0, lam=1.0, alpha=2.0):
    return alignment(a, b, alpha) + lam * (uniformity(a, t) + uniformity(b, t)) / 2


def neighbour_share(indices, queue_numbers, numbers):
    found = indices >= 0
    same = queue_numbers[indices.clamp(min=0).long()] == numbers[:, None]
    return (same & found).sum() / found.sum()


def masked_prediction(prediction, target, keep, form="smooth_l1", beta=1.0, reduction="mean"):
    """Row by row. Kept features are ignored; rows without a masked feature have loss 0."""
    losses, counts = [], []
    for p, t, k in zip(prediction, target, keep):
        p, t = p[k == 0], t[k == 0]
        if form == "cosine":
            counts.append(min(len(p), 1))
            losses.append(2 - 2 * (unit(p[None]) * unit(t[None])).sum() if len(p) else (p.sum() + t.sum()) * 0)
            continue
        counts.append(len(p))
        if form == "squared":
            losses.append(((p - t) ** 2).sum())
        else:
            losses.append(torch.nn.functional.smooth_l1_loss(p, t, reduction="sum", beta=beta))
    losses = torch.stack(losses)
    return losses.sum() / max(sum(counts), 1) if reduction == "mean" else reduced(losses, reduction)


def mask(x, keep, rescale="none"):
    factor = x.shape[1] / keep.sum(dim=1, keepdim=True).clamp(min=1) if rescale == "row" else 1
    return x * keep * factor


def mix(x, partner, weight):
    return weight[:, None] * x + (1 - weight[:, None]) * partner


def slerp(x, partner, weight):
    """Computed with the arc cosine, whose derivative is infinite at ±1. Therefore rows of equal direction are mixed
    linearly. Of rows of opposite direction, the one with the larger weight is returned. Rows with norm up to NORM_EPS
    count as orthogonal to all rows."""
    u, v, w = unit(x), unit(partner), weight[:, None]
    with torch.no_grad():
        same = (u - v).norm(dim=1, keepdim=True) < 1e-12
        opposite = (u + v).norm(dim=1, keepdim=True) < 1e-12
        lost = (torch.linalg.vector_norm(x, dim=1, keepdim=True) <= NORM_EPS) | (
            torch.linalg.vector_norm(partner, dim=1, keepdim=True) <= NORM_EPS
        )
    cosine = (u * v).sum(dim=1, keepdim=True)
    angle = torch.acos(torch.where(same | opposite | lost, torch.zeros_like(cosine), cosine))
    arc = (torch.sin(w * angle) * u + torch.sin((1 - w) * angle) * v) / torch.sin(angle)
    # For equal directions, the coefficients are constant in the angle to first order.
    straight = w * u + (1 - w) * v
    nearer = torch.where(w >= 0.5, u, v)
    return torch.where(same, straight, torch.where(opposite, nearer, arc))


def exchange_moments(x, partner, eps=1e-5):
    def moments(rows):
        mean = rows.mean(dim=1, keepdim=True)
        return mean, torch.sqrt(((rows - mean) ** 2).mean(dim=1, keepdim=True) + eps)

    mean, deviation = moments(x)
    partner_mean, partner_deviation = moments(partner)
    return (x - mean) / deviation * partner_deviation + partner_mean


def philox(key, counter):
    """Philox 4x32-10, as defined by Salmon et al."""
    low, high = key & 0xFFFFFFFF, key >> 32
    words = list(counter)
    for _ in range(10):
        first, second = 0xD2511F53 * words[0], 0xCD9E8D57 * words[2]
        words = [
            (second >> 32) ^ words[1] ^ low,
            second & 0xFFFFFFFF,
            (first >> 32) ^ words[3] ^ high,
            first & 0xFFFFFFFF,
        ]
        low, high = (low + 0x9E3779B9) & 0xFFFFFFFF, (high + 0xBB67AE85) & 0xFFFFFFFF
    return words


def normal_draws(rows, columns, seed=0, step=0, stream=0, row_offset=0):
    """Box–Muller normal numbers: a pair of columns from a pair of words. The library computes them in float32."""
    drawn = torch.zeros(rows, columns)
    for i, j in itertools.product(range(rows), range(columns)):
        row = row_offset + i
        words = philox(seed, [j // 4, row & 0xFFFFFFFF, (row >> 32) | stream << 16, step])
        radius_word, angle_word = words[0:2] if j % 4 < 2 else words[2:4]
        radius = math.sqrt(-2 * math.log((radius_word + 1) / 2**32))
        angle = 2 * math.pi * angle_word / 2**32
        drawn[i, j] = radius * (math.cos(angle) if j % 2 == 0 else math.sin(angle))
    return drawn


def latent_noise(x, log_variance, epsilon, least_log_variance=-math.inf, most_log_variance=math.inf):
    return x + torch.exp(log_variance.clamp(least_log_variance, most_log_variance) / 2) * epsilon


def kl_to_standard_normal(mean, log_variance, reduction="mean"):
    """The KL divergence, computed by torch.distributions."""
    learned = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    return reduced(torch.distributions.kl_divergence(learned, standard).sum(dim=1), reduction)


def adversarial_step(
    original, current, gradient, norm="l2", step_size=0.1, radius=0.1, relative=False, renormalize=False
):
    """The offset is a constant, also with renormalize: the Jacobian with respect to `original` is the identity."""
    with torch.no_grad():
        scale = original.norm(dim=1, keepdim=True) if relative else torch.ones(len(original), 1)
        length = gradient.norm(dim=1, keepdim=True)
        l2_direction = torch.where(length == 0, torch.zeros_like(gradient), gradient / length)
        direction = l2_direction if norm == "l2" else torch.sign(gradient)
        offset = current + step_size * scale * direction - original
        if norm == "l2":
            offset *= torch.minimum(torch.ones(()), radius * scale / offset.norm(dim=1, keepdim=True).clamp(min=1e-300))
        else:
            offset = torch.maximum(torch.minimum(offset, radius * scale), -radius * scale)
        moved = unit(original + offset) if renormalize else original + offset
    return moved + (original - original.detach())


def running_covariance(batches, momentum=None):
    """Over all rows at once, or with momentum as a moving average of E[xxᵀ], which the library does not store."""
    if momentum is None:
        rows = torch.cat(batches)
        return rows.mean(dim=0), torch.cov(rows.T, correction=0).reshape(rows.shape[1], -1), len(rows)
    mean, square = batches[0].mean(dim=0), batches[0].T @ batches[0] / len(batches[0])
    for batch in batches[1:]:
        mean = momentum * mean + (1 - momentum) * batch.mean(dim=0)
        square = momentum * square + (1 - momentum) * (batch.T @ batch / len(batch))
    return mean, square - torch.outer(mean, mean), sum(len(batch) for batch in batches)


def nearest(queries, support, k=1):
    """In Python floats, with the specified arithmetic: the dot product in index order times the row's inverse norm."""

    def norm(row):
        return math.sqrt(sum(v * v for v in row))

    indices, similarities, gaps = [], [], []
    rows = support.detach().tolist()
    inverse = [1.0 / max(norm(row), NORM_EPS) for row in rows]
    for query in queries.detach().tolist():
        scores = []
        for row, scale in zip(rows, inverse):
            dot = 0.0
            for a, b in zip(query, row):
                dot += a * b
            scores.append(dot * scale)
        order = sorted(range(len(rows)), key=lambda slot: (-scores[slot], slot))
        length = max(norm(query), NORM_EPS)
        indices.append(order[:k])
        similarities.append([scores[slot] / length for slot in order[:k]])
        gaps.append((scores[order[0]] - scores[order[1]]) / length if len(order) > 1 else math.inf)
    return torch.tensor(indices), torch.tensor(similarities), min(gaps)


def soft_neighbour(queries, support, k=5, temperature=0.1):
    indices, _, _ = nearest(queries, support, k)
    found = unit(support)[indices]
    cosines = (unit(queries)[:, None, :] * found).sum(dim=2)
    return (torch.softmax(cosines / temperature, dim=1)[:, :, None] * found).sum(dim=1)


def mean_shift(prediction, support, targets, k=5, reduction="mean"):
    indices, _, _ = nearest(targets, support, k)
    cosines = (unit(prediction)[:, None, :] * unit(support)[indices]).sum(dim=2)
    return reduced((2 - 2 * cosines).mean(dim=1), reduction)


def relation_distillation(
    queries, keys, support, temperature=0.1, teacher_temperature=0.04, reduction="mean", normalize=True
):
    direction = unit if normalize else (lambda x: x)
    teacher = torch.softmax(direction(keys) @ direction(support).T / teacher_temperature, dim=1)
    student = torch.log_softmax(direction(queries) @ direction(support).T / temperature, dim=1)
    return reduced(-(teacher * student).sum(dim=1), reduction)


def soft_neighbour_contrast(
    queries,
    keys,
    neighbours,
    attention=None,
    temperature=0.1,
    label_temperature=1.0,
    neighbour_weight=1.0,
    reduction="mean",
    normalize=True,
):
    """Cross-entropy of the full matrix of labels with the log-softmax of all columns."""
    direction = unit if normalize else (lambda x: x)
    rows = len(queries)
    own = torch.arange(len(neighbours)).reshape(rows, -1)
    looking = direction(queries).detach() if attention is None else direction(attention)
    looks = (looking @ direction(neighbours).T).gather(1, own)
    labels = torch.zeros(rows, rows + len(neighbours)).scatter(
        1, rows + own, neighbour_weight * torch.softmax(looks / label_temperature, dim=1)
    )
    labels = labels + torch.eye(rows, rows + len(neighbours))
    columns = direction(torch.cat([keys, neighbours]))
    logs = torch.log_softmax(direction(queries) @ columns.T / temperature, dim=1)
    return reduced(-(labels * logs).sum(dim=1), reduction)


class AmbiguousNeighbour(Exception):
    """The two best neighbours are so close that in float32 the other may correctly be chosen."""


def augmented(x, augmentation, keep, support, neighbour_gradient):
    """FA(x): the feature augmentation of the normalized rows."""
    u = unit(x)
    if augmentation == "none":
        return u
    if augmentation == "mask":
        return u * keep
    indices, _, gap = nearest(u, support)
    if gap < 1e-4:
        raise AmbiguousNeighbour
    found = unit(support)[indices[:, 0]].detach()
    if neighbour_gradient == "straight_through":
        return found + (u - u.detach())
    return found


def neighbour(
    x,
    support,
    choice=None,
    of="nearest",
    k=5,
    trim=1,
    similarity_floor=-math.inf,
    similarity_ceiling=math.inf,
    mutual=0,
    gradient="none",
):
    """Row by row: rank all support rows, exclude those outside the similarity range, keep the first k, of these only
    the mutual neighbours, and combine them to one row."""
    order, cosines, _ = nearest(x, support, len(support))
    to_queries, _, _ = nearest(support, x, len(x))
    made = []
    for i, ranking in enumerate(order.tolist()):
        bounds = torch.cat([cosines[i], torch.tensor([similarity_floor, similarity_ceiling])]).sort().values
        bounds = bounds[torch.isfinite(bounds)]
        if (bounds[1:] - bounds[:-1] < 1e-9).any():
            raise AmbiguousNeighbour
        cosine = dict(zip(ranking, cosines[i].tolist()))
        slots = [slot for slot in ranking if similarity_floor <= cosine[slot] <= similarity_ceiling]
        slots = slots[: 1 if of == "nearest" else k]
        if mutual:
            slots = [slot for slot in slots if i in to_queries[slot, :mutual]]
        if of == "random" and slots:
            slots = [slots[math.floor(float(choice[i]) * len(slots))]]
        if not slots:
            made.append(unit(x[i : i + 1]).detach()[0])
            continue
        values = unit(support[slots]).detach().sort(dim=0).values
        out = {"trimmed_mean": trim, "median": len(slots)}.get(of, 0)
        out = min(out, (len(slots) - 1) // 2)
        made.append(unit(values[out : len(slots) - out].mean(dim=0, keepdim=True))[0])
    rows = torch.stack(made)
    return rows + (x - x.detach()) if gradient == "straight_through" else rows


def pseudo_neighbour(x, support, epsilon, weight=0.05, noise=0.0, normalize=False, **of):
    rows = neighbour(x, support, of="trimmed_mean", **of)
    blend = weight * unit(x) + (1 - weight) * rows + noise * epsilon
    return unit(blend) if normalize else blend


def step(
    z1,
    z2,
    predictor,
    keep,
    support,
    architecture,
    paradigm,
    augmentation,
    stop_target,
    symmetric,
    samples,
    sample_reduction,
    temperature,
    neighbour_gradient=None,
):
    def h(x):
        return x @ predictor.T

    def loss_of(direction, sample):
        a, b = (z1, z2) if direction == 0 else (z2, z1)
        b = b.detach() if stop_target else b

        def fa(x):
            return augmented(x, augmentation, keep[direction][sample], support, neighbour_gradient)

        prediction, target = {
            "basic": lambda: (a, fa(b)),
            "pre_predictor": lambda: (h(fa(a)), b),
            "post_predictor": lambda: (fa(h(a)), b),
            "parallel_predictor": lambda: (h(a), fa(b)),
        }[architecture]()
        if paradigm == "similarity":
            return negative_cosine(prediction, target)
        return info_nce(target, prediction, temperature=temperature)

    total = 0
    for sample in range(samples):
        if symmetric:
            total = total + (loss_of(0, sample) + loss_of(1, sample)) / 2
        else:
            total = total + loss_of(0, sample)
    return total / samples if sample_reduction == "mean" else total


# ---- cases


def tolerances(float32=2e-4, float64=1e-9):
    return {"float64": float64, "float32": float32}


def tolerance_for(columns, temperature=1.0):
    """Tolerances for rounding errors. Larger for low temperatures, and for one feature, whose gradients cancel to 0."""
    float64 = 1e-8 if columns == 1 else 1e-9
    if temperature < 0.005:
        return tolerances(2e-2, 10 * float64)
    if columns == 1 or temperature < 0.05:
        return tolerances(2e-3, float64)
    return tolerances()


def make_case(name, function, output, inputs, options=None, stop=(), tolerance=None, cotangent=None):
    """A case of function(**inputs, **options). `output` is the name of the result."""
    options = options or {}
    leaves = {key: value.clone().requires_grad_(key not in stop) for key, value in inputs.items()}
    result = function(**leaves, **options)
    wanted = [key for key in leaves if key not in stop]
    seed = cotangent if cotangent is not None else torch.ones_like(result)
    gradients = (
        torch.autograd.grad(result, [leaves[key] for key in wanted], seed, allow_unused=True)
        if result.requires_grad
        else [None] * len(wanted)
    )
    expected = {output: tensor_json(result)}
    for key, gradient in zip(wanted, gradients):
        expected["grad_" + key] = tensor_json(torch.zeros_like(leaves[key]) if gradient is None else gradient)
    stored = {key: tensor_json(value) for key, value in inputs.items()}
    if cotangent is not None:
        stored["grad_out"] = tensor_json(cotangent)
    return {
        "name": name,
        "options": options,
        "inputs": stored,
        "stop_gradient": list(stop),
        "expected": expected,
        "tolerance": tolerance or tolerances(),
    }


def size_name(rows, columns):
    return f"{rows}x{columns}"


def l2_normalize_cases():
    def one(name, x, cotangent, eps=NORM_EPS, stop=()):
        return make_case(name, unit, "out", {"x": x}, {"eps": eps}, stop, tolerance_for(x.shape[1]), cotangent)

    for rows, columns in SIZES:
        draw = Draw("l2_normalize" + size_name(rows, columns))
        yield one(size_name(rows, columns), draw.normal(rows, columns), draw.normal(rows, columns))
    draw = Draw("l2_normalize edges")
    x = draw.normal(6, 4)
    x[1] = 0
    x[4] *= 2.0**-44  # norm below eps
    yield one("zero_and_tiny_rows", x, draw.normal(6, 4))
    # The cotangent is scaled like the rows, so that the gradient has a normal magnitude.
    yield one("huge_rows", draw.normal(3, 7) * HUGE, draw.normal(3, 7) * HUGE)
    x = torch.cat([draw.normal(4, 3, scale=4), torch.full((1, 3), 0.125)])
    yield one("one_row_below_a_large_eps", x, draw.normal(5, 3), 0.5)
    yield one("stopped", draw.normal(3, 3), None, stop=("x",))


def mask_cases():
    for (rows, columns), rescale in itertools.product(SIZES, ["none", "row"]):
        name = f"{size_name(rows, columns)}_{rescale}"
        draw = Draw("mask" + name)
        keep = draw.mask(0.6, rows, columns)
        keep[0] = 0  # nothing kept
        keep[-1] = 1
        inputs = {"x": draw.normal(rows, columns), "keep": keep}
        yield make_case(
            name, mask, "out", inputs, {"rescale": rescale}, ("keep",), tolerance_for(columns), draw.normal(rows, columns)
        )
    draw = Draw("mask default")
    inputs = {"x": draw.normal(4, 5), "keep": draw.mask(0.5, 4, 5)}
    yield make_case("rescale_left_out", mask, "out", inputs, {}, ("keep",), None, draw.normal(4, 5))


def mix_cases(op, low, high, function=mix):
    for (rows, columns), stop in itertools.product(SIZES, [(), ("partner",), ("x",), ("x", "partner")]):
        stop = (*stop, "weight")
        name = f"{size_name(rows, columns)}_stopped_{'+'.join(stop)}"
        draw = Draw(op + name)
        weight = draw.uniform(low, high, rows)
        weight[0] = low
        weight[-1] = high
        inputs = {"x": draw.normal(rows, columns), "partner": draw.normal(rows, columns), "weight": weight}
        wanted = len(stop) < 3
        cotangent = draw.normal(rows, columns) if wanted else None
        yield make_case(name, function, "out", inputs, {}, stop, tolerance_for(columns), cotangent)


def slerp_cases():
    yield from mix_cases("slerp", 0.0, 1.0, slerp)

    def one(name, x, partner):
        draw = Draw(f"slerp {name}")
        inputs = {"x": x, "partner": partner, "weight": draw.uniform(0.0, 1.0, len(x))}
        return make_case(name, slerp, "out", inputs, {}, ("weight",), None, draw.normal(*x.shape))

    draw = Draw("slerp edges")
    x, partner = draw.normal(5, 6), draw.normal(5, 6)
    yield one("same_directions", x, x * torch.tensor([1.0, 2.0, 4.0, 0.5, 0.25])[:, None])
    yield one("opposite_directions", x, -x)
    x[1], x[3], partner[2], partner[3] = 0, 0, 0, 0
    x[4] *= 2.0**-44
    yield one("zero_rows", x, partner)
    yield one("huge_rows", draw.normal(4, 5) * 2.0**60, draw.normal(4, 5) * 2.0**-20)
    axes = torch.eye(4)
    yield one("right_angles", axes, axes.roll(1, dims=0))


def exchange_moments_cases():
    def one(name, x, partner, stop=(), **options):
        cotangent = Draw(f"exchange_moments {name}").normal(*x.shape) if len(stop) < 2 else None
        inputs = {"x": x, "partner": partner}
        columns = x.shape[1]
        return make_case(name, exchange_moments, "out", inputs, options, stop, tolerance_for(columns), cotangent)

    for (rows, columns), stop in itertools.product(SIZES, [(), ("partner",), ("x",), ("x", "partner")]):
        name = f"{size_name(rows, columns)}_stopped_{'+'.join(stop)}"
        draw = Draw("exchange_moments" + name)
        yield one(name, draw.normal(rows, columns), draw.normal(rows, columns), stop, eps=1e-5)
    draw = Draw("exchange_moments edges")
    x, partner = draw.normal(4, 6), draw.normal(4, 6)
    yield one("eps_left_out", x, partner)
    yield one("eps_0.5", x, partner, eps=0.5)
    x[1], x[2], partner[2], partner[3] = 3, 0, -2, 5
    yield one("constant_rows", x, partner)
    yield one("far_from_zero", 512 + draw.normal(4, 8), draw.normal(4, 8) - 256)
    yield one("huge_rows", draw.normal(4, 5) * 2.0**60, draw.normal(4, 5) * 2.0**-20)


def covariance_noise_cases():
    def one(name, x, batches, diagonal=False, momentum=None, ridge=1e-6, scale=1.0, key=None, stop=()):
        columns = x.shape[1]
        mean, covariance, count = running_covariance(batches, momentum)
        with_ridge = covariance + ridge * covariance.diagonal().mean() * torch.eye(columns)
        drawn = normal_draws(*x.shape, **(key or {}))
        if diagonal:
            state = {"variance": covariance.diagonal(), "deviation": with_ridge.diagonal().sqrt()}
            noise = drawn * state["deviation"]
        else:
            state = {"covariance": covariance, "factor": torch.linalg.cholesky(with_ridge)}
            noise = drawn @ state["factor"].T
        expected = {"mean": mean, **state, "count": torch.tensor(count), "out": x + scale * noise}
        inputs = {"x": x} | {f"batch{i}": batch for i, batch in enumerate(batches)}
        if "x" not in stop:
            inputs["grad_out"] = Draw(f"covariance_noise {name}").normal(*x.shape)
            expected["grad_x"] = inputs["grad_out"]
        options = {"scale": scale, "ridge": ridge, **(key or {})}
        if momentum is not None:
            options["momentum"] = momentum
        if diagonal:
            options["diagonal"] = True
        return {
            "name": name,
            "options": options,
            "inputs": {key: tensor_json(value) for key, value in inputs.items()},
            "stop_gradient": [*stop, *(f"batch{i}" for i in range(len(batches)))],
            "expected": {key: tensor_json(value) for key, value in expected.items()},
            "tolerance": tolerances(1e-5, 1e-6),  # draws are float32 in either dtype
        }

    key = {"seed": 2**63 + 12345, "step": 7, "stream": 3, "row_offset": 2**33 + 5}
    for (rows, columns), diagonal in itertools.product(SIZES, [False, True]):
        name = f"{size_name(rows, columns)}_{'diagonal' if diagonal else 'full'}"
        draw = Draw("covariance_noise" + name)
        batches = [draw.normal(count, columns) for count in (columns + 3, 1, 2 * columns)]
        x = draw.normal(rows, columns)
        yield one(f"{name}_all", x, batches, diagonal, ridge=0.0)
        yield one(f"{name}_moving", x, batches, diagonal, momentum=0.75, scale=0.5, key=key)
        yield one(f"{name}_ridge", x, batches[1:2] + batches[:1], diagonal, ridge=0.125, key={"seed": 1, "step": 9})
        yield one(f"{name}_stopped", x, batches, diagonal, stop=("x",))
    draw = Draw("covariance_noise several panels")
    yield one("5x35", draw.normal(5, 35), [draw.normal(40, 35), draw.normal(2, 35)], key=key)


def latent_noise_cases():
    def one(name, rows, columns, stop=(), drawn=None, **bounds):
        draw = Draw(f"latent_noise {name}")
        inputs = {"x": draw.normal(rows, columns), "log_variance": draw.normal(rows, columns, scale=2)}
        stop = (*stop, "epsilon")
        cotangent = draw.normal(rows, columns) if len(stop) < 3 else None
        epsilon = normal_draws(rows, columns, **drawn) if drawn else draw.normal(rows, columns)
        inputs["epsilon"] = epsilon
        case = make_case(name, latent_noise, "out", inputs, bounds, stop, tolerance_for(columns), cotangent)
        if drawn:
            del case["inputs"]["epsilon"]
            case["stop_gradient"].remove("epsilon")
            case["options"] |= drawn
            case["tolerance"] = tolerances(1e-5, 1e-6)  # draws are float32 in either dtype
        return case

    for rows, columns in SIZES:
        size = size_name(rows, columns)
        for stop in [(), ("x",), ("log_variance",), ("x", "log_variance")]:
            yield one(f"{size}_stopped_{'+'.join(stop)}", rows, columns, stop)
        yield one(f"{size}_bounded", rows, columns, least_log_variance=-1.0, most_log_variance=0.5)
        yield one(f"{size}_drawn", rows, columns, drawn={"seed": 77, "step": 3, "stream": 1, "row_offset": 12})


def kl_to_standard_normal_cases():
    for (rows, columns), reduction in itertools.product(SIZES, ["mean", "sum", "none"]):
        for stop in [(), ("mean",), ("log_variance",)]:
            name = "_".join([size_name(rows, columns), reduction, *("stopped_" + s for s in stop)])
            draw = Draw("kl_to_standard_normal" + name)
            inputs = {"mean": draw.normal(rows, columns), "log_variance": draw.normal(rows, columns)}
            cotangent = draw.normal(rows) if reduction == "none" else None
            options = {"reduction": reduction}
            yield make_case(name, kl_to_standard_normal, "loss", inputs, options, stop, tolerance_for(columns), cotangent)
    draw = Draw("kl_to_standard_normal edges")
    inputs = {"mean": torch.zeros(3, 4), "log_variance": draw.normal(3, 4, scale=1 / 128)}
    yield make_case("close_to_the_prior", kl_to_standard_normal, "loss", inputs)
    inputs = {"mean": draw.normal(3, 4, scale=30), "log_variance": draw.normal(3, 4, scale=20)}
    yield make_case("far_from_it", kl_to_standard_normal, "loss", inputs, {"reduction": "sum"})
    yield make_case("all_stopped", kl_to_standard_normal, "loss", inputs, {}, ("mean", "log_variance"))


def adversarial_step_cases():
    def one(name, original, current, gradient, stop=(), **options):
        cotangent = None if "original" in stop else Draw(f"adversarial_step {name}").normal(*original.shape)
        inputs = {"original": original, "current": current, "gradient": gradient}
        stop = ("current", "gradient", *stop)
        return make_case(name, adversarial_step, "out", inputs, options, stop, None, cotangent)

    for (rows, columns), norm, radius in itertools.product(SIZES, ["l2", "linf"], [0.25, 8.0]):
        draw = Draw(f"adversarial_step {rows} {columns} {norm} {radius}")
        x, gradient = draw.normal(rows, columns), draw.normal(rows, columns)
        name = f"{size_name(rows, columns)}_{norm}_radius{radius}"
        how = {"norm": norm, "radius": radius, "step_size": 0.5}
        yield one(f"{name}_from_the_original", x, x, gradient, **how)
        yield one(f"{name}_further", x, x + draw.normal(rows, columns, scale=0.25), gradient, **how)
        yield one(f"{name}_relative", x, x, gradient, ("original",), relative=True, **how)
        yield one(f"{name}_renormalize", x, x, gradient, renormalize=True, **how)
    draw = Draw("adversarial_step edges")
    x, gradient = draw.normal(5, 4), draw.normal(5, 4)
    gradient[1] = 0  # does not move
    gradient[2] *= 2.0**-60  # moves nevertheless
    gradient[3, 2] = 0
    yield one("small_and_zero_gradients_l2", x, x, gradient)
    yield one("small_and_zero_gradients_linf", x, x, gradient, norm="linf")
    yield one("put_into_the_ball", x, x + 4, gradient, step_size=0.0, radius=0.5)
    yield one("no_radius", x, x + 1, gradient, radius=0.0)


def well_apart(queries, support, k):
    """Whether the k nearest rows are the same in float32, because the next row is clearly farther away."""
    if k == len(support):
        return True
    _, similarities, _ = nearest(queries, support, k + 1)
    return bool((similarities[:, k - 1] - similarities[:, k] > 1e-4).all())


def soft_neighbour_cases():
    def one(name, rows, columns, support_rows, k, temperature=0.25, stop=(), queries=None, support=None):
        for attempt in itertools.count():
            draw = Draw(f"soft_neighbour {name} {attempt}")
            x = draw.normal(rows, columns) if queries is None else queries(draw)
            v = draw.normal(support_rows, columns, scale=2) if support is None else support(draw)
            if well_apart(x, v, k):
                break
        options = {"k": k, "temperature": temperature}
        inputs = {"queries": x, "support": v}
        tolerance = tolerance_for(columns, temperature)
        stops = ("support", *stop)
        cotangent = None if stop else draw.normal(rows, columns)
        return make_case(name, soft_neighbour, "out", inputs, options, stops, tolerance, cotangent)

    for rows, columns in SIZES:
        size = size_name(rows, columns)
        # With one feature all cosines are 1 or -1, so there are ties unless k includes all rows.
        few, many = (9, 9) if columns == 1 else (3, 23)
        yield one(f"{size}_k1", rows, columns, 1 if columns == 1 else 11, 1)
        yield one(f"{size}_few", rows, columns, many, few)
        yield one(f"{size}_all", rows, columns, 7, 7)
        yield one(f"{size}_stopped", rows, columns, 7, 7, stop=("queries",))
        yield one(f"{size}_cold", rows, columns, 8, 8, temperature=0.02)

    def zero_rows(draw):
        x = draw.normal(4, 5)
        x[1] = 0
        return x

    yield one("zero_rows", 4, 5, 6, 6, queries=zero_rows)
    yield one("huge_rows", 4, 5, 9, 3, queries=lambda draw: draw.normal(4, 5) * HUGE)
    yield one("huge_support", 4, 5, 9, 3, support=lambda draw: draw.normal(9, 5) * HUGE)
    yield one("equal_support", 4, 5, 6, 6, support=lambda draw: draw.normal(1, 5).repeat(6, 1))


def nearest_cases():
    def one(name, queries, support, k):
        indices, similarities, _ = nearest(queries, support, k)
        return {
            "name": name,
            "options": {"k": k},
            "inputs": {"queries": tensor_json(queries), "support": tensor_json(support)},
            "stop_gradient": ["queries", "support"],
            "expected": {"indices": tensor_json(indices), "similarities": tensor_json(similarities)},
            "tolerance": tolerances(),
        }

    for (rows, columns), count in zip(SIZES, [13, 6, 67, 21, 10]):
        draw = Draw("nearest" + size_name(rows, columns))
        queries, support = draw.normal(rows, columns), draw.normal(count, columns, scale=2)
        for k in (1, 4, count):
            yield one(f"{size_name(rows, columns)}_m{count}_k{k}", queries, support, k)
    draw = Draw("nearest ties")
    base = draw.normal(4, 6)
    # Scaling by powers of two changes neither a score nor its rounding.
    yield one("each_row_thrice", draw.normal(7, 6), torch.cat([base, 4 * base, 0.5 * base]), 5)
    yield one("all_rows_equal", draw.normal(3, 6), base[:1].repeat(40, 1), 9)
    axes = torch.eye(5)
    yield one("orthogonal_opposite_and_zero_rows", axes, torch.cat([-axes, torch.zeros(2, 5), axes, axes]), 17)
    yield one("zero_query", torch.zeros(2, 5), draw.normal(8, 5), 3)
    support = draw.normal(12, 5)
    support[3] *= HUGE
    support[7] *= 2.0**-30
    queries = draw.normal(4, 5)
    queries[2] *= HUGE
    yield one("huge_and_small_rows", queries, support, 12)
    yield one("query_among_the_rows", support[[0, 5, 11]], support, 2)
    yield one("one_row", draw.normal(4, 3), draw.normal(1, 3), 1)


def neighbour_case(name, function, rows, columns, count, options, drawn, stop=()):
    """A case with data for which the choice of neighbours is unambiguous."""
    for attempt in itertools.count():
        draw = Draw(f"{function.__name__} {name} {attempt}")
        inputs = {"x": draw.normal(rows, columns), "support": draw.normal(count, columns, scale=2)}
        inputs.update({key: make(draw, rows, columns) for key, make in drawn.items()})
        constant = (*stop, "support", *drawn)
        cotangent = None if stop else draw.normal(rows, columns)
        try:
            return make_case(name, function, "out", inputs, options, constant, tolerance_for(columns), cotangent)
        except AmbiguousNeighbour:
            continue


NEIGHBOUR_SIZES = [(5, 7, 13), (2, 3, 6), (9, 4, 67), (1, 6, 21)]
NEIGHBOUR_FILTERS = {
    "all": {},
    "floor": {"similarity_floor": 0.25},
    "ceiling": {"similarity_ceiling": 0.5},
    "range": {"similarity_floor": 0.125, "similarity_ceiling": 0.75},
    "mutual": {"mutual": 1},
    "mutual_3_above_floor": {"mutual": 3, "similarity_floor": 0.0625},
}


def neighbour_cases():
    kinds = [
        ("nearest", {}),
        ("mean", {"k": 4}),
        ("trimmed_mean", {"k": 5, "trim": 1}),
        ("trimmed_mean", {"k": 6, "trim": 2, "gradient": "straight_through"}),
        ("median", {"k": 5}),
        ("median", {"k": 4, "gradient": "straight_through"}),
        ("random", {"k": 3}),
    ]
    sizes = itertools.cycle(NEIGHBOUR_SIZES)
    for (of, kind), (filtered, options) in itertools.product(kinds, NEIGHBOUR_FILTERS.items()):
        rows, columns, count = next(sizes)
        name = f"{size_name(rows, columns)}_m{count}_{of}_k{kind.get('k', 1)}_{filtered}"
        drawn = {"choice": lambda draw, n, _: draw.uniform(0.0, 255 / 256, n)} if of == "random" else {}
        stop = ("x",) if filtered == "ceiling" else ()
        yield neighbour_case(name, neighbour, rows, columns, count, {"of": of, **kind, **options}, drawn, stop)


def pseudo_neighbour_cases():
    sizes = itertools.cycle(NEIGHBOUR_SIZES)
    for (weight, noise, normalize), gradient, (filtered, options) in itertools.product(
        [(0.25, 0.0, False), (0.25, 0.5, True), (1.0, 0.25, True), (0.0, 0.0, True)],
        ["none", "straight_through"],
        [("all", {}), ("floor", {"similarity_floor": 0.25})],
    ):
        rows, columns, count = next(sizes)
        form = "unit" if normalize else "raw"
        name = f"{size_name(rows, columns)}_w{weight}_s{noise}_{form}_{gradient}_{filtered}"
        how = {"weight": weight, "noise": noise, "normalize": normalize, "gradient": gradient, "k": 5, **options}
        drawn = {"epsilon": lambda draw, n, d: draw.normal(n, d)}
        yield neighbour_case(name, pseudo_neighbour, rows, columns, count, how, drawn)


def enqueue_cases():
    def one(name, capacity, columns, normalize, sizes, left_out=False):
        draw = Draw("enqueue" + name)
        storage, cursor, size = torch.zeros(capacity, columns), 0, 0
        steps = []
        for rows in sizes:
            batch = draw.normal(rows, columns)
            if rows > 1:
                batch[rows // 2] = 0
            for row in unit(batch) if normalize else batch:
                storage[cursor] = row
                cursor = (cursor + 1) % capacity
                size = min(size + 1, capacity)
            steps.append({"batch": tensor_json(batch), "storage": tensor_json(storage), "cursor": cursor, "size": size})
        options = {"capacity": capacity, "dim": columns}
        if not left_out:
            options["normalize"] = normalize
        return {
            "name": name,
            "options": options,
            "inputs": {},
            "stop_gradient": [],
            "expected": {"steps": steps},
            # Without normalize rows are stored bit for bit; with it they are divided by their norms.
            "tolerance": tolerances(1e-6, 1e-12) if normalize else tolerances(0, 0),
        }

    for normalize in (False, True):
        kind = "unit" if normalize else "raw"
        yield one(f"{kind}_capacity_5", 5, 4, normalize, [2, 2, 7, 1, 5, 13, 0, 3])
        yield one(f"{kind}_capacity_1", 1, 3, normalize, [1, 1, 4])
        yield one(f"{kind}_capacity_9", 9, 2, normalize, [4, 4, 4, 4, 9, 28])
    yield one("normalize_left_out", 4, 3, True, [3, 2], left_out=True)


def info_nce_cases():
    for rows, columns in SIZES:
        size = size_name(rows, columns)

        def one(name, temperature=0.25, stop=(), keys=None, negatives=None, per_row=False, learnable=False, **options):
            draw = Draw(f"info_nce {size} {name}")
            inputs = {"queries": draw.normal(rows, columns), "keys": draw.normal(keys or rows, columns)}
            if negatives:
                inputs["negatives"] = draw.normal(negatives, columns)
            if learnable:
                inputs["temperature"] = torch.tensor(temperature)
            else:
                options = {"temperature": temperature, **options}
            if per_row:
                options["reduction"] = "none"
            return make_case(
                f"{size}_{name}",
                info_nce,
                "loss",
                inputs,
                options,
                stop,
                tolerance_for(columns, temperature),
                draw.normal(rows) if per_row else None,
            )

        more = rows + 3
        yield one("mean", reduction="mean")
        yield one("options_left_out", temperature=0.5)
        yield one("stopped_keys", stop=("keys",), reduction="mean")
        yield one("stopped_queries", stop=("queries",), reduction="sum")
        yield one("all_stopped", stop=("queries", "keys"), reduction="mean")
        yield one("sum", reduction="sum")
        yield one("none", per_row=True)
        yield one("none_stopped_keys", per_row=True, stop=("keys",))
        yield one("none_negatives", per_row=True, negatives=3)
        yield one("t0.02", temperature=0.02)
        yield one("t0.001", temperature=0.001)
        yield one("negatives", negatives=11)
        yield one("stopped_negatives", negatives=8, stop=("negatives",))
        yield one("only_negatives_differentiated", negatives=8, stop=("queries", "keys"))
        yield one("moco", negatives=8, in_batch_negatives=False)
        yield one("moco_stopped", negatives=8, in_batch_negatives=False, stop=("keys", "negatives"))
        yield one("moco_none", negatives=5, in_batch_negatives=False, per_row=True)
        yield one("offset", keys=more, positive_offset=2)
        yield one("offset_to_the_end", keys=more, positive_offset=3, stop=("queries",))
        yield one("offset_negatives", keys=more, positive_offset=1, negatives=4)
        yield one("offset_moco", keys=more, positive_offset=1, negatives=4, in_batch_negatives=False)
        yield one("more_keys", keys=more)
        yield one("temperature", temperature=0.3125, learnable=True)
        yield one("temperature_sum_negatives", temperature=0.1875, learnable=True, negatives=6, reduction="sum")
        yield one("temperature_none", temperature=0.3125, learnable=True, per_row=True)
        yield one("temperature_moco", temperature=0.3125, learnable=True, negatives=6, in_batch_negatives=False)
        yield one("temperature_alone", temperature=0.3125, learnable=True, stop=("queries", "keys"))
        yield one("stopped_temperature", temperature=0.3125, learnable=True, stop=("temperature",))
        yield one("raw", temperature=3.0, normalize=False)
        yield one("raw_negatives", temperature=3.0, normalize=False, negatives=7)
        moco_offset = {"in_batch_negatives": False, "keys": more, "positive_offset": 2}
        yield one("raw_moco_offset", temperature=3.0, normalize=False, negatives=7, **moco_offset)
        yield one("raw_temperature", temperature=2.5, learnable=True, normalize=False)
    yield from edge_cases("info_nce", info_nce, "queries", "keys", [{}, {"reduction": "sum"}])


def edge_cases(op, function, first, second, variants):
    """Zero, tiny, huge, equal and opposite rows, for losses with two inputs."""
    for i, options in enumerate(variants):
        draw = Draw(f"{op} edges {i}")
        a, b = draw.normal(5, 4), draw.normal(5, 4)
        a[1] = 0
        b[3] = 0
        b[4] *= 2.0**-44
        yield make_case(f"zero_rows_{i}", function, "loss", {first: a, second: b}, options)
        a, b = draw.normal(4, 5) * HUGE, draw.normal(4, 5)
        b[2] *= HUGE
        yield make_case(f"huge_rows_{i}", function, "loss", {first: a, second: b}, options)
        a = draw.normal(4, 3)
        a[2] = a[0]
        yield make_case(f"equal_rows_{i}", function, "loss", {first: a, second: 2 * a}, options)
        yield make_case(f"opposite_rows_{i}", function, "loss", {first: a, second: -a}, options)


def hard_negative_info_nce_cases():
    scales = {"noise_scale": 0.25, "step": 0.5, "sign_step": 0.125}  # exact in float32, unlike 0.01
    every_kind = {
        "interpolated": 3,
        "extrapolated": 2,
        "mixed": 3,
        "noisy": 2,
        "stepped": 2,
        "sign_stepped": 2,
    }

    def one(
        name,
        rows,
        columns,
        negatives,
        hardest,
        counts,
        temperature=0.25,
        keys=None,
        stop=(),
        per_row=False,
        learnable=False,
        with_ids=False,
        change=None,
        **options,
    ):
        draw = Draw(f"hard_negative_info_nce {name}")
        inputs = {
            "queries": draw.normal(rows, columns),
            "keys": draw.normal(keys or rows, columns),
            "negatives": draw.normal(negatives, columns),
        }
        kinds = ["interpolated", "extrapolated", "mixed", "noisy", "stepped", "sign_stepped"]
        count = {kind: counts.get(kind, 0) for kind in kinds}
        total, noisy, mixed = sum(count.values()), count["noisy"], count["mixed"]

        def ranks(width):
            return torch.tensor([[draw.random.randrange(hardest) for _ in range(width)] for _ in range(rows)])

        inputs["first"] = ranks(total)
        constants = ["first"]
        if mixed:
            inputs["second"] = ranks(mixed)
            constants.append("second")
        ranges = [(0.0, 0.5, count["interpolated"]), (1.0, 1.5, count["extrapolated"]), (0.0, 1.0, mixed)]
        if any(width for _, _, width in ranges):
            inputs["weights"] = torch.cat([draw.uniform(low, high, rows, width) for low, high, width in ranges], dim=1)
            constants.append("weights")
        if noisy:
            inputs["noise"] = draw.normal(rows * noisy, columns)
            constants.append("noise")
        if with_ids:
            inputs["ids"] = torch.tensor([j % 3 for j in range(negatives)])
            inputs["exclude_ids"] = torch.tensor([i % 4 for i in range(rows)])
            constants += ["ids", "exclude_ids"]
        if learnable:
            inputs["temperature"] = torch.tensor(temperature)
        else:
            options["temperature"] = temperature
        if per_row:
            options["reduction"] = "none"
        if change:
            change(inputs)
        whole = {"first", "second", "ids", "exclude_ids"}
        return make_case(
            name,
            hard_negative_info_nce,
            "loss",
            {key: value.double() if key in whole else value for key, value in inputs.items()},
            {"hardest": hardest, **counts, **scales, **options},
            (*stop, *constants),
            tolerance_for(columns, temperature),
            draw.normal(rows) if per_row else None,
        )

    moco = {"in_batch_negatives": False}
    for rows, columns in SIZES:
        size = size_name(rows, columns)
        yield one(f"{size}_moco", rows, columns, 9, 5, every_kind, stop=("keys", "negatives"), **moco)
        yield one(f"{size}_in_batch", rows, columns, 6, 6, every_kind, reduction="sum")
        yield one(f"{size}_none", rows, columns, 8, 3, every_kind, per_row=True, **moco)
        yield one(f"{size}_temperature", rows, columns, 7, 4, every_kind, learnable=True, **moco)
    for kind in ["interpolated", "extrapolated", "mixed", "noisy", "stepped", "sign_stepped"]:
        yield one(f"only_{kind}", 4, 6, 7, 4, {kind: 5}, **moco)
    yield one("offset", 4, 5, 7, 4, every_kind, keys=7, positive_offset=2)
    yield one("stopped_queries", 4, 5, 7, 4, every_kind, stop=("queries",))
    yield one("all_stopped", 4, 5, 7, 4, every_kind, stop=("queries", "keys", "negatives"))
    yield one("t0.02", 4, 5, 7, 4, every_kind, temperature=0.02, **moco)
    yield one("raw", 4, 5, 7, 4, every_kind, temperature=2.0, normalize=False)
    yield one("ids", 5, 6, 9, 8, every_kind, with_ids=True, **moco)
    yield one("ids_that_leave_little", 4, 6, 3, 3, every_kind, with_ids=True)
    yield one("one_negative", 3, 4, 1, 1, every_kind, **moco)

    def zero_rows(inputs):
        inputs["queries"][1] = 0
        inputs["negatives"][2] = 0

    def huge_rows(inputs):
        inputs["queries"][0] *= HUGE
        inputs["negatives"][3] *= HUGE
        inputs["keys"][2] *= 2.0**-44

    def opposite(inputs):
        inputs["negatives"] = torch.cat([inputs["negatives"], -inputs["negatives"]])
        inputs["weights"][:] = 0.5
        inputs["first"][:, 0] = 0
        inputs["second"][:, 0] = 7  # the farthest of the 8 negatives is the opposite of the nearest

    yield one("zero_rows", 4, 5, 7, 7, every_kind, change=zero_rows)
    yield one("huge_and_tiny_rows", 4, 5, 7, 4, every_kind, change=huge_rows, stop=("queries", "keys", "negatives"))
    yield one("opposite_negatives", 3, 5, 4, 8, {"mixed": 3}, change=opposite, **moco)


def symmetric_info_nce_cases():
    yield from two_view_cases("symmetric_info_nce", symmetric_info_nce, "queries", "keys", 1, [{}])
    yield from edge_cases("symmetric_info_nce", symmetric_info_nce, "queries", "keys", [{}])


def nt_xent_cases():
    yield from two_view_cases("nt_xent", nt_xent, "a", "b", 2, [{}, {"decoupled": True}])
    yield from edge_cases("nt_xent", nt_xent, "a", "b", [{"decoupled": False}, {"decoupled": True}])
    for (rows, columns), sigma in itertools.product(SIZES, [0.5, 0.0625]):
        if rows == 1:
            continue

        def one(name, sigma=sigma, stop=(), per_row=False, learnable=False, **options):
            name = f"{size_name(rows, columns)}_weighted_{sigma}_{name}"
            draw = Draw(f"nt_xent {name}")
            inputs = {"a": draw.normal(rows, columns), "b": draw.normal(rows, columns)}
            if learnable:
                inputs["temperature"] = torch.tensor(0.3125)
            else:
                options = {"temperature": 0.25, **options}
            if per_row:
                options["reduction"] = "none"
            options = {**options, "decoupled": True, "positive_weighting": sigma}
            tolerance = tolerance_for(columns)
            return make_case(name, nt_xent, "loss", inputs, options, stop, tolerance, draw.normal(2 * rows) if per_row else None)

        yield one("mean")
        yield one("none", per_row=True)
        yield one("stopped", stop=("b",))
        yield one("temperature", learnable=True, per_row=True)
        yield one("raw", temperature=3.0, normalize=False)


def two_view_cases(op, function, first, second, losses_per_row, variants):
    for (rows, columns), variant in itertools.product(SIZES, variants):
        if variant.get("decoupled") and rows == 1:
            continue  # empty denominator, which is an error
        size = size_name(rows, columns)

        def one(name, temperature=0.25, stop=(), per_row=False, learnable=False, **options):
            name = "_".join([size, name, *variant])
            draw = Draw(f"{op} {name}")
            inputs = {first: draw.normal(rows, columns), second: draw.normal(rows, columns)}
            if learnable:
                inputs["temperature"] = torch.tensor(temperature)
            else:
                options = {"temperature": temperature, **options}
            if per_row:
                options["reduction"] = "none"
            return make_case(
                name,
                function,
                "loss",
                inputs,
                {**options, **variant},
                stop,
                tolerance_for(columns, temperature),
                draw.normal(losses_per_row * rows) if per_row else None,
            )

        yield one("mean", reduction="mean")
        yield one("sum", reduction="sum")
        yield one("none", per_row=True)
        yield one("t0.02", temperature=0.02)
        yield one("t0.001", temperature=0.001)
        yield one("first_stopped", stop=(first,))
        yield one("second_stopped", stop=(second,))
        yield one("second_stopped_none", stop=(second,), per_row=True)
        yield one("all_stopped", stop=(first, second))
        yield one("temperature", temperature=0.3125, learnable=True)
        yield one("temperature_none", temperature=0.3125, learnable=True, per_row=True)
        yield one("raw", temperature=3.0, normalize=False)


def negative_cosine_cases():
    for (rows, columns), form in itertools.product(SIZES, ["byol", "simsiam"]):
        for reduction, stop in itertools.product(["mean", "sum", "none"], [(), ("target",), ("prediction",)]):
            name = "_".join([size_name(rows, columns), form, reduction, *("stopped_" + s for s in stop)])
            draw = Draw("negative_cosine" + name)
            yield make_case(
                name,
                negative_cosine,
                "loss",
                {"prediction": draw.normal(rows, columns), "target": draw.normal(rows, columns)},
                {"form": form, "reduction": reduction},
                stop,
                tolerance_for(columns),
                draw.normal(rows) if reduction == "none" else None,
            )
    draw = Draw("negative_cosine defaults")
    inputs = {"prediction": draw.normal(3, 4), "target": draw.normal(3, 4)}
    yield make_case("all_stopped", negative_cosine, "loss", inputs, {"form": "byol"}, ("prediction", "target"))
    variants = [{"form": "byol"}, {"form": "simsiam", "reduction": "sum"}]
    yield from edge_cases("negative_cosine", negative_cosine, "prediction", "target", variants)


def sigmoid_cases():
    for rows, columns in SIZES:
        size = size_name(rows, columns)

        def one(name, scale=8.0, bias=-4.0, stop=(), per_row=False, learnable=False, **options):
            draw = Draw(f"sigmoid {size} {name}")
            inputs = {"a": draw.normal(rows, columns), "b": draw.normal(rows, columns)}
            if learnable:
                inputs |= {"scale": torch.tensor(scale), "bias": torch.tensor(bias)}
            else:
                options = {"scale": scale, "bias": bias, **options}
            if per_row:
                options["reduction"] = "none"
            cotangent = draw.normal(rows) if per_row else None
            tolerance = tolerance_for(columns, 1 / abs(scale))
            return make_case(f"{size}_{name}", sigmoid, "loss", inputs, options, stop, tolerance, cotangent)

        yield one("mean")
        yield one("sum", reduction="sum")
        yield one("none", per_row=True)
        yield one("swapped_signs", scale=-3.0, bias=2.0)
        yield one("steep", scale=1000.0, bias=-500.0)
        yield one("first_stopped", stop=("a",))
        yield one("second_stopped", stop=("b",))
        yield one("all_stopped", stop=("a", "b"))
        yield one("learnable", learnable=True)
        yield one("learnable_none", learnable=True, per_row=True)
        yield one("learnable_alone", learnable=True, stop=("a", "b"))
        yield one("learnable_scale_alone", learnable=True, stop=("a", "b", "bias"))
        yield one("raw", scale=2.0, normalize=False)
    yield from edge_cases("sigmoid", sigmoid, "a", "b", [{}, {"reduction": "sum", "bias": 0.5}])


def supervised_contrastive_cases():
    def one(name, labels, columns, temperature=0.25, z=None, per_row=False, learnable=False, stop=(), **options):
        rows = len(labels)
        draw = Draw(f"supervised_contrastive {name}")
        inputs = {"z": draw.normal(rows, columns) if z is None else z, "labels": torch.tensor(labels)}
        if learnable:
            inputs["temperature"] = torch.tensor(temperature)
        else:
            options = {"temperature": temperature, **options}
        if per_row:
            options["reduction"] = "none"
        return make_case(
            name,
            supervised_contrastive,
            "loss",
            inputs,
            options,
            ("labels", *stop),
            tolerance_for(columns, temperature),
            draw.normal(rows) if per_row else None,
        )

    sets = {
        "one_row": [3.0],
        "pair": [1.0, 1.0],
        "all_equal": [0.0] * 5,
        "all_distinct": [4.0, 2.0, 0.0, 1.0, 3.0],
        "two_classes": [0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0],
        "some_alone": [5.0, 2.0, 5.0, -1.0, 2.0, 7.0, 5.0, 0.0, 2.0**40],
    }
    for (kind, labels), columns in itertools.product(sets.items(), [1, 6]):
        size = f"{kind}_{columns}"
        yield one(f"{size}_mean", labels, columns, reduction="mean")
        yield one(f"{size}_sum", labels, columns, reduction="sum")
        yield one(f"{size}_none", labels, columns, per_row=True)
        yield one(f"{size}_t0.02", labels, columns, temperature=0.02)
        yield one(f"{size}_t0.001", labels, columns, temperature=0.001)
        yield one(f"{size}_stopped", labels, columns, stop=("z",))
        yield one(f"{size}_temperature", labels, columns, temperature=0.3125, learnable=True)
        yield one(f"{size}_temperature_none", labels, columns, temperature=0.3125, learnable=True, per_row=True)
        yield one(f"{size}_temperature_alone", labels, columns, temperature=0.3125, learnable=True, stop=("z",))
        yield one(f"{size}_raw", labels, columns, temperature=3.0, normalize=False)
    draw = Draw("supervised_contrastive edges")
    labels = sets["two_classes"]
    z = draw.normal(7, 4)
    z[1], z[3] = 0, 0
    z[4] *= 2.0**-44
    yield one("zero_rows", labels, 4, z=z)
    yield one("huge_rows", labels, 5, z=draw.normal(7, 5) * HUGE)
    yield one("equal_rows", labels, 3, z=draw.normal(1, 3).repeat(7, 1))
    z = draw.normal(7, 3)
    z[4:] = -z[:3]
    yield one("opposite_rows", labels, 3, z=z)


def masked_prediction_cases():
    def one(name, prediction, target, keep, per_row=False, stop=(), **options):
        if per_row:
            options["reduction"] = "none"
        inputs = {"prediction": prediction, "target": target, "keep": keep}
        cotangent = Draw(f"masked_prediction {name}").normal(len(keep)) if per_row else None
        tolerance = tolerance_for(prediction.shape[1])
        return make_case(name, masked_prediction, "loss", inputs, options, ("keep", *stop), tolerance, cotangent)

    for (rows, columns), form in itertools.product(SIZES, ["smooth_l1", "squared", "cosine"]):
        name = f"{size_name(rows, columns)}_{form}"
        draw = Draw("masked_prediction" + name)
        x, y, keep = draw.normal(rows, columns), draw.normal(rows, columns), draw.mask(0.5, rows, columns)
        keep[0] = 0
        yield one(f"{name}_mean", x, y, keep, form=form, reduction="mean")
        yield one(f"{name}_sum", x, y, keep, form=form, reduction="sum", stop=("target",))
        yield one(f"{name}_none", x, y, keep, form=form, per_row=True, stop=("prediction",))
        yield one(f"{name}_all_stopped", x, y, keep, form=form, stop=("prediction", "target"))
        keep[-1] = 1
        yield one(f"{name}_a_row_kept", x, y, keep, form=form, per_row=True)
        yield one(f"{name}_all_kept", x, y, torch.ones(rows, columns), form=form)
    draw = Draw("masked_prediction edges")
    x, y, keep = draw.normal(5, 6), draw.normal(5, 6), draw.mask(0.4, 5, 6)
    yield one("options_left_out", x, y, keep)
    yield one("beta_0", x, y, keep, beta=0.0)
    yield one("beta_0.25", x, y, keep, beta=0.25, reduction="sum")
    x[1], y[3] = 0, 0
    yield one("zero_rows", x, y, keep, form="cosine")
    yield one("huge_rows", x * HUGE, y, keep, form="cosine")
    yield one("far_apart", x * 2.0**20, y, keep)


def sinkhorn_cases():
    def one(name, scores, extra=None, **options):
        inputs = {"scores": scores} if extra is None else {"scores": scores, "extra_scores": extra}
        return make_case(name, sinkhorn, "out", inputs, options, tuple(inputs))

    for rows, columns in [*SIZES, (8, 70)]:
        size = size_name(rows, columns)
        draw = Draw("sinkhorn" + size)
        scores, extra = draw.normal(rows, columns), draw.normal(3, columns)
        if columns < 70:
            yield one(f"{size}_default", draw.normal(rows, columns, scale=0.5))
            yield one(f"{size}_no_iteration", scores, epsilon=0.25, iterations=0)
            yield one(f"{size}_one_iteration", scores, epsilon=0.25, iterations=1)
        yield one(f"{size}_queue", scores, extra, epsilon=0.25, iterations=3)
    draw = Draw("sinkhorn edges")
    yield one("equal_scores", torch.full((4, 3), 7.0))
    yield one("no_iteration_queue", draw.normal(3, 4), draw.normal(2, 4), epsilon=0.5, iterations=0)
    yield one("many_iterations", draw.normal(6, 4), epsilon=0.5, iterations=50)
    yield one("soft", draw.normal(6, 4), epsilon=8.0, iterations=3)


def swapped_assignment_cases():
    for rows, columns in SIZES:
        size = size_name(rows, columns)

        def one(name, stop=(), queues=(0, 0), per_row=False, scale=1.0, **options):
            draw = Draw(f"swapped_assignment {size} {name}")
            inputs = {f"scores_{view}": draw.normal(rows, columns, scale=scale) for view in "ab"}
            for view, count in zip("ab", queues):
                if count:
                    inputs[f"extra_scores_{view}"] = draw.normal(count, columns, scale=scale)
            if per_row:
                options["reduction"] = "none"
            stop = (*stop, *(key for key in inputs if key.startswith("extra")))
            cotangent = draw.normal(rows) if per_row else None
            tolerance = tolerance_for(columns)
            return make_case(f"{size}_{name}", swapped_assignment, "loss", inputs, options, stop, tolerance, cotangent)

        wide = {"epsilon": 0.25, "temperature": 0.5}
        yield one("options_left_out", scale=0.5)
        yield one("mean", reduction="mean", **wide)
        yield one("sum", reduction="sum", **wide)
        yield one("none", per_row=True, **wide)
        yield one("first_stopped", stop=("scores_a",), **wide)
        yield one("second_stopped", stop=("scores_b",), **wide)
        yield one("all_stopped", stop=("scores_a", "scores_b"), **wide)
        yield one("queues", queues=(5, 2), **wide)
        yield one("one_queue", queues=(0, 4), per_row=True, **wide)
        yield one("no_iteration", iterations=0, **wide)
        yield one("one_iteration", iterations=1, **wide)


def batch_loss_cases(op, function, defaults, variants):
    """Losses that use batch statistics: at least two rows."""

    def one(name, a, b, options=None, stop=(), tolerance=None):
        return make_case(name, function, "loss", {"a": a, "b": b}, {**defaults, **(options or {})}, stop, tolerance)

    for rows, columns in [(2, 3), (5, 7), (9, 4), (6, 1)]:
        size = size_name(rows, columns)
        draw = Draw(f"{op} {size}")
        a, b = draw.normal(rows, columns), draw.normal(rows, columns)
        yield one(size, a, b)
        for name, options in variants.items():
            yield one(f"{size}_{name}", a, b, options)
        yield one(f"{size}_first_stopped", a, b, stop=("a",))
        yield one(f"{size}_second_stopped", a, b, stop=("b",))
        yield one(f"{size}_all_stopped", a, b, stop=("a", "b"))
    draw = Draw(f"{op} edges")
    a, b = draw.normal(6, 4), draw.normal(6, 4)
    yield one("same_view", a, a.clone())
    yield one("far_from_the_origin", a + 4096, b - 2048)
    a[:, 2] = 0.5
    b[:, 0] = -3
    yield one("features_that_do_not_vary", a, b)


def barlow_twins_cases():
    variants = {"lambda0": {"lambda": 0.0}, "lambda1": {"lambda": 1.0}, "wide_eps": {"eps": 0.5}}
    yield from batch_loss_cases("barlow_twins", barlow_twins, {"lambda": 5e-3, "eps": 1e-5}, variants)


def vicreg_cases():
    defaults = {"invariance": 25.0, "variance": 25.0, "covariance": 1.0, "eps": 1e-4}
    variants = {
        "invariance_alone": {"variance": 0.0, "covariance": 0.0},
        "variance_alone": {"invariance": 0.0, "covariance": 0.0},
        "covariance_alone": {"invariance": 0.0, "variance": 0.0},
        "wide_eps": {"eps": 0.25},
    }
    yield from batch_loss_cases("vicreg", vicreg, defaults, variants)


def hypersphere_cases():
    variants = {
        "alignment_alone": {"lam": 0.0},
        "linear_distance": {"alpha": 1.0, "lam": 0.5},
        "steep": {"t": 30.0, "alpha": 3.5},
    }
    yield from batch_loss_cases("hypersphere", hypersphere, {"t": 1.0, "lam": 1.0, "alpha": 2.0}, variants)


def momentum_update_cases():
    for count, rows, columns in [(1, 3, 5), (3, 2, 4), (2, 1, 7), (70, 2, 1)]:
        for momentum in [0.0, 0.5, 0.996, 1.0]:
            name = f"{count}x{rows}x{columns}_{momentum}"
            draw = Draw(f"momentum_update {name}")
            inputs = {"targets": draw.normal(count, rows, columns), "online": draw.normal(count, rows, columns)}
            yield make_case(
                name, momentum_update, "out", inputs, {"momentum": momentum}, ("targets", "online"), tolerances(1e-6)
            )


def diagnostic_case(name, function, inputs, options=None):
    return make_case(name, function, "out", inputs, options, tuple(inputs))


def alignment_cases():
    for (rows, columns), alpha in itertools.product(SIZES, [2.0, 1.0, 3.5]):
        name = f"{size_name(rows, columns)}_{alpha}"
        draw = Draw(f"alignment {name}")
        inputs = {"a": draw.normal(rows, columns), "b": draw.normal(rows, columns)}
        yield diagnostic_case(name, alignment, inputs, {"alpha": alpha})
    draw = Draw("alignment edges")
    a, b = draw.normal(4, 3), draw.normal(4, 3)
    a[1] = 0
    yield diagnostic_case("zero_row", alignment, {"a": a, "b": b})
    yield diagnostic_case("huge_rows", alignment, {"a": a * HUGE, "b": b * HUGE})
    yield diagnostic_case("opposite_rows", alignment, {"a": b, "b": -3 * b})


def uniformity_cases():
    for (rows, columns), t in itertools.product([(2, 3), (9, 4), (6, 1), (20, 7)], [2.0, 0.5, 30.0]):
        name = f"{size_name(rows, columns)}_{t}"
        yield diagnostic_case(name, uniformity, {"x": Draw(f"uniformity {name}").normal(rows, columns)}, {"t": t})
    draw = Draw("uniformity edges")
    yield diagnostic_case("equal_rows", uniformity, {"x": draw.normal(1, 3).repeat(5, 1)})
    yield diagnostic_case("huge_rows", uniformity, {"x": draw.normal(5, 3) * HUGE})


def feature_deviation_cases():
    for rows, columns in [(2, 3), (9, 4), (6, 1), (20, 7)]:
        size = size_name(rows, columns)
        x = Draw(f"feature_deviation {size}").normal(rows, columns)
        deviations = unit(x).std(dim=0)
        case = diagnostic_case(size, lambda x: unit(x).std(dim=0).mean() * math.sqrt(x.shape[1]), {"x": x})
        case["expected"]["deviations"] = tensor_json(deviations)
        yield case


def neighbour_share_cases(op):
    for queries, k, slots in [(1, 1, 1), (5, 3, 9), (40, 2, 16)]:
        draw = Draw(f"{op} {queries} {k}")
        whole = lambda low, high, *shape: draw.uniform(low, high, *shape).round()
        inputs = {
            "indices": whole(-1 if queries > 1 else 0, slots - 1, queries, k),
            "queue_numbers": whole(0, 3, slots),
            "numbers": whole(0, 3, queries),
        }
        yield diagnostic_case(f"{queries}_queries_{k}_of_{slots}", neighbour_share, inputs)


def mean_shift_cases():
    def one(name, rows, columns, support_rows, k, per_row=False, stop=(), change=lambda p, v: None, **options):
        for attempt in itertools.count():
            draw = Draw(f"mean_shift {name} {attempt}")
            inputs = {
                "prediction": draw.normal(rows, columns),
                "support": draw.normal(support_rows, columns, scale=2),
                "targets": draw.normal(rows, columns),
            }
            change(inputs["prediction"], inputs["support"])
            if well_apart(inputs["targets"], inputs["support"], k):
                break
        options["k"] = k
        if per_row:
            options["reduction"] = "none"
        cotangent = draw.normal(rows) if per_row else None
        stops = ("support", "targets", *stop)
        return make_case(name, mean_shift, "loss", inputs, options, stops, tolerance_for(columns), cotangent)

    for rows, columns in SIZES:
        size = size_name(rows, columns)
        few, many = (9, 9) if columns == 1 else (3, 23)
        yield one(f"{size}_mean", rows, columns, many, few, reduction="mean")
        yield one(f"{size}_sum", rows, columns, many, few, reduction="sum")
        yield one(f"{size}_none", rows, columns, many, few, per_row=True)
        yield one(f"{size}_k1", rows, columns, 1 if columns == 1 else 11, 1)
        yield one(f"{size}_all", rows, columns, 7, 7)
        yield one(f"{size}_stopped", rows, columns, 7, 7, stop=("prediction",))

    def zero_row(p, v):
        p[1] = 0

    def huge_rows(p, v):
        p *= HUGE
        v[::2] *= HUGE

    yield one("zero_row", 4, 5, 9, 3, change=zero_row)
    yield one("huge_rows", 4, 5, 9, 3, change=huge_rows)


def relation_distillation_cases():
    def one(name, rows, columns, support_rows, per_row=False, stop=(), change=lambda q, k, v: None, **options):
        draw = Draw(f"relation_distillation {name}")
        inputs = {
            "queries": draw.normal(rows, columns),
            "keys": draw.normal(rows, columns),
            "support": draw.normal(support_rows, columns, scale=2),
        }
        change(*inputs.values())
        options = {"temperature": 0.25, "teacher_temperature": 0.125, **options}
        if per_row:
            options["reduction"] = "none"
        cotangent = draw.normal(rows) if per_row else None
        tolerance = tolerance_for(columns, min(options["temperature"], options["teacher_temperature"]))
        stops = ("keys", "support", *stop)
        return make_case(name, relation_distillation, "loss", inputs, options, stops, tolerance, cotangent)

    for rows, columns in SIZES:
        size = size_name(rows, columns)
        yield one(f"{size}_mean", rows, columns, 23, reduction="mean")
        yield one(f"{size}_sum", rows, columns, 23, reduction="sum")
        yield one(f"{size}_none", rows, columns, 23, per_row=True)
        yield one(f"{size}_single", rows, columns, 1)
        yield one(f"{size}_cold", rows, columns, 23, temperature=0.02, teacher_temperature=0.01)
        yield one(f"{size}_raw", rows, columns, 23, temperature=3.0, teacher_temperature=2.0, normalize=False)
        yield one(f"{size}_stopped", rows, columns, 23, stop=("queries",))

    def zero_rows(q, k, v):
        q[1], k[2], v[3] = 0, 0, 0

    def huge_rows(q, k, v):
        q *= HUGE
        v[::2] *= HUGE

    def equal_rows(q, k, v):
        k[:] = q
        v[:] = v[0].clone()

    yield one("zero_rows", 4, 5, 9, change=zero_rows)
    yield one("huge_rows", 4, 5, 9, change=huge_rows)
    yield one("equal_rows", 4, 5, 9, change=equal_rows)


def soft_neighbour_contrast_cases():
    def one(name, rows, columns, k, attends=False, per_row=False, stop=(), change=lambda q, k, n: None, **options):
        draw = Draw(f"soft_neighbour_contrast {name}")
        inputs = {
            "queries": draw.normal(rows, columns),
            "keys": draw.normal(rows, columns),
            "neighbours": draw.normal(rows * k, columns, scale=2),
        }
        change(*inputs.values())
        if attends:
            inputs["attention"] = draw.normal(rows, columns)
        options = {"temperature": 0.25, **options}
        if per_row:
            options["reduction"] = "none"
        cotangent = draw.normal(rows) if per_row else None
        tolerance = tolerance_for(columns, options["temperature"])
        stops = ("keys", "neighbours", *stop)
        return make_case(name, soft_neighbour_contrast, "loss", inputs, options, stops, tolerance, cotangent)

    for rows, columns in SIZES:
        size = size_name(rows, columns)
        yield one(f"{size}_mean", rows, columns, 3, reduction="mean")
        yield one(f"{size}_sum", rows, columns, 2, attends=True, reduction="sum")
        yield one(f"{size}_none", rows, columns, 5, attends=True, per_row=True, label_temperature=0.25)
        yield one(f"{size}_single", rows, columns, 1, neighbour_weight=0.5)
        yield one(f"{size}_cold", rows, columns, 3, temperature=0.02, neighbour_weight=0.25)
        yield one(f"{size}_raw", rows, columns, 3, attends=True, temperature=3.0, normalize=False)
        yield one(f"{size}_attention_stopped", rows, columns, 3, attends=True, stop=("attention",))
        yield one(f"{size}_attention_alone", rows, columns, 3, attends=True, stop=("queries",))
        yield one(f"{size}_stopped", rows, columns, 3, stop=("queries",))

    def zero_rows(q, k, n):
        q[1], k[2], n[3] = 0, 0, 0

    def huge_rows(q, k, n):
        q *= HUGE
        n[::2] *= HUGE

    def equal_rows(q, k, n):
        k[:] = q
        n[:] = n[0].clone()

    yield one("zero_rows", 4, 5, 2, change=zero_rows)
    yield one("huge_rows", 4, 5, 2, change=huge_rows)
    yield one("equal_rows", 4, 5, 2, change=equal_rows)


def step_cases():
    architectures = ["basic", "pre_predictor", "post_predictor", "parallel_predictor"]
    augmentations = [("none", None), ("mask", None), ("neighbour", "none"), ("neighbour", "straight_through")]
    # samples, sample_reduction, symmetric
    variants = [(1, "mean", True), (1, "sum", False), (2, "mean", False), (2, "sum", True)]
    sizes = itertools.cycle([(3, 4), (4, 3), (2, 5), (5, 2), (1, 4)])
    for architecture, paradigm, (augmentation, gradient), stop_target, variant in itertools.product(
        architectures, ["similarity", "discrimination"], augmentations, [True, False], variants
    ):
        samples, sample_reduction, symmetric = variant
        rows, columns = next(sizes)
        options = {
            "architecture": architecture,
            "paradigm": paradigm,
            "augmentation": augmentation,
            "stop_target": stop_target,
            "symmetric": symmetric,
            "samples": samples,
            "sample_reduction": sample_reduction,
            "temperature": 0.25,
        }
        if gradient:
            options["neighbour_gradient"] = gradient
        name = "_".join(
            [
                size_name(rows, columns),
                architecture,
                paradigm,
                augmentation,
                *([gradient] if gradient else []),
                "sg" if stop_target else "flowing",
                f"K{samples}",
                sample_reduction,
                "both" if symmetric else "one",
            ]
        )
        yield step_case(name, rows, columns, options)


def step_case(name, rows, columns, options):
    for attempt in itertools.count():
        draw = Draw(f"step {name} {attempt}")
        inputs = {
            "z1": draw.normal(rows, columns),
            "z2": draw.normal(rows, columns),
            "predictor": draw.normal(columns, columns),
            "keep": draw.mask(0.7, 2, options["samples"], rows, columns),
            "support": draw.normal(7, columns, scale=2),
        }
        try:
            return make_case(name, step, "loss", inputs, options, ("keep", "support"))
        except AmbiguousNeighbour:
            continue


FILES = {
    "l2_normalize": l2_normalize_cases,
    "mask": mask_cases,
    "interpolate": lambda: mix_cases("interpolate", 0.0, 1.0),
    "extrapolate": lambda: mix_cases("extrapolate", 1.0, 3.0),
    "slerp": slerp_cases,
    "exchange_moments": exchange_moments_cases,
    "covariance_noise": covariance_noise_cases,
    "latent_noise": latent_noise_cases,
    "adversarial_step": adversarial_step_cases,
    "neighbour": neighbour_cases,
    "pseudo_neighbour": pseudo_neighbour_cases,
    "soft_neighbour": soft_neighbour_cases,
    "nearest": nearest_cases,
    "enqueue": enqueue_cases,
    "info_nce": info_nce_cases,
    "hard_negative_info_nce": hard_negative_info_nce_cases,
    "symmetric_info_nce": symmetric_info_nce_cases,
    "nt_xent": nt_xent_cases,
    "negative_cosine": negative_cosine_cases,
    "kl_to_standard_normal": kl_to_standard_normal_cases,
    "sigmoid": sigmoid_cases,
    "supervised_contrastive": supervised_contrastive_cases,
    "masked_prediction": masked_prediction_cases,
    "sinkhorn": sinkhorn_cases,
    "swapped_assignment": swapped_assignment_cases,
    "barlow_twins": barlow_twins_cases,
    "vicreg": vicreg_cases,
    "hypersphere": hypersphere_cases,
    "momentum_update": momentum_update_cases,
    "alignment": alignment_cases,
    "uniformity": uniformity_cases,
    "feature_deviation": feature_deviation_cases,
    "neighbour_accuracy": lambda: neighbour_share_cases("neighbour_accuracy"),
    "same_sample_share": lambda: neighbour_share_cases("same_sample_share"),
    "mean_shift": mean_shift_cases,
    "relation_distillation": relation_distillation_cases,
    "soft_neighbour_contrast": soft_neighbour_contrast_cases,
    "step": step_cases,
}


def write_file(path, op, cases):
    lines = ",\n".join(json.dumps(case, separators=(",", ":"), allow_nan=False) for case in cases)
    path.write_text(f'{{"op":"{op}","cases":[\n{lines}\n]}}\n', encoding="ascii")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    for op, cases in FILES.items():
        made = list(cases())
        names = [case["name"] for case in made]
        assert len(names) == len(set(names)), f"{op}: a name twice"
        write_file(folder / f"{op}.json", op, made)


if __name__ == "__main__":
    main()
