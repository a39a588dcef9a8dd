import jax
import jax.numpy as jnp
import numpy as np
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)


@pytest.fixture
def rows():
    """rows(n, d, dtype): normal random numbers, different at every call."""
    generator = np.random.default_rng(7)

    def draw(n, d, dtype=np.float64):
        return jnp.asarray(generator.normal(size=(n, d))).astype(dtype)

    return draw


@pytest.fixture
def refuses():
    """refuses(call, *parts): whether the call fails with a message that contains all parts."""

    def check(call, *parts, error=jax.errors.JaxRuntimeError):
        with pytest.raises(error) as raised:
            jax.block_until_ready(call())
        for part in parts:
            assert part in str(raised.value)

    return check
