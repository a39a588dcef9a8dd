"""The losses in jax.numpy, jitted with their gradients."""
import eager
import jax
import jax.numpy as jnp
import torch


def unit(x):
    return x / jnp.maximum(jnp.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def cross_entropy(logits, own):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits, axis=1), own[:, None], axis=1))


def own_rows(x):
    return jnp.arange(len(x))


def info_nce(queries, keys):
    return cross_entropy(unit(queries) @ unit(keys).T / eager.TEMPERATURE, own_rows(queries))


def symmetric_info_nce(queries, keys):
    logits = unit(queries) @ unit(keys).T / eager.TEMPERATURE
    return (cross_entropy(logits, own_rows(queries)) + cross_entropy(logits.T, own_rows(queries))) / 2


def nt_xent(a, b):
    z = unit(jnp.concatenate([a, b]))
    logits = jnp.where(jnp.eye(len(z), dtype=bool), -jnp.inf, z @ z.T / eager.TEMPERATURE)
    return cross_entropy(logits, jnp.roll(own_rows(z), len(a)))


def sigmoid(a, b):
    logits = 10.0 * unit(a) @ unit(b).T - 10.0
    return -jnp.sum(jax.nn.log_sigmoid((2 * jnp.eye(len(a)) - 1) * logits)) / len(a)


def supervised_contrastive(features, labels):
    z = unit(features)
    others = ~jnp.eye(len(z), dtype=bool)
    logits = jnp.where(others, z @ z.T / eager.TEMPERATURE, -jnp.inf)
    positives = (labels[:, None] == labels) & others
    counts = positives.sum(axis=1)
    sums = jnp.sum(jnp.where(positives, jax.nn.log_softmax(logits, axis=1), 0), axis=1)
    return -jnp.sum(sums / jnp.maximum(counts, 1)) / jnp.sum(counts > 0)


def negative_cosine(predictions, targets):
    return -jnp.mean(jnp.sum(unit(predictions) * unit(targets), axis=1))


def barlow_twins(a, b, lambda_param=5e-3, eps=1e-5):
    a, b = ((x - x.mean(axis=0)) / jnp.sqrt(x.var(axis=0) + eps) for x in (a, b))
    c = a.T @ b / len(a)
    on = jnp.diagonal(c)
    return jnp.sum((1 - on) ** 2) + lambda_param * (jnp.sum(c**2) - jnp.sum(on**2))


def vicreg(a, b, eps=1e-4):
    loss = 25 * jnp.mean((a - b) ** 2)
    for x in (a, b):
        x = x - x.mean(axis=0)
        c = x.T @ x / (len(x) - 1)
        loss += 12.5 * jnp.mean(jax.nn.relu(1 - jnp.sqrt(jnp.diagonal(c) + eps)))
        loss += (jnp.sum(c**2) - jnp.sum(jnp.diagonal(c) ** 2)) / x.shape[1]
    return loss


def hypersphere(a, b):
    x, y = unit(a), unit(b)

    def uniformity(z):
        squares = 2 - 2 * z @ z.T
        above = jnp.triu(jnp.ones_like(squares), 1)
        return jnp.log(jnp.sum(above * jnp.exp(-squares)) / jnp.sum(above))

    return jnp.mean(jnp.sum((x - y) ** 2, axis=1)) + (uniformity(x) + uniformity(y)) / 2


def loss(name, arrays, inputs):
    """A contestant: the loss and its gradients with respect to the first `inputs` arrays."""
    step = jax.jit(jax.value_and_grad(globals()[name], argnums=tuple(range(inputs))))
    operands = [jnp.asarray(x) for x in arrays]

    def run():
        value, gradients = jax.block_until_ready(step(*operands))
        return [torch.from_dlpack(x) for x in (value, *gradients)]

    return run
