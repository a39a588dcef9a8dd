"""The operators of the grid: for each cell, what every library has to compute.

A contestant is a function without arguments; it returns its results as tensors, which must agree with those of PyTorch
eager in double before anything is timed.
"""
import sys
import unittest.mock
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import eager
import numpy as np
import torch

ROWS = (64, 256, 1024, 4096)
COLS = (64, 128, 256)
WIDE = (2048, 8192)
TYPES = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Relative to the norm of a result. In 16 bits, eager rounds logits; feaug does not.
TOLERANCE = {"float32": 2e-4, "float64": 1e-9, "bfloat16": 8e-2, "float16": 2e-2}


@dataclass(frozen=True)
class Cell:
    operator: str
    type: str
    rows: int
    cols: int
    #: "one" or "both" (sides with a gradient), "forward" or "gradient", or a number of neighbours
    variant: str

    @property
    def name(self) -> str:
        return f"{self.operator} {self.type} N {self.rows} D {self.cols} {self.variant}"


Contestants = dict[str, Callable[[], list[torch.Tensor]]]


def features(rows: int, cols: int, seed: int, dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, cols, generator=generator).to(dtype)


def other_view(x: torch.Tensor, seed: int) -> torch.Tensor:
    return (0.8 * x.float() + 0.6 * features(*x.shape, seed, torch.float32)).to(x.dtype)


def lightly():
    """Its module, or None. Its image transforms import torchvision, which losses and memory banks do not need."""
    try:
        for module in ("torchvision", "torchvision.ops", "torchvision.transforms", "torchvision.datasets"):
            sys.modules.setdefault(module, unittest.mock.MagicMock(__spec__=None))
        import lightly.loss

        return lightly
    except ImportError:
        return None


def optional(name: str):
    """A library that may be missing."""
    try:
        return __import__(name)
    except ImportError:
        return None


def backward(function, arguments, inputs, cotangent=None):
    """One call of a function and its gradients."""

    def run():
        for x in inputs:
            x.grad = None
        out = function(*arguments)
        if inputs:
            out.backward(cotangent)
        return [out.detach(), *(x.grad for x in inputs)]

    return run


def under_autocast(run, dtype):
    """16-bit features come from a model under autocast; so the rest of the step runs under it, too."""
    if dtype.itemsize > 2:
        return run

    def cast():
        with torch.autocast("cpu", dtype):
            return run()

    return cast


class Loss:
    """A loss of two matrices, or of features and labels."""

    def __init__(self, ours, formula, of_lightly=None, *, wide=False, labels=False):
        self.ours, self.formula, self.of_lightly, self.labels = ours, formula, of_lightly, labels
        self.cols = COLS + WIDE if wide else COLS
        self.types = ("float32", "float64", "bfloat16", "float16") if wide else ("float32", "bfloat16", "float16")

    def variants(self) -> tuple[str, ...]:
        return ("both",) if self.labels else ("one", "both")

    def contestants(self, cell: Cell, libraries: set[str]) -> tuple[Callable, Contestants]:
        dtype = TYPES[cell.type]
        a = features(cell.rows, cell.cols, 1, dtype)
        b = torch.arange(cell.rows) % max(cell.rows // 4, 1) if self.labels else other_view(a, 2)
        inputs = [a.requires_grad_()] if self.labels or cell.variant == "one" else [a.requires_grad_(), b.requires_grad_()]
        wide = [x.detach().double() if x.is_floating_point() else x for x in (a, b)]
        wide_inputs = [wide[i].requires_grad_() for i in range(len(inputs))]
        made: Contestants = {}
        if "feaug" in libraries:
            import feaug_torch

            made["feaug"] = backward(self.ours(feaug_torch), (a, b), inputs)
        if "PyTorch" in libraries:
            made["PyTorch"] = under_autocast(backward(self.formula, (a, b), inputs), dtype)
        if "lightly" in libraries and self.of_lightly and lightly():
            module = self.of_lightly(lightly().loss)
            made["lightly"] = under_autocast(backward(module, (a, b), inputs), dtype)
        if is_compiled(cell) and "torch.compile" in libraries:
            torch.compiler.reset()
            made["torch.compile"] = backward(torch.compile(self.formula), (a, b), inputs)
        if is_compiled(cell) and "JAX" in libraries and optional("jax"):
            import of_jax

            made["JAX"] = of_jax.loss(cell.operator, [x.detach().numpy() for x in (a, b)], len(inputs))
        return backward(self.formula, wide, wide_inputs), made


class Augmentation:
    """A change of rows: of x, by random draws, or of x and given partners."""

    def __init__(self, ours, formula, *, partner=False, random=False):
        self.ours, self.formula, self.partner, self.random = ours, formula, partner, random
        self.cols = COLS + (2048,)
        self.types = ("float32", "bfloat16", "float16")

    def variants(self) -> tuple[str, ...]:
        return ("forward", "gradient")

    def contestants(self, cell: Cell, libraries: set[str]) -> tuple[Callable | None, Contestants]:
        dtype = TYPES[cell.type]
        arguments = [features(cell.rows, cell.cols, seed, dtype) for seed in range(1, 3 if self.partner else 2)]
        cotangent = features(cell.rows, cell.cols, 3, dtype)
        inputs = [x.requires_grad_() for x in arguments] if cell.variant == "gradient" else []
        wide = [x.detach().double() for x in arguments]
        wide_inputs = [x.requires_grad_() for x in wide] if inputs else []
        made: Contestants = {}
        if "feaug" in libraries:
            import feaug_torch

            made["feaug"] = backward(self.ours(feaug_torch), arguments, inputs, cotangent)
        if "PyTorch" in libraries:
            made["PyTorch"] = backward(self.formula, arguments, inputs, cotangent)
        if is_compiled(cell) and "torch.compile" in libraries:
            torch.compiler.reset()
            made["torch.compile"] = backward(torch.compile(self.formula), arguments, inputs, cotangent)
        reference = None if self.random else backward(self.formula, wide, wide_inputs, cotangent.double())
        return reference, made


class Search:
    """The k nearest rows by cosine in a matrix of unit rows, 16 times as many as queries."""

    cols = COLS
    types = ("float32", "bfloat16", "float16")

    def variants(self) -> tuple[str, ...]:
        return ("k 1", "k 10")

    def contestants(self, cell: Cell, libraries: set[str]) -> tuple[Callable, Contestants]:
        dtype, k = TYPES[cell.type], int(cell.variant.removeprefix("k "))
        rows = eager.unit(features(16 * cell.rows, cell.cols, 1, torch.float32)).to(dtype)
        queries = features(cell.rows, cell.cols, 2, dtype)
        made: Contestants = {}
        if "feaug" in libraries:
            import feaug_torch

            def ours():
                found = feaug_torch.nearest(rows, queries, k, normalize=False)
                return [found.similarities]

            made["feaug"] = ours
        if "PyTorch" in libraries:
            made["PyTorch"] = lambda: [eager.nearest(rows, queries, k).values]
        if cell.type == "float32" and "FAISS" in libraries and (faiss := optional("faiss")):
            index = faiss.IndexFlatIP(cell.cols)
            index.add(rows.numpy())
            faiss.omp_set_num_threads(torch.get_num_threads())
            made["FAISS"] = lambda: [torch.from_numpy(index.search(eager.unit(queries).numpy(), k)[0])]
        if cell.type == "float32" and "USearch" in libraries and optional("usearch"):
            from usearch.index import MetricKind, search

            def exact():
                found = search(rows.numpy(), queries.numpy(), k, MetricKind.Cos, exact=True, threads=torch.get_num_threads())
                return [1 - torch.from_numpy(np.array(found.distances)).reshape(cell.rows, k)]

            made["USearch"] = exact
        return (lambda: [eager.nearest(rows.double(), queries.double(), k).values]), made


class Enqueue:
    """N rows into a queue of 16 N."""

    cols = COLS
    types = ("float32", "bfloat16", "float16")

    def variants(self) -> tuple[str, ...]:
        return ("forward",)

    def contestants(self, cell: Cell, libraries: set[str]) -> tuple[Callable, Contestants]:
        batch = features(cell.rows, cell.cols, 2, TYPES[cell.type])
        made: Contestants = {}
        if "feaug" in libraries:
            import feaug_torch

            queue = torch.zeros(16 * cell.rows, cell.cols, dtype=batch.dtype)
            cursor, filled = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)

            def ours():
                cursor.zero_(), filled.zero_()
                feaug_torch.enqueue(queue, cursor, filled, batch)
                return [queue[: cell.rows]]

            made["feaug"] = ours

        def formula(batch):
            queue = torch.zeros(16 * cell.rows, cell.cols, dtype=batch.dtype)

            def run():
                eager.enqueue(queue, batch)
                return [queue[: cell.rows]]

            return run

        if "PyTorch" in libraries:
            made["PyTorch"] = formula(batch)
        return formula(batch.double()), made


class MomentumUpdate:
    """Ten parameters of N × D."""

    cols = COLS
    types = ("float32", "bfloat16", "float16")

    def variants(self) -> tuple[str, ...]:
        return ("forward",)

    def contestants(self, cell: Cell, libraries: set[str]) -> tuple[Callable, Contestants]:
        online = [features(cell.rows, cell.cols, seed, TYPES[cell.type]) for seed in range(10)]
        made: Contestants = {}
        if "feaug" in libraries:
            import feaug_torch

            ours = [torch.ones_like(x) for x in online]

            def run():
                feaug_torch.momentum_update(online, ours, 0.99)
                return ours[:1]

            made["feaug"] = run

        def formula(online):
            theirs = [torch.ones_like(x) for x in online]

            def run():
                eager.momentum_update(theirs, online)
                return theirs[:1]

            return run

        if "PyTorch" in libraries:
            made["PyTorch"] = formula(online)
        return formula([x.double() for x in online]), made


def is_compiled(cell: Cell) -> bool:
    """The cells in which torch.compile and JAX's jit, whose compilation takes long, run."""
    return cell.type == "float32" and cell.rows in (256, 4096) and cell.cols == 128 and cell.variant != "one"


def at_temperature(name):
    return lambda library: lambda a, b: getattr(library, name)(a, b, temperature=eager.TEMPERATURE)


def named(name, *options):
    return lambda library: lambda *matrices: getattr(library, name)(*matrices, *options)


OPERATORS = {
    "info_nce": Loss(at_temperature("info_nce"), eager.info_nce),
    "symmetric_info_nce": Loss(at_temperature("symmetric_info_nce"), eager.symmetric_info_nce),
    "nt_xent": Loss(at_temperature("nt_xent"), eager.nt_xent, lambda loss: loss.NTXentLoss(temperature=eager.TEMPERATURE)),
    "sigmoid": Loss(named("sigmoid"), eager.sigmoid),
    "supervised_contrastive": Loss(at_temperature("supervised_contrastive"), eager.supervised_contrastive, labels=True),
    "negative_cosine": Loss(
        named("negative_cosine"), eager.negative_cosine, lambda loss: loss.NegativeCosineSimilarity()
    ),
    "barlow_twins": Loss(named("barlow_twins"), eager.barlow_twins, lambda loss: loss.BarlowTwinsLoss(), wide=True),
    "vicreg": Loss(named("vicreg"), eager.vicreg, lambda loss: loss.VICRegLoss(), wide=True),
    "hypersphere": Loss(named("hypersphere"), eager.hypersphere, lambda loss: loss.HypersphereLoss()),
    "mask": Augmentation(named("mask"), eager.mask, random=True),
    "gaussian_noise": Augmentation(named("gaussian_noise"), eager.gaussian_noise, random=True),
    "uniform_noise": Augmentation(named("uniform_noise"), eager.uniform_noise, random=True),
    "interpolate": Augmentation(named("interpolate"), eager.interpolate, partner=True),
    "extrapolate": Augmentation(named("extrapolate"), eager.extrapolate, partner=True),
    "slerp": Augmentation(named("slerp"), eager.slerp, partner=True),
    "exchange_moments": Augmentation(named("exchange_moments"), eager.exchange_moments, partner=True),
    "l2_normalize": Augmentation(named("l2_normalize"), eager.l2_normalize),
    "nearest": Search(),
    "enqueue": Enqueue(),
    "momentum_update": MomentumUpdate(),
}


def cells(operators: list[str]) -> Iterator[Cell]:
    for operator in operators:
        kind = OPERATORS[operator]
        for dtype in kind.types:
            for rows in ROWS:
                for cols in kind.cols:
                    if cols == 8192 and rows > 1024:
                        continue  # eager takes most of a minute
                    for variant in kind.variants():
                        yield Cell(operator, dtype, rows, cols, variant)
