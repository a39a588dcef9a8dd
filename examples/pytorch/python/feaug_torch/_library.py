"""The compiled operators, torch.ops.feaug, and what their registrations share."""

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

#: The types of devices that the operators run on: "cpu", and "cuda" if it was compiled in.
devices: tuple[str, ...] = ("cpu",)
if torch.version.cuda is not None and _load("cuda"):
    devices += ("cuda",)


def contiguous_like(x: Tensor) -> Tensor:
    """What an operator's result of x's shape is, without data."""
    return x.new_empty(x.shape)


def whole_numbers(labels: Tensor) -> Tensor:
    """Labels of any integers as the operators take them, which refuse others."""
    return labels if labels.is_floating_point() else labels.to(torch.int64)


def no_second_derivative(operator: str):
    """An autograd formula that refuses: silence would be a wrong gradient."""

    def backward(_ctx, *_gradients):
        raise RuntimeError(
            f"feaug_torch: {operator}: second derivatives are not offered; "
            "differentiate once, without create_graph"
        )

    return backward
