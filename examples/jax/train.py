"""NNCLR in JAX on points of eight classes, trained without labels.

The network, the optimiser and the loop are JAX's; the loss, the mask and the queue are feaug's. The
whole training is one jax.lax.scan."""

import sys

import jax
import jax.numpy as jnp
from feaug_jax import SupportQueue, enqueue, info_nce, mask, nearest, support_queue

POINTS, INPUTS, FEATURES, CLASSES, CAPACITY, STEPS = 256, 32, 16, 8, 2048, 200


def sample(key):
    """Labels and two views. Points of a class agree in eight of 32 numbers; the rest is noise."""
    labels_key, *view_keys = jax.random.split(key, 3)
    labels = jax.random.randint(labels_key, (POINTS,), 0, CLASSES)

    def view(key):
        noise = jax.random.normal(key, (POINTS, INPUTS))
        of_class = 3 * jax.nn.one_hot(labels, CLASSES) + 0.3 * noise[:, :CLASSES]
        return jnp.concatenate([of_class, 1.5 * noise[:, CLASSES:]], axis=1)

    return labels, view(view_keys[0]), view(view_keys[1])


def layers(key, inputs, hidden, outputs):
    first, second = jax.random.split(key)
    return {
        "first": jax.random.normal(first, (inputs, hidden)) / jnp.sqrt(inputs),
        "second": jax.random.normal(second, (hidden, outputs)) / jnp.sqrt(hidden),
    }


def apply(weights, x):
    x = x @ weights["first"]
    x = (x - x.mean(axis=0)) / jnp.sqrt(x.var(axis=0) + 1e-5)
    return jax.nn.relu(x) @ weights["second"]


def loss_of(weights, queue: SupportQueue, one, other, step):
    target = apply(weights["encoder"], one)
    masked = mask(apply(weights["encoder"], other), seed=1, step=step, keep_probability=0.9)
    found = nearest(queue, target).values  # constants: no gradient is computed
    return info_nce(found, apply(weights["predictor"], masked), temperature=0.2), target


def train_step(state, step):
    weights, moments, queue, key = state
    key, drawn = jax.random.split(key)
    _, one, other = sample(drawn)
    (loss, target), gradients = jax.value_and_grad(loss_of, has_aux=True)(
        weights, queue, one, other, step
    )
    # Adam
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradients)
    rate = 2e-3 * jnp.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
    weights = jax.tree.map(
        lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, first, second
    )
    return (weights, (first, second), enqueue(queue, target, after=loss), key), loss


def neighbours_of_own_class(weights, key):
    """The share of points whose nearest neighbour in the batch has the same class."""
    labels, one, _ = sample(key)
    rows = apply(weights["encoder"], one)
    second = nearest(enqueue(support_queue(POINTS, FEATURES), rows), rows, k=2).indices[:, 1]
    return (labels[second] == labels).mean()


def main():
    keys = jax.random.split(jax.random.key(1), 4)
    weights = {
        "encoder": layers(keys[0], INPUTS, 64, FEATURES),
        "predictor": layers(keys[1], FEATURES, 64, FEATURES),
    }
    zeros = jax.tree.map(jnp.zeros_like, weights)
    first_rows = apply(weights["encoder"], sample(keys[2])[1])
    queue = enqueue(support_queue(CAPACITY, FEATURES), first_rows)
    before = neighbours_of_own_class(weights, keys[3])
    (weights, *_), losses = jax.lax.scan(
        train_step, (weights, (zeros, zeros), queue, keys[2]), jnp.arange(STEPS)
    )
    after = neighbours_of_own_class(weights, keys[3])
    print(f"loss {losses[0]:.3f} → {losses[-1]:.3f}")
    print(f"nearest neighbours of the same class: {before:.0%} before, {after:.0%} after")
    return 0 if after > 0.9 > before else 1


if __name__ == "__main__":
    sys.exit(main())
