"""Loads the compiled operators, torch.ops.feaug; helpers for their registration."""

from pathlib import Path

import torch
from torch import Tensor


def _load(device: str) -> bool:
    library = Path(__file__).with_name(f"libfeaug_torch_{device}.so")
    if not library.exists():
        return False
    torch.ops.load_library(str(library))
    return True


if not _load("cpu"):
    raise ImportError(
        "feaug_torch: the compiled operators are missing: install the package "
        "(pip install ./examples/pytorch) instead of importing its sources"
    )

#: Device types of the operators: "cpu", and "cuda" if it was compiled.
devices: tuple[str, ...] = ("cpu",)
if torch.version.cuda is not None and _load("cuda"):
    devices += ("cuda",)


def contiguous_like(x: Tensor) -> Tensor:
    """An empty contiguous tensor with the shape of x, as fake result of an operator."""
    return x.new_empty(x.shape)


def whole_numbers(labels: Tensor) -> Tensor:
    """Integer labels as int64. Floating-point labels are unchanged; the operators refuse them."""
    return labels if labels.is_floating_point() else labels.to(torch.int64)


def no_second_derivative(operator: str):
    """An autograd formula that raises an error; without it the gradient would silently be wrong."""

    def backward(_ctx, *_gradients):
        raise RuntimeError(
            f"feaug_torch: {operator}: second derivatives are not offered; "
            "differentiate once, without create_graph"
        )

    return backward
