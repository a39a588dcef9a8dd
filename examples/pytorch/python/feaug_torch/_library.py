"""Loads the compiled operators, torch.ops.feaug; helpers for their registration."""

import sys
from collections.abc import Callable
from operator import index
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


if [int(part) for part in torch.__version__.split(".")[:2]] < [2, 10]:
    raise ImportError(f"feaug_torch: got PyTorch {torch.__version__}, wanted 2.10 or newer")


def _load(device: str) -> bool:
    # An editable installation (pip install -e) has the library in another folder than the modules.
    for folder in sys.modules[__package__].__path__:
        library = Path(folder, f"libfeaug_torch_{device}.so")
        if library.exists():
            torch.ops.load_library(str(library))
            return True
    return False


if not _load("cpu"):
    raise ImportError(
        "feaug_torch: the compiled operators are missing: install the package (pip install, or "
        "pip install -e, of the folder that has its pyproject.toml) instead of importing its sources"
    )

#: The version of feaug that the operators were compiled from.
__version__: str = torch.ops.feaug.version()

#: Device types of the operators: "cpu", and "cuda" if it was compiled.
devices: tuple[str, ...] = ("cpu",)
if torch.version.cuda is not None and _load("cuda"):
    devices += ("cuda",)


def contiguous_like(x: Tensor) -> Tensor:
    """An empty contiguous tensor with the shape of x, as fake result of an operator."""
    return x.new_empty(x.shape)


def one_device(operator: str, *tensors: Tensor | None) -> None:
    """PyTorch's error for tensors on several devices. The fake implementations call it: a call with
    a tensor on the meta device runs only these.
    """
    devices = dict.fromkeys(str(x.device) for x in tensors if x is not None)
    if len(devices) > 1:
        raise RuntimeError(
            f"{operator}: Expected all tensors to be on the same device, but found at least two "
            f"devices, {' and '.join(devices)}!"
        )


def whole_numbers(labels: Tensor) -> Tensor:
    """Integer labels as int64. Floating-point labels are unchanged; the operators refuse them."""
    return labels if labels.is_floating_point() else labels.to(torch.int64)


def number(operator: str, argument: str, value: Any, wanted: str = "a number") -> float:
    """A number of Python, NumPy or a tensor of one element, as a float. It gets no gradient."""
    try:
        if isinstance(value, str) or isinstance(value, Tensor) and value.requires_grad:
            raise TypeError
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(f"{operator}: {argument}: got {value!r}, wanted {wanted}") from None


def number_or_tensor(
    operator: str, argument: str, value: float | Tensor
) -> tuple[float, Tensor | None]:
    """A plain number and no tensor, or a placeholder and a tensor of one element (learnable)."""
    if isinstance(value, Tensor):
        return 1.0, value
    return number(operator, argument, value), None


def flag(operator: str, argument: str, value: Any) -> bool:
    """True or False of Python, NumPy or a tensor of one element."""
    if isinstance(value, bool):
        return value
    if getattr(value, "dtype", None) in (torch.bool, "bool") and value.ndim == 0:
        return bool(value)
    raise TypeError(f"{operator}: {argument}: got {value!r}, wanted True or False")


def whole(operator: str, argument: str, value: Any) -> int:
    """A whole number of Python, NumPy or an integer tensor of one element, as an int."""
    if isinstance(value, (int, torch.SymInt)):
        return value  # torch.compile would compile once for every number that index() returns
    try:
        return index(value)
    except (TypeError, RuntimeError):
        raise TypeError(f"{operator}: {argument}: got {value!r}, wanted a whole number") from None


def sequence(value: Any) -> tuple | None:
    """The elements of a tuple, list, array or similar; None for a single value."""
    if isinstance(value, (str, float, int)):  # torch.compile of PyTorch 2.10 refuses tuple(float)
        return None
    try:
        return tuple(value)
    except TypeError:
        return None


def refuse_tracing(operator: str) -> None:
    """torch.jit.trace would keep the arguments of this call as constants."""
    if torch.jit.is_tracing():
        raise RuntimeError(
            f"{operator}: torch.jit.trace is not supported: use torch.compile or torch.export"
        )


_kernels = torch.library.Library("feaug", "IMPL")


def writes_in_place(name: str, *written: int) -> None:
    """Marks the tensors (or lists of tensors) at positions `written` of an operator's arguments as
    modified after each call, so that autograd detects their use as saved tensors.
    """
    operator = getattr(torch.ops.feaug, name).default

    def mark(keys: Any, *arguments: Any) -> None:
        with torch._C._AutoDispatchBelowADInplaceOrView():
            operator.redispatch(keys & torch._C._after_ADInplaceOrView_keyset, *arguments)
        for at in written:
            if arguments[at] is not None:
                torch.autograd.graph.increment_version(arguments[at])

    _kernels.impl(name, mark, "ADInplaceOrView", with_keyset=True)


def register_formula(
    name: str, setup_context: Callable[..., None], backward: Callable[..., tuple]
) -> None:
    """torch.library.register_autograd for an operator without default arguments. PyTorch's searches
    the schema for them in each call, which takes longer than a small loss.
    """
    operator = getattr(torch.ops.feaug, name).default

    def run(keys: Any, arguments: tuple):
        with torch._C._AutoDispatchBelowAutograd():
            return operator.redispatch(keys & torch._C._after_autograd_keyset, *arguments)

    def forward(ctx, *arguments_and_keys):
        *arguments, keys = arguments_and_keys
        output = run(keys, arguments)
        setup_context(ctx, arguments, output)
        return output

    def backward_and_no_keys(ctx, *by_output):
        return (*backward(ctx, *by_output), None)

    # The name of grad_fn, and in the messages of detect_anomaly, is made from that of the class.
    formula = type(
        name,
        (torch.autograd.Function,),
        {"forward": staticmethod(forward), "backward": staticmethod(backward_and_no_keys)},
    )

    def differentiable(keys: Any, *arguments: Any):
        if torch.is_grad_enabled() and torch._C._any_requires_grad(*arguments):
            return formula.apply(*arguments, keys)
        return run(keys, arguments)

    _kernels.impl(name, differentiable, "Autograd", with_keyset=True)


def no_second_derivative(operator: str):
    """An autograd formula that raises an error; without it the gradient would silently be wrong."""

    def backward(_ctx, *_gradients):
        raise RuntimeError(
            f"feaug_torch: {operator}: second derivatives are not offered; "
            "differentiate once, without create_graph"
        )

    return backward
