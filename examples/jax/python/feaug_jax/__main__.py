"""python -m feaug_jax: checks the installation. It ends with status 1 if a result is wrong."""

import platform
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

import feaug_jax
from feaug_jax._library import instructions


def _info_nce(queries: np.ndarray, keys: np.ndarray) -> tuple[float, np.ndarray]:
    """The formula of the loss and of its gradient with respect to the queries, in float64."""
    norms = np.linalg.norm(queries, axis=1, keepdims=True)
    unit_queries = queries / norms
    unit_keys = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    logits = unit_queries @ unit_keys.T / 0.1
    softmax = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax /= softmax.sum(axis=1, keepdims=True)
    loss = -np.log(np.diagonal(softmax)).mean()
    by_unit = (softmax - np.eye(len(queries))) @ unit_keys / 0.1 / len(queries)
    along = np.sum(by_unit * unit_queries, axis=1, keepdims=True)
    return loss, (by_unit - along * unit_queries) / norms


def _check(device: jax.Device) -> bool:
    """Compares a loss and its gradient on one device with the formula, and prints the result."""
    queries, keys = np.random.default_rng(1).normal(size=(2, 256, 128))
    operands = [jax.device_put(jnp.asarray(x, jnp.float32), device) for x in (queries, keys)]
    began = time.perf_counter()
    loss, gradient = jax.block_until_ready(jax.value_and_grad(feaug_jax.info_nce)(*operands))
    seconds = time.perf_counter() - began
    formula, formula_gradient = _info_nce(queries, keys)
    error = abs(float(loss) / formula - 1)
    gradient_error = np.linalg.norm(gradient - formula_gradient) / np.linalg.norm(formula_gradient)
    passed = bool(error < 1e-5 and gradient_error < 1e-5)
    print(
        f"{device.platform}: info_nce of 256 x 128 differs from its formula by {error:.0e}, its "
        f"gradient by {gradient_error:.0e}, in {seconds:.4f} s with compilation: "
        f"{'as it should' if passed else 'WRONG'}"
    )
    return passed


def main() -> int:
    print(
        f"feaug_jax {feaug_jax.__version__}, JAX {jax.__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    print(f"CPU: {instructions}")
    print(f"platforms: compiled for {', '.join(feaug_jax.platforms)}; JAX uses {jax.default_backend()}")
    devices = [jax.devices("cpu")[0]]
    if "cuda" in feaug_jax.platforms and jax.default_backend() == "gpu":
        devices.append(jax.devices("gpu")[0])
    return 0 if all([_check(device) for device in devices]) else 1


if __name__ == "__main__":
    sys.exit(main())
