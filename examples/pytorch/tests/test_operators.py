"""PyTorch's own checks of operators: schemas, autograd, dynamic shapes, fake tensors."""

import feaug_torch as ft
import pytest
import torch
from calls import functions
from torch.library import opcheck
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


def is_feaugs(operator):
    return str(operator).startswith("feaug.")


def as_leaf(x):
    return x.detach().requires_grad_(x.requires_grad)


class Called(TorchFunctionMode):
    """Records the arguments of feaug's operators; tensors keep requires_grad."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if is_feaugs(function):
            self.calls.append((function.default, tree_map_only(torch.Tensor, as_leaf, args)))
        return function(*args, **(kwargs or {}))


class CalledBackward(TorchDispatchMode):
    """As above for a backward pass, whose operators have no derivative."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if is_feaugs(operator):
            self.calls.append((operator, tree_map_only(torch.Tensor, torch.Tensor.detach, args)))
        return operator(*args, **(kwargs or {}))


def calls_of(function, rows):
    x, y = rows(9, 6).requires_grad_(), rows(9, 6).requires_grad_()
    with Called() as forward:
        out = function(x, y)
    with CalledBackward() as backward:
        out.sum().backward()
    return forward.calls + backward.calls


def of_the_modules(x, y):
    augment = ft.FeatureAugmentation("mask")
    queue = ft.SupportQueue(20, 6).to(x.dtype)
    queue.enqueue(x)
    target = [torch.ones(3), torch.ones(2, 2)]
    ft.momentum_update([torch.zeros(3), torch.zeros(2, 2)], target, 0.9)
    return augment(x) * queue.nearest(y).values


CALLS = {**functions(torch.empty), "modules": of_the_modules}


@pytest.mark.parametrize("name", CALLS)
def test_operators(rows, name):
    calls = calls_of({**functions(rows), "modules": of_the_modules}[name], rows)
    assert calls
    for operator, arguments in calls:
        opcheck(operator, arguments)


def test_no_operator_is_left_out(rows):
    calls = [
        call
        for function in (*functions(rows).values(), of_the_modules)
        for call in calls_of(function, rows)
    ]
    registered = {
        schema.name
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("feaug::") and schema.arguments  # not version and instructions
    }
    assert {operator.name() for operator, _ in calls} == registered


def test_grad_fn_names_the_operator(rows):
    x = rows(4, 3).requires_grad_()
    assert ft.info_nce(x, x).grad_fn.name() == "info_nceBackward"
    assert ft.l2_normalize(x).grad_fn.name() == "l2_normalizeBackward"
