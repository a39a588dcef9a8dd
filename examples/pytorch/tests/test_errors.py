"""Error messages have the operator, the argument, the given value and the expected one."""

import math

import feaug_torch as ft
import pytest
import torch

PAIRS = ["info_nce", "symmetric_info_nce", "nt_xent", "sigmoid", "negative_cosine"]
PAIRS += ["barlow_twins", "vicreg", "hypersphere"]


@pytest.mark.parametrize("name", PAIRS)
def test_losses(rows, name, refuses):
    loss, a = getattr(ft, name), rows(4, 3)
    refuses(lambda: loss(a, rows(4, 5)), name, "got", "5", "wanted", "3")
    refuses(lambda: loss(a, rows(3, 3)), name, "got", "3", "wanted", "4")
    refuses(lambda: loss(a[0], a), name, "got", "wanted")
    refuses(lambda: loss(a[:0], a[:0]), name, "got", "wanted")
    refuses(lambda: loss(a.long(), a.long()), name, "got int64, wanted float")


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("name", ["info_nce", "symmetric_info_nce", "nt_xent"])
def test_temperatures(rows, name, temperature, refuses):
    loss, a, b = getattr(ft, name), rows(4, 3), rows(4, 3)
    refuses(lambda: loss(a, b, temperature=temperature), name, "temperature", "got", "wanted")
    learnt = torch.tensor(temperature, dtype=torch.float64, requires_grad=True)
    refuses(lambda: loss(a, b, temperature=learnt), name, "temperature", "got", "wanted")


def test_a_temperature_of_another_shape(rows, refuses):
    a, b = rows(4, 3), rows(4, 3)
    refuses(
        lambda: ft.info_nce(a, b, temperature=torch.ones(4)),
        "info_nce",
        "temperature",
        "got",
        "wanted",
    )


def test_others(rows, refuses):
    a = rows(4, 3)
    refuses(lambda: ft.info_nce(a, a, positive_offset=1), "info_nce", "positive_offset", "1")
    refuses(lambda: ft.info_nce(a, a, negatives=rows(4, 2)), "info_nce", "negatives", "2", "3")
    refuses(
        lambda: ft.supervised_contrastive(a, torch.arange(3)),
        "supervised_contrastive",
        "labels",
        "got 3",
        "wanted 4",
    )
    refuses(
        lambda: ft.supervised_contrastive(a, torch.ones(4)),
        "supervised_contrastive",
        "labels",
        "float32",
        "int64",
    )
    refuses(lambda: ft.nearest(a, rows(2, 2)), "nearest", "queries", "got 2 columns, wanted 3")
    refuses(lambda: ft.nearest(a, a, k=5), "nearest", "k", "got 5", "wanted")
    refuses(lambda: ft.nearest(a, a, k=0), "nearest", "k", "got 0", "wanted")


def test_negatives_without_columns(rows, refuses):
    x = rows(4, 3)
    call = lambda: ft.info_nce(x, x, negatives=rows(4, 0))  # noqa: E731
    refuses(call, "info_nce: negatives: got 0 columns, wanted 3", error=ValueError)


def test_what_is_no_tensor_or_no_number(rows, refuses):
    x, y = rows(6, 4), rows(6, 4)
    empty = torch.tensor([])
    calls = {
        "info_nce: temperature: got 0 elements": lambda: ft.info_nce(x, y, temperature=empty),
        "info_nce: temperature: got -1": lambda: ft.info_nce(x, y, temperature=-torch.ones(())),
        "info_nce: keys: got None": lambda: ft.info_nce(x, None),
        "got None, wanted a tensor": lambda: ft.mask(None),
        "nearest: k: got 1000000000000": lambda: ft.nearest(x, y, 10**12),
        "info_nce: keys: got 6 rows": lambda: ft.info_nce(x, y, positive_offset=2**63 - 1),
        "mask: row_offset: got": lambda: ft.mask(x, row_offset=2**63 - 1),
        "interpolate: stream: got 65535": lambda: ft.interpolate(x, stream=65535),
    }
    for wanted, call in calls.items():
        refuses(call, wanted, error=ValueError)
    counter = torch.tensor(0)
    refuses(
        lambda: ft.enqueue(torch.zeros(4), counter, counter.clone(), torch.ones(2, 1)),
        "enqueue: rows: got shape [4]",
        error=ValueError,
    )


def test_the_reason_of_pytorch_is_passed_on(rows, refuses):
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 13):
        pytest.skip("PyTorch writes it to standard error")
    values, factor = rows(4, 3), torch.ones(0, dtype=torch.float64)
    refuses(
        lambda: torch.ops.feaug.scaled(values, factor, values), "must match", error=RuntimeError
    )


def test_words_are_not_leaked(rows):
    """The conversion of strings in PyTorch's headers leaks them."""
    resource = pytest.importorskip("resource")

    def memory():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB

    x, y = rows(2, 3), rows(2, 3)

    def calls(count):
        for _ in range(count):
            ft.exchange_moments(x, y, seed=1)

    calls(3000)
    before = memory()
    calls(20000)
    assert memory() - before < 1000  # a leak of a string each: 1580
