"""Under jax.shard_map with its default checks, functions and gradients are those of the formulas in jax.numpy.

test_programs.py runs this program with two devices.
"""

import jax
import jax.numpy as jnp
import numpy as np
from feaug_jax import (
    enqueue,
    gaussian_noise,
    info_nce,
    interpolate,
    mask,
    nearest,
    negative_cosine,
    nt_xent,
    support_queue,
)
from jax.sharding import Mesh, PartitionSpec
from test_losses import plain_byol, plain_info_nce, plain_nt_xent

MESH = Mesh(np.array(jax.devices()), ("devices",))
ROWS, SAME = PartitionSpec("devices"), PartitionSpec()
A, B = jax.random.normal(jax.random.key(0), (2, 64, 8))
TEMPERATURE = jnp.float32(0.3)


def sharded(function, results=SAME):
    return jax.jit(
        jax.shard_map(function, mesh=MESH, in_specs=(ROWS, ROWS, SAME), out_specs=results)
    )


def close(ours, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), ours, wanted)


def gradients(loss):
    """Of the mean of the devices' losses: with respect to sharded rows and to a number that all devices have."""

    def of_a_device(a, b, temperature):
        mean = lambda *operands: jax.lax.pmean(loss(*operands), "devices")  # noqa: E731
        return jax.value_and_grad(mean, argnums=(0, 1, 2))(a, b, temperature)

    return sharded(of_a_device, (SAME, (ROWS, ROWS, SAME)))(A, B, TEMPERATURE)


def at(loss):
    return lambda a, b, t: loss(a, b, temperature=t)


for ours, plain in ((at(info_nce), plain_info_nce), (at(nt_xent), plain_nt_xent)):
    close(gradients(ours), gradients(plain))
    # One side of all devices' rows, the other of a device's own: the gradient of the first is summed.
    gathered = lambda of: lambda a, b, t: of(
        a, jax.lax.all_gather(b, "devices", tiled=True)[: len(a)], t
    )  # noqa: E731
    close(gradients(gathered(ours)), gradients(gathered(plain)))
    constant = lambda of: lambda a, b, t: of(a, jnp.asarray(B[: len(a)]), t)  # noqa: E731
    close(gradients(constant(ours)), gradients(constant(plain)))
close(
    gradients(lambda a, b, t: t * negative_cosine(a, b, form="byol")),
    gradients(lambda a, b, t: t * plain_byol(a, b)),
)

# In 16 bits gradients are computed in the backward pass.
half = lambda loss: lambda a, b, t: loss(a.astype(jnp.float16), b.astype(jnp.float16), t)  # noqa: E731
for of_half, of_float in zip(
    jax.tree.leaves(gradients(half(at(info_nce)))), jax.tree.leaves(gradients(at(info_nce)))
):
    np.testing.assert_allclose(of_half, of_float, rtol=2e-2, atol=2e-4)

for augment in (mask, gaussian_noise, interpolate):
    draw = lambda x, augment=augment: augment(x, seed=3, step=5)  # noqa: E731
    weights = jnp.arange(64.0).reshape(8, 8)
    loss = lambda a, b, t: t * jnp.sum(draw(a)[:8] * weights) + jnp.sum(b) * 0  # noqa: E731
    of_sharded = gradients(loss)
    each = [
        jax.value_and_grad(lambda a, t: t * jnp.sum(draw(a)[:8] * weights), argnums=(0, 1))(
            part, TEMPERATURE
        )
        for part in jnp.split(A, 2)
    ]
    wanted_loss = (each[0][0] + each[1][0]) / 2
    wanted = (
        jnp.concatenate([one[1][0] for one in each]) / 2,
        jnp.zeros_like(B),
        (each[0][1][1] + each[1][1][1]) / 2,
    )
    close(of_sharded, (wanted_loss, wanted))


def search(a, b, _temperature):
    queue = enqueue(
        support_queue(16, 8), b
    )  # an empty queue is the same on all devices, its rows are not
    return nearest(queue, a).indices


for part, found in zip(
    zip(jnp.split(A, 2), jnp.split(B, 2)), jnp.split(sharded(search, ROWS)(A, B, TEMPERATURE), 2)
):
    assert jnp.array_equal(found, search(*part, TEMPERATURE))


def varying(x):
    if hasattr(jax.lax, "pcast"):
        return jax.lax.pcast(x, "devices", to="varying")
    return jax.lax.pvary(x, "devices")  # the name in older versions


def carried(a, b, _temperature):
    """A scan's carry varies like its results, from the beginning."""
    empty = jax.tree.map(varying, support_queue(16, 8))
    queue, _ = jax.lax.scan(
        lambda queue, rows: (enqueue(queue, rows), None), empty, b.reshape(4, -1, 8)
    )
    return nearest(queue, a).indices


assert sharded(carried, ROWS)(A, B, TEMPERATURE).shape == (64,)

try:
    sharded(lambda a, b, t: info_nce(a, b, temperature=t))(A, B, TEMPERATURE)
except ValueError as refused:
    assert "devices" in str(refused)
else:
    raise AssertionError("a loss that differs between devices passed as one that does not")
