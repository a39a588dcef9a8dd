"""Uses that broke other libraries: inference_mode before training, fork, mixed devices, checkpointing, numbers of NumPy, half-precision banks."""

import copy
import gc
import inspect
import multiprocessing
import re
import subprocess
import sys

import feaug_torch as ft
import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.utils.checkpoint import checkpoint


@pytest.mark.parametrize("filled", [True, False])
def test_a_bank_whose_first_batch_comes_under_inference_mode_trains(rows, filled):
    """As in Lightning, which validates before it trains."""
    bank = ft.NNMemoryBankModule(32, filled=filled)
    x = rows(8, 4, torch.float32)
    with torch.inference_mode():
        bank(x, update=not filled)
    before = int(bank.cursor)
    y = x.clone().requires_grad_()
    ft.InfoNCELoss()(bank(y, update=True), y).backward()
    assert y.grad.isfinite().all() and int(bank.cursor) == (before + 8) % 32
    other = ft.NNMemoryBankModule(32)
    with torch.inference_mode():
        other(x)
    other.load_state_dict(bank.state_dict())
    assert torch.equal(other.rows, bank.rows)


X = torch.randn(1000, 32, generator=torch.Generator().manual_seed(1))


def call_everything(_number: int) -> float:
    queue = ft.SupportQueue(64, 32)
    queue.enqueue(X)
    target = X[:8].clone()
    ft.momentum_update([X[:8]], [target], 0.5)
    return ft.nt_xent(ft.mask(X), queue.nearest(X).values).item() + target[0, 0].item()


def test_a_forked_process_calls_operators():
    """PyTorch's own threads do not survive a fork (its parallel sums hang); those of feaug do."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        wanted = call_everything(0)
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map_async(call_everything, range(2)).get(60) == [wanted, wanted]
    finally:
        torch.set_num_threads(threads)


def test_operators_run_on_pytorchs_threads():
    """Threads of feaug would compete with PyTorch's, which wait awake."""
    program = """
import os, torch, feaug_torch as ft
torch.set_num_threads(3)
x = torch.randn(1000, 1000)
(x + x).sum()
threads = len(os.listdir("/proc/self/task"))
ft.info_nce(x, x + 1)
assert len(os.listdir("/proc/self/task")) == threads >= 3, threads
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_default_device_does_not_move_the_step(rows):
    x = rows(4, 3)
    with torch.device("meta"):
        assert torch.equal(ft.gaussian_noise(x, 0.0), x)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda x, y: ft.interpolate(x, y), id="interpolate"),
        pytest.param(lambda x, y: ft.nt_xent(x, y), id="nt_xent"),
        pytest.param(lambda x, y: ft.nearest(x, y), id="nearest"),
        pytest.param(
            lambda x, y: ft.enqueue(
                x, torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64), y
            ),
            id="enqueue",
        ),
    ],
)
def test_tensors_on_two_devices_are_refused_as_in_pytorch(rows, refuses, call):
    for x, y in ((rows(4, 3), rows(4, 3).to("meta")), (rows(4, 3).to("meta"), rows(4, 3))):
        refuses(
            lambda x=x, y=y: call(x, y), "on the same device", "cpu", "meta", error=RuntimeError
        )


def test_momentum_update_of_batch_normalisation(rows, refuses):
    online, target = nn.BatchNorm1d(4), nn.BatchNorm1d(4)
    online(rows(8, 4, torch.float32))
    ft.momentum_update(online.buffers(), target.buffers(), 0.9)
    torch.testing.assert_close(target.running_mean, 0.1 * online.running_mean)
    assert int(target.num_batches_tracked) == 1
    before = copy.deepcopy([*target.buffers()])
    counters = torch.zeros(3, dtype=torch.int64)
    refuses(
        lambda: ft.momentum_update([*online.buffers()][:2] + [counters], target.buffers(), 0.9),
        "momentum_update: online_params: got torch.int64 of shape (3,), wanted torch.int64 of shape ()",
    )
    assert all(torch.equal(a, b) for a, b in zip(before, target.buffers()))


def test_the_gradient_of_a_half_precision_bank():
    """Gradients of the mean over 4096 rows underflow in float16 unless they include the factor of GradScaler."""
    draws = torch.Generator().manual_seed(1)
    out0, out1 = (torch.randn(4096, 256, generator=draws).half() for _ in range(2))
    module = ft.NTXentLoss(memory_bank_size=(128, 256)).half()
    bank = module.memory_bank.rows.double()
    ours, wanted = out0.clone().requires_grad_(), out0.double().requires_grad_()
    loss = ft.info_nce(
        wanted, out1.double(), negatives=bank, temperature=0.5, in_batch_negatives=False
    )
    (module(ours, out1) * 65536).backward()
    (loss * 65536).backward()
    error = (ours.grad.double() - wanted.grad).norm() / wanted.grad.norm()
    assert error < 5e-4 and (ours.grad == 0).double().mean() < 1e-3


@pytest.mark.parametrize(
    "number", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5), np.array(0.5)], ids=repr
)
def test_numbers_of_numpy_and_tensors_of_one_element(rows, number):
    x = rows(6, 4)
    for call in (ft.mask, ft.gaussian_noise, ft.uniform_noise):
        assert torch.equal(call(x, number), call(x, 0.5))
    for weight, plain in (
        (number, 0.5),
        ((number, 1), (0.5, 1)),
        (["beta", number, 2], ("beta", 0.5, 2)),
    ):
        assert torch.equal(ft.interpolate(x, weight=weight), ft.interpolate(x, weight=plain))
    assert torch.equal(ft.exchange_moments(x, eps=number), ft.exchange_moments(x, eps=0.5))
    torch.testing.assert_close(
        ft.nt_xent(x, x, temperature=number).double(), ft.nt_xent(x, x, temperature=0.5)
    )


def test_whole_numbers_of_numpy(rows):
    x = rows(6, 4)
    draw = {
        "seed": np.uint64(3),
        "step": np.int32(2),
        "stream": np.int64(1),
        "row_offset": np.int64(5),
    }
    assert torch.equal(ft.mask(x, **draw), ft.mask(x, seed=3, step=2, stream=1, row_offset=5))
    assert ft.NNMemoryBankModule(np.int64(8)).rows.shape[0] == 8
    assert ft.NNMemoryBankModule([np.int64(8), np.int64(4)]).rows.shape == (8, 4)
    assert ft.SupportQueue(np.int64(8), np.int64(4)).rows.shape == (8, 4)
    assert torch.equal(ft.nearest(x, x, np.int64(2)).indices, ft.nearest(x, x, 2).indices)


def test_a_queue_is_part_of_the_augmentation_that_uses_it(rows):
    queue = ft.SupportQueue(16, 4)
    queue.enqueue(rows(16, 4, torch.float32))
    augment = ft.FeatureAugmentation("neighbour", queue=queue)
    other = ft.FeatureAugmentation("neighbour", queue=ft.SupportQueue(16, 4))
    other.load_state_dict(augment.state_dict())
    x = rows(5, 4, torch.float32)
    assert torch.equal(other(x), augment(x))
    assert augment.double().queue.rows.dtype == torch.float64


@pytest.mark.parametrize("reentrant", [False, True])
def test_modules_with_state_refuse_checkpointing(rows, refuses, reentrant):
    modules = {
        "FeatureAugmentation": ft.FeatureAugmentation("mask"),
        "NTXentLoss": ft.NTXentLoss(memory_bank_size=(8, 4)).double(),
        "NNMemoryBankModule": ft.NNMemoryBankModule((8, 4)).double(),
    }
    calls = {
        "FeatureAugmentation": lambda module, x: module(x).sum(),
        "NTXentLoss": lambda module, x: module(x, x),
        "NNMemoryBankModule": lambda module, x: module(x, update=True).sum() + x.sum(),
    }
    for name, module in modules.items():
        before = copy.deepcopy(module.state_dict())
        x = rows(6, 4).requires_grad_()

        def forward(x, name=name, module=module):
            with torch.enable_grad():  # a re-entrant checkpoint runs without it
                return calls[name](module, x if x.requires_grad else x.requires_grad_())

        refuses(
            lambda forward=forward, x=x: checkpoint(forward, x, use_reentrant=reentrant),
            name,
            "torch.utils.checkpoint",
            error=RuntimeError,
        )
        assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    gc.collect()  # PyTorch's hooks on saved tensors stay as long as the errors' frames


@pytest.mark.parametrize("reentrant", [False, True])
def test_functions_have_the_same_gradients_inside_a_checkpoint(rows, reentrant):
    support = rows(20, 4)

    def forward(x):
        mixed = ft.interpolate(ft.mask(x, seed=3, step=2), weight=(0.5, 1.0), seed=4)
        return ft.info_nce(ft.nearest(support, mixed).values, mixed, temperature=0.3)

    x = rows(6, 4).requires_grad_()
    (wanted,) = torch.autograd.grad(forward(x), x)
    checkpoint(forward, x, use_reentrant=reentrant).backward()
    assert torch.equal(x.grad, wanted)


def test_supcon_without_labels(rows, refuses):
    refuses(
        lambda: ft.SupConLoss()(rows(6, 4)),
        "SupConLoss: labels: got none",
        "wanted labels",
        error=ValueError,
    )
    views = rows(12, 4).reshape(6, 2, 4)
    unlabelled, own_class = ft.SupConLoss()(views), ft.SupConLoss()(views, torch.arange(6))
    assert torch.equal(unlabelled, own_class) and unlabelled > 0


def test_a_parameter_is_no_queue(rows, refuses):
    counters = [torch.zeros((), dtype=torch.int64) for _ in range(2)]
    storage = nn.Parameter(rows(16, 4))
    refuses(
        lambda: ft.enqueue(storage, *counters, rows(2, 4)),
        "enqueue: rows: got a tensor that requires a gradient",
        "buffer",
        error=ValueError,
    )
    assert int(counters[0]) == 0


@pytest.mark.parametrize("argument", ["step", "row_offset"])
def test_a_number_that_changes_compiles_twice_at_most(rows, argument):
    counter = CompileCounter()
    x = rows(4, 3)
    compiled = torch.compile(
        lambda x, n: ft.mask(x, **{argument: n}), backend=counter, fullgraph=True
    )
    for number in range(5):
        assert torch.equal(compiled(x, number), ft.mask(x, **{argument: number}))
    assert counter.frame_count <= 2


def test_evaluation_inside_a_checkpoint(rows):
    with torch.no_grad():
        checkpoint(ft.FeatureAugmentation("mask"), rows(4, 3), use_reentrant=False)


def test_a_number_gets_no_gradient_silently(rows, refuses):
    for call in (
        lambda: ft.gaussian_noise(rows(4, 3), nn.Parameter(torch.tensor(0.5))),
        lambda: ft.vicreg(rows(4, 3), rows(4, 3), lambda_param=nn.Parameter(torch.tensor(0.5))),
    ):
        refuses(call, "got", "requires_grad=True", "wanted a number", error=TypeError)


def test_tracing_is_refused(rows, refuses):
    refuses(
        lambda: torch.jit.trace(ft.nt_xent, (rows(4, 3), rows(4, 3))),
        "nt_xent: torch.jit.trace is not supported",
        "torch.compile",
    )


PAIRS = [
    "info_nce",
    "symmetric_info_nce",
    "nt_xent",
    "sigmoid",
    "negative_cosine",
    "barlow_twins",
    "vicreg",
    "hypersphere",
]
DRAWS = [
    "mask",
    "gaussian_noise",
    "uniform_noise",
    "exchange_moments",
    "interpolate",
    "extrapolate",
    "slerp",
]


def bad_calls():
    x = torch.randn(8, 4)
    counter = lambda value=0: torch.tensor(value)  # noqa: E731
    for name in PAIRS:
        function = getattr(ft, name)
        for a, b in (
            (x, x[:4]),
            (x, x[:, :3]),
            (x[0], x),
            (x, x[0]),
            (x[:0], x[:0]),
            (x.long(), x.long()),
            (x.int(), x.int()),
        ):
            yield name, lambda function=function, a=a, b=b: function(a, b)
        for argument in inspect.signature(function).parameters.values():
            if isinstance(argument.default, float):
                for value in (float("nan"), "much"):
                    yield name, lambda function=function, argument=argument, value=value: function(
                        x, x, **{argument.name: value}
                    )
    for name in DRAWS:
        function = getattr(ft, name)
        for options in (
            {"step": -1},
            {"step": 2**33},
            {"step": 1.5},
            {"stream": -1},
            {"row_offset": -1},
            {"seed": -1},
            {"seed": "a"},
        ):
            yield name, lambda function=function, options=options: function(x, **options)
        for bad in (x[0], x.int()):
            yield name, lambda function=function, bad=bad: function(bad)
    for name, option in (
        ("mask", "keep"),
        ("gaussian_noise", "scale"),
        ("uniform_noise", "scale"),
        ("exchange_moments", "eps"),
    ):
        for value in (-1.0, float("nan"), "much", None):
            yield name, lambda name=name, option=option, value=value: getattr(ft, name)(
                x, **{option: value}
            )
    for name in ("interpolate", "extrapolate", "slerp"):
        for weight in (
            float("nan"),
            -1.0,
            (2.0, 0.5),
            (float("nan"), 1.0),
            ("beta", -1.0, 1.0),
            ("beta", 1.0, -1.0),
            ("beta", 2),
            (0.5,),
            "beta",
            None,
        ):
            yield name, lambda name=name, weight=weight: getattr(ft, name)(x, weight=weight)
        for partner in (x[:4], x[:, :3]):
            yield name, lambda name=name, partner=partner: getattr(ft, name)(x, partner)
    storage = torch.zeros(16, 4)
    yield "enqueue", lambda: ft.enqueue(storage, counter(), counter(), x[:, :3])
    yield "enqueue", lambda: ft.enqueue(storage, counter(77), counter(), x)
    yield "enqueue", lambda: ft.enqueue(
        storage, counter(), counter(), x, labels=torch.zeros(16).long(), batch_labels=torch.zeros(8)
    )
    yield "enqueue", lambda: ft.enqueue(
        storage,
        counter(),
        counter(),
        x,
        labels=torch.zeros(15).long(),
        batch_labels=torch.zeros(8).long(),
    )
    yield "nearest", lambda: ft.nearest(x, x[:, :3])
    yield "nearest", lambda: ft.nearest(x, x, 9)
    yield "nearest", lambda: ft.nearest(x, x, "all")
    yield "nearest", lambda: ft.nearest(x, x, cursor=counter(), filled=counter())
    yield "nearest", lambda: ft.nearest(x, x, cursor=counter(), filled=counter(99))
    yield "momentum_update", lambda: ft.momentum_update([x], [x[:3]], 0.5)
    yield "momentum_update", lambda: ft.momentum_update([x], [x], 0.5)
    yield "momentum_update", lambda: ft.momentum_update([x], [x.clone()], 1.5)
    yield "momentum_update", lambda: ft.momentum_update([x], [x.clone()], "much")
    yield "momentum_update", lambda: ft.momentum_update([x], [], 0.5)
    yield "supervised_contrastive", lambda: ft.supervised_contrastive(x, torch.zeros(7))
    yield "supervised_contrastive", lambda: ft.supervised_contrastive(x, torch.zeros(7).long())
    yield "supervised_contrastive", lambda: ft.supervised_contrastive(
        x, torch.zeros(8).long(), temperature=-1
    )
    yield "l2_normalize", lambda: ft.l2_normalize(x[0])


def test_messages_have_the_names_of_the_function_and_of_its_argument():
    wrong = []
    for name, call in bad_calls():
        with pytest.raises((ValueError, TypeError)) as raised:
            call()
        message = str(raised.value)
        arguments = {
            *inspect.signature(getattr(ft, name)).parameters,
            "seed",
            "step",
            "stream",
            "row_offset",
        }
        found = re.match(r"(\w+): (\w+)(\[\d\])?: got .*, wanted ", message)
        if (
            not found
            or found[1] != name
            or found[2] not in arguments
            or "_with_gradients" in message
            or "pairs[" in message
        ):
            wrong.append(message)
    assert not wrong, "\n".join(wrong)


def test_unknown_arguments_are_refused_with_the_functions_name(rows):
    for name in DRAWS:
        wrong = ["p", "option", "kind"] + (["partner"] if "noise" in name or name == "mask" else [])
        for argument in wrong:
            wanted = rf"{name}\(\) got an unexpected keyword argument '{argument}'"
            with pytest.raises(TypeError, match=wanted):
                getattr(ft, name)(rows(4, 3), **{argument: 0.2})


@pytest.mark.parametrize("budget", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("module", ["augmentation", "bank", "loss"])
def test_a_memory_budget_gives_right_gradients_or_an_error(rows, budget, module):
    """PyTorch repeats parts of a compiled forward pass, after the modules' buffers have changed."""

    batches = [rows(8, 4, torch.float32) for _ in range(2)]

    def gradients(compiled):
        torch.manual_seed(5)
        augment = ft.FeatureAugmentation("mask", keep=0.7, seed=1)
        bank = ft.NNMemoryBankModule((16, 4))
        loss = ft.NTXentLoss(memory_bank_size=(16, 4))
        calls = {
            "augmentation": lambda z: (augment(z).tanh().sin() * z.cos()).sum(),
            "bank": lambda z: ft.InfoNCELoss()(bank(z.detach(), update=True), z.sin()),
            "loss": lambda z: loss(z.sin(), z.detach().cos()),
        }

        def step(x):
            return calls[module](x.tanh())

        if compiled:
            torch._dynamo.reset()
            step = torch.compile(step, backend="aot_eager_decomp_partition")
        found = []
        for batch in batches:
            x = batch.clone().requires_grad_()
            step(x).backward()
            found.append(x.grad)
        return torch.stack(found)

    wanted = gradients(False)
    with torch._functorch.config.patch(activation_memory_budget=budget):
        try:
            torch.testing.assert_close(gradients(True), wanted)
        except RuntimeError as refused:
            assert budget < 1 and "modified by an inplace operation" in str(refused)
