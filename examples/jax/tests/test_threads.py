"""The number of threads, and that results do not depend on it."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
from feaug_jax import enqueue, info_nce, nearest, nt_xent, set_threads, support_queue


def test_threads_change_no_bit(rows):
    a, b = rows(700, 48, jnp.float32), rows(700, 48, jnp.float32)

    @jax.jit
    def everything(a, b):
        queue = enqueue(support_queue(1000, 48), a)
        by_loss = [jax.value_and_grad(loss, argnums=(0, 1))(a, b) for loss in (info_nce, nt_xent)]
        return queue, nearest(queue, b, k=3), by_loss

    try:
        several = []
        for threads in (1, 2, 3):
            set_threads(threads)
            several.append(jax.tree.map(np.asarray, everything(a, b)))
    finally:
        set_threads(0)
    for other in several[1:]:
        jax.tree.map(np.testing.assert_array_equal, several[0], other)


def test_calls_at_the_same_time(rows):
    """XLA runs independent calls on several threads."""
    sides = [(rows(300, 32), rows(300, 32)) for _ in range(8)]
    together = jax.jit(lambda sides: [info_nce(a, b) for a, b in sides])(sides)
    for value, (a, b) in zip(together, sides):
        assert value == info_nce(a, b)


STARTED = """
import os
import jax, jax.numpy as jnp
import feaug_jax
x = jnp.ones((2000, 64))
jax.block_until_ready(jax.jit(lambda x: x @ x.T)(x))  # XLA's own have started
def threads(): return len(os.listdir("/proc/self/task"))
before = threads()
for loss in (feaug_jax.info_nce, feaug_jax.nt_xent, feaug_jax.vicreg):
    jax.block_until_ready(loss(x, x))
print(threads() - before)
"""


def run(program, threads):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "FEAUG_JAX_THREADS": threads}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_says_how_many():
    for threads in ("1", "4"):
        started = run(STARTED, threads)
        assert started.returncode == 0, started.stderr
        # The caller's thread is one of them.
        assert int(started.stdout) == int(threads) - 1


def test_errors(refuses):
    refuses(lambda: set_threads(-1), "set_threads: count: got -1, wanted", error=ValueError)
    refused = run("import feaug_jax", "-1")
    assert refused.returncode != 0 and "count: got -1" in refused.stderr
