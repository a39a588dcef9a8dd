"""python -m feaug_torch: checks the installation. It ends with status 1 if a result is wrong."""

import platform
import sys
import time

import torch

import feaug_torch


def _info_nce(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """The formula of the loss, in float64."""
    unit_queries, unit_keys = (torch.nn.functional.normalize(x.double()) for x in (queries, keys))
    return torch.nn.functional.cross_entropy(
        unit_queries @ unit_keys.T / 0.1, torch.arange(len(queries), device=queries.device)
    )


def _check(device: str) -> bool:
    """Compares a loss and its gradient on one device with the formula, and prints the result."""
    queries, keys = torch.randn(2, 256, 128, generator=torch.Generator().manual_seed(1)).to(device)
    mine, expected = queries.clone().requires_grad_(), queries.clone().requires_grad_()
    began = time.perf_counter()
    loss = feaug_torch.info_nce(mine, keys)
    loss.backward()
    seconds = time.perf_counter() - began
    formula = _info_nce(expected, keys)
    formula.backward()
    error = abs(loss.item() / formula.item() - 1)
    gradient_error = ((mine.grad - expected.grad).norm() / expected.grad.norm()).item()
    passed = error < 1e-5 and gradient_error < 1e-5
    print(
        f"{device}: info_nce of 256 x 128 differs from its formula by {error:.0e}, its gradient by "
        f"{gradient_error:.0e}, in {seconds:.4f} s: {'as it should' if passed else 'WRONG'}"
    )
    return passed


def main() -> int:
    print(
        f"feaug_torch {feaug_torch.__version__}, PyTorch {torch.__version__}, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    print(f"CPU: {torch.ops.feaug.instructions()}, {torch.get_num_threads()} threads of PyTorch")
    compiled_for = ", ".join(feaug_torch.devices)
    print(f"devices: {compiled_for}; a GPU is {'' if torch.cuda.is_available() else 'not '}available")
    devices = [x for x in feaug_torch.devices if x == "cpu" or torch.cuda.is_available()]
    return 0 if all([_check(device) for device in devices]) else 1


if __name__ == "__main__":
    sys.exit(main())
