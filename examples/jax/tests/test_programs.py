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


@pytest.mark.skipif(not hasattr(jax, "shard_map"), reason="JAX has no shard_map yet")
def test_shard_map():
    run(
        str(Path(__file__).with_name("shard_map_program.py")),
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
