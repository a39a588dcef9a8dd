"""Runs train.py, the README's code and a two-device program, each as a user would.

Each runs in a process of its own with JAX's defaults (jax_enable_x64 off, unlike the other tests).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parent.parent


def run(*command, **environment):
    finished = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_nnclr_learns_classes_nobody_told_it():
    assert "of the same class" in run(str(FOLDER / "train.py"))


def test_the_readmes_programs():
    programs = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert programs
    for program in programs:
        run("-c", program)


SHARDED = """
import jax, jax.numpy as jnp
from feaug_jax import info_nce
from jax.sharding import NamedSharding, PartitionSpec

mesh, rows = jax.make_mesh((2,), ("devices",)), PartitionSpec("devices")
a, b = jax.random.normal(jax.random.key(0), (2, 64, 8))
sharded = [jax.device_put(x, NamedSharding(mesh, rows)) for x in (a, b)]
assert jax.jit(info_nce)(*sharded) == info_nce(a, b)

def each(a, b):
    return info_nce(a, b)[None]

losses = jax.jit(jax.shard_map(each, mesh=mesh, in_specs=(rows, rows), out_specs=rows))(*sharded)
assert losses.tolist() == [info_nce(a[:32], b[:32]), info_nce(a[32:], b[32:])]
"""


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="JAX has no shard_map yet")
def test_two_devices():
    run("-c", SHARDED, XLA_FLAGS="--xla_force_host_platform_device_count=2")


EXPLICIT = """
import jax, jax.numpy as jnp, numpy as np
from feaug_jax import info_nce, mask, vicreg

a = jax.random.normal(jax.random.key(0), (16, 8))
w = jnp.eye(8)
with jax.set_mesh(jax.make_mesh((2,), ("d",), axis_types=(jax.sharding.AxisType.Explicit,))):
    x = jax.device_put(a, jax.sharding.PartitionSpec("d"))
    for function in (
        lambda x, w: info_nce(x, x[::-1] @ w),
        lambda x, w: vicreg(x @ w, x + 1),
        lambda x, w: jnp.sum(mask(x @ w, seed=1, step=2) ** 2),
    ):
        gradients = jax.jit(jax.grad(function, argnums=(0, 1)))(x, w)
        assert gradients[0].sharding.is_equivalent_to(x.sharding, 2)
        wanted = jax.grad(function, argnums=(0, 1))(a, w)
        jax.tree.map(lambda g, h: np.testing.assert_allclose(g, h, rtol=1e-4, atol=1e-5), gradients, wanted)
"""


@pytest.mark.skipif(not hasattr(jax, "set_mesh"), reason="JAX has no set_mesh yet")
def test_sharding_in_types():
    run("-c", EXPLICIT, XLA_FLAGS="--xla_force_host_platform_device_count=2")


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="JAX has no shard_map yet")
def test_shard_map():
    run(
        str(Path(__file__).with_name("shard_map_program.py")),
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
