#!/usr/bin/env python3
"""Writes the project's own case files: OP.json for every operator, into this folder or the one that is named.

An implementation of the operators' formulas of its own (torch 2.x, float64, one formula after the other, gradients by
automatic differentiation). It shares no code and no method with the library: full matrices, no blocks, no hand-written
gradient. Run again, it writes the same bytes.

    python3 tests/reference/make_cases.py [FOLDER]

A case is {"name", "options", "inputs", "stop_gradient", "expected", "tolerance"}, a tensor {"shape", "data"}. The
gradients expected are those for a cotangent of 1, or of inputs.grad_out where the output is an array.
"""

import itertools
import json
import math
import pathlib
import random
import sys
import zlib

import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # so that sums have one order

NORM_EPS = 1e-12
HUGE = 1e18
SIZES = [(5, 7), (2, 3), (9, 4), (1, 6), (6, 1)]


# ---- data


class Draw:
    """Numbers that depend on the seed alone.

    All lie on a grid of 1/256, so float32 holds them exactly: cases mean the same in both dtypes, and dot products of
    two rows are exact in float64, which makes ties between neighbours well defined.
    """

    def __init__(self, seed):
        self.random = random.Random(zlib.crc32(seed.encode()))

    def normal(self, *shape, scale=1.0):
        count = math.prod(shape)
        data = [round(self.random.gauss(0, scale) * 256) / 256 for _ in range(count)]
        return torch.tensor(data).reshape(shape)

    def uniform(self, low, high, *shape):
        steps = round((high - low) * 256)
        data = [low + self.random.randint(0, steps) / 256 for _ in range(math.prod(shape))]
        return torch.tensor(data).reshape(shape)

    def mask(self, probability, *shape):
        data = [float(self.random.random() < probability) for _ in range(math.prod(shape))]
        return torch.tensor(data).reshape(shape)


def number(value):
    """As short as it can be and still be right to 15 digits, which hides the last bit of another torch."""
    rounded = float(f"{value:.15g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def tensor_json(tensor):
    return {"shape": list(tensor.shape), "data": [number(v) for v in tensor.detach().reshape(-1).tolist()]}


# ---- the formulas


def unit(x, eps=NORM_EPS):
    """x / max(‖x‖, eps); rows up to eps have no direction and so no gradient."""
    with torch.no_grad():
        short = torch.linalg.vector_norm(x, dim=1) <= eps
    safe = torch.where(short[:, None], torch.ones_like(x), x)
    long_rows = safe / torch.linalg.vector_norm(safe, dim=1, keepdim=True)
    return torch.where(short[:, None], x.detach() / eps, long_rows)


def reduced(row_losses, reduction):
    return {"mean": torch.mean, "sum": torch.sum, "none": lambda losses: losses}[reduction](row_losses)


def negative_cosine(prediction, target, form="byol", reduction="mean"):
    cosine = (unit(prediction) * unit(target)).sum(dim=1)
    return reduced(2 - 2 * cosine if form == "byol" else -cosine, reduction)


def info_nce(
    queries,
    keys,
    negatives=None,
    temperature=0.1,
    reduction="mean",
    positive_offset=0,
    in_batch_negatives=True,
    normalize=True,
):
    direction = unit if normalize else (lambda x: x)
    scores = direction(queries) @ direction(keys).T / temperature
    rows = torch.arange(len(queries))
    positive = scores[rows, rows + positive_offset]
    columns = [scores] if in_batch_negatives else [positive[:, None]]
    if negatives is not None:
        columns.append(direction(queries) @ direction(negatives).T / temperature)
    return reduced(torch.logsumexp(torch.cat(columns, dim=1), dim=1) - positive, reduction)


def symmetric_info_nce(queries, keys, temperature=0.1, reduction="mean", normalize=True):
    how = {"temperature": temperature, "reduction": "none", "normalize": normalize}
    return reduced((info_nce(queries, keys, **how) + info_nce(keys, queries, **how)) / 2, reduction)


def nt_xent(a, b, temperature=0.1, reduction="mean", decoupled=False, normalize=True):
    rows = len(a)
    z = torch.cat([a, b])
    z = unit(z) if normalize else z
    scores = z @ z.T / temperature
    partner = torch.arange(2 * rows).roll(rows)
    positive = scores[torch.arange(2 * rows), partner]
    left_out = torch.eye(2 * rows, dtype=torch.bool)
    if decoupled:
        left_out[torch.arange(2 * rows), partner] = True
    return reduced(torch.logsumexp(scores.masked_fill(left_out, -math.inf), dim=1) - positive, reduction)


def mask(x, keep, rescale="none"):
    factor = x.shape[1] / keep.sum(dim=1, keepdim=True).clamp(min=1) if rescale == "row" else 1
    return x * keep * factor


def mix(x, partner, weight):
    return weight[:, None] * x + (1 - weight[:, None]) * partner


def nearest(queries, support, k=1):
    """By the rule's own arithmetic, in Python numbers: the dot product in index order times the row's inverse norm."""

    def norm(row):
        return math.sqrt(sum(v * v for v in row))

    indices, similarities, gaps = [], [], []
    rows = support.detach().tolist()
    inverse = [1.0 / max(norm(row), NORM_EPS) for row in rows]
    for query in queries.detach().tolist():
        scores = []
        for row, scale in zip(rows, inverse):
            dot = 0.0
            for a, b in zip(query, row):
                dot += a * b
            scores.append(dot * scale)
        order = sorted(range(len(rows)), key=lambda slot: (-scores[slot], slot))
        length = max(norm(query), NORM_EPS)
        indices.append(order[:k])
        similarities.append([scores[slot] / length for slot in order[:k]])
        gaps.append((scores[order[0]] - scores[order[1]]) / length if len(order) > 1 else math.inf)
    return torch.tensor(indices), torch.tensor(similarities), min(gaps)


class AmbiguousNeighbour(Exception):
    """The two best neighbours are so close that float32 may rightly choose the other."""


def augmented(x, augmentation, keep, support, neighbour_gradient):
    """FA(x)."""
    u = unit(x)
    if augmentation == "none":
        return u
    if augmentation == "mask":
        return u * keep
    indices, _, gap = nearest(u, support)
    if gap < 1e-4:
        raise AmbiguousNeighbour
    found = unit(support)[indices[:, 0]].detach()
    if neighbour_gradient == "straight_through":
        return found + (u - u.detach())
    return found


def step(
    z1,
    z2,
    predictor,
    keep,
    support,
    architecture,
    paradigm,
    augmentation,
    stop_target,
    symmetric,
    samples,
    sample_reduction,
    temperature,
    neighbour_gradient=None,
):
    def h(x):
        return x @ predictor.T

    def loss_of(direction, sample):
        a, b = (z1, z2) if direction == 0 else (z2, z1)
        b = b.detach() if stop_target else b

        def fa(x):
            return augmented(x, augmentation, keep[direction][sample], support, neighbour_gradient)

        prediction, target = {
            "basic": lambda: (a, fa(b)),
            "pre_predictor": lambda: (h(fa(a)), b),
            "post_predictor": lambda: (fa(h(a)), b),
            "parallel_predictor": lambda: (h(a), fa(b)),
        }[architecture]()
        if paradigm == "similarity":
            return negative_cosine(prediction, target)
        return info_nce(target, prediction, temperature=temperature)

    total = 0
    for sample in range(samples):
        if symmetric:
            total = total + (loss_of(0, sample) + loss_of(1, sample)) / 2
        else:
            total = total + loss_of(0, sample)
    return total / samples if sample_reduction == "mean" else total


# ---- cases


def tolerances(float32=2e-4, float64=1e-9):
    return {"float64": float64, "float32": float32}


def tolerance_for(columns, temperature=1.0):
    """What rounding may cost: more where logits are steep, and for one feature, whose gradients are 0 by cancellation."""
    float64 = 1e-8 if columns == 1 else 1e-9
    if temperature < 0.005:
        return tolerances(2e-2, 10 * float64)
    if columns == 1 or temperature < 0.05:
        return tolerances(2e-3, float64)
    return tolerances()


def make_case(name, function, output, inputs, options=None, stop=(), tolerance=None, cotangent=None):
    """A case of function(**inputs, **options), whose result is called `output`."""
    options = options or {}
    leaves = {key: value.clone().requires_grad_(key not in stop) for key, value in inputs.items()}
    result = function(**leaves, **options)
    wanted = [key for key in leaves if key not in stop]
    seed = cotangent if cotangent is not None else torch.ones_like(result)
    gradients = (
        torch.autograd.grad(result, [leaves[key] for key in wanted], seed, allow_unused=True)
        if result.requires_grad
        else [None] * len(wanted)
    )
    expected = {output: tensor_json(result)}
    for key, gradient in zip(wanted, gradients):
        expected["grad_" + key] = tensor_json(torch.zeros_like(leaves[key]) if gradient is None else gradient)
    stored = {key: tensor_json(value) for key, value in inputs.items()}
    if cotangent is not None:
        stored["grad_out"] = tensor_json(cotangent)
    return {
        "name": name,
        "options": options,
        "inputs": stored,
        "stop_gradient": list(stop),
        "expected": expected,
        "tolerance": tolerance or tolerances(),
    }


def size_name(rows, columns):
    return f"{rows}x{columns}"


def l2_normalize_cases():
    def one(name, x, cotangent, eps=NORM_EPS, stop=()):
        return make_case(name, unit, "out", {"x": x}, {"eps": eps}, stop, tolerance_for(x.shape[1]), cotangent)

    for rows, columns in SIZES:
        draw = Draw("l2_normalize" + size_name(rows, columns))
        yield one(size_name(rows, columns), draw.normal(rows, columns), draw.normal(rows, columns))
    draw = Draw("l2_normalize edges")
    x = draw.normal(6, 4)
    x[1] = 0
    x[4] *= 2.0**-44  # norm below eps
    yield one("zero_and_tiny_rows", x, draw.normal(6, 4))
    # The cotangent grows with the rows, so that the gradient has an ordinary size.
    yield one("huge_rows", draw.normal(3, 7) * HUGE, draw.normal(3, 7) * HUGE)
    x = torch.cat([draw.normal(4, 3, scale=4), torch.full((1, 3), 0.125)])
    yield one("one_row_below_a_large_eps", x, draw.normal(5, 3), 0.5)
    yield one("stopped", draw.normal(3, 3), None, stop=("x",))


def mask_cases():
    for (rows, columns), rescale in itertools.product(SIZES, ["none", "row"]):
        name = f"{size_name(rows, columns)}_{rescale}"
        draw = Draw("mask" + name)
        keep = draw.mask(0.6, rows, columns)
        keep[0] = 0  # nothing kept
        keep[-1] = 1
        inputs = {"x": draw.normal(rows, columns), "keep": keep}
        yield make_case(
            name, mask, "out", inputs, {"rescale": rescale}, ("keep",), tolerance_for(columns), draw.normal(rows, columns)
        )
    draw = Draw("mask default")
    inputs = {"x": draw.normal(4, 5), "keep": draw.mask(0.5, 4, 5)}
    yield make_case("rescale_left_out", mask, "out", inputs, {}, ("keep",), None, draw.normal(4, 5))


def mix_cases(op, low, high):
    for (rows, columns), stop in itertools.product(SIZES, [(), ("partner",), ("x",), ("x", "partner")]):
        stop = (*stop, "weight")
        name = f"{size_name(rows, columns)}_stopped_{'+'.join(stop)}"
        draw = Draw(op + name)
        weight = draw.uniform(low, high, rows)
        weight[0] = low
        weight[-1] = high
        inputs = {"x": draw.normal(rows, columns), "partner": draw.normal(rows, columns), "weight": weight}
        wanted = len(stop) < 3
        cotangent = draw.normal(rows, columns) if wanted else None
        yield make_case(name, mix, "out", inputs, {}, stop, tolerance_for(columns), cotangent)


def nearest_cases():
    def one(name, queries, support, k):
        indices, similarities, _ = nearest(queries, support, k)
        return {
            "name": name,
            "options": {"k": k},
            "inputs": {"queries": tensor_json(queries), "support": tensor_json(support)},
            "stop_gradient": ["queries", "support"],
            "expected": {"indices": tensor_json(indices), "similarities": tensor_json(similarities)},
            "tolerance": tolerances(),
        }

    for (rows, columns), count in zip(SIZES, [13, 6, 67, 21, 10]):
        draw = Draw("nearest" + size_name(rows, columns))
        queries, support = draw.normal(rows, columns), draw.normal(count, columns, scale=2)
        for k in (1, 4, count):
            yield one(f"{size_name(rows, columns)}_m{count}_k{k}", queries, support, k)
    draw = Draw("nearest ties")
    base = draw.normal(4, 6)
    # Powers of two change neither a score nor its rounding.
    yield one("each_row_thrice", draw.normal(7, 6), torch.cat([base, 4 * base, 0.5 * base]), 5)
    yield one("all_rows_equal", draw.normal(3, 6), base[:1].repeat(40, 1), 9)
    axes = torch.eye(5)
    yield one("orthogonal_opposite_and_zero_rows", axes, torch.cat([-axes, torch.zeros(2, 5), axes, axes]), 17)
    yield one("zero_query", torch.zeros(2, 5), draw.normal(8, 5), 3)
    support = draw.normal(12, 5)
    support[3] *= HUGE
    support[7] *= 2.0**-30
    queries = draw.normal(4, 5)
    queries[2] *= HUGE
    yield one("huge_and_small_rows", queries, support, 12)
    yield one("query_among_the_rows", support[[0, 5, 11]], support, 2)
    yield one("one_row", draw.normal(4, 3), draw.normal(1, 3), 1)


def enqueue_cases():
    def one(name, capacity, columns, normalize, sizes, left_out=False):
        draw = Draw("enqueue" + name)
        storage, cursor, size = torch.zeros(capacity, columns), 0, 0
        steps = []
        for rows in sizes:
            batch = draw.normal(rows, columns)
            if rows > 1:
                batch[rows // 2] = 0
            for row in unit(batch) if normalize else batch:
                storage[cursor] = row
                cursor = (cursor + 1) % capacity
                size = min(size + 1, capacity)
            steps.append({"batch": tensor_json(batch), "storage": tensor_json(storage), "cursor": cursor, "size": size})
        options = {"capacity": capacity, "dim": columns}
        if not left_out:
            options["normalize"] = normalize
        return {
            "name": name,
            "options": options,
            "inputs": {},
            "stop_gradient": [],
            "expected": {"steps": steps},
            # Rows are stored as they are to the bit, or divided by their norm.
            "tolerance": tolerances(1e-6, 1e-12) if normalize else tolerances(0, 0),
        }

    for normalize in (False, True):
        kind = "unit" if normalize else "raw"
        yield one(f"{kind}_capacity_5", 5, 4, normalize, [2, 2, 7, 1, 5, 13, 0, 3])
        yield one(f"{kind}_capacity_1", 1, 3, normalize, [1, 1, 4])
        yield one(f"{kind}_capacity_9", 9, 2, normalize, [4, 4, 4, 4, 9, 28])
    yield one("normalize_left_out", 4, 3, True, [3, 2], left_out=True)


def info_nce_cases():
    for rows, columns in SIZES:
        size = size_name(rows, columns)

        def one(name, temperature=0.25, stop=(), keys=None, negatives=None, per_row=False, learnable=False, **options):
            draw = Draw(f"info_nce {size} {name}")
            inputs = {"queries": draw.normal(rows, columns), "keys": draw.normal(keys or rows, columns)}
            if negatives:
                inputs["negatives"] = draw.normal(negatives, columns)
            if learnable:
                inputs["temperature"] = torch.tensor(temperature)
            else:
                options = {"temperature": temperature, **options}
            if per_row:
                options["reduction"] = "none"
            return make_case(
                f"{size}_{name}",
                info_nce,
                "loss",
                inputs,
                options,
                stop,
                tolerance_for(columns, temperature),
                draw.normal(rows) if per_row else None,
            )

        more = rows + 3
        yield one("mean", reduction="mean")
        yield one("options_left_out", temperature=0.5)
        yield one("stopped_keys", stop=("keys",), reduction="mean")
        yield one("stopped_queries", stop=("queries",), reduction="sum")
        yield one("all_stopped", stop=("queries", "keys"), reduction="mean")
        yield one("sum", reduction="sum")
        yield one("none", per_row=True)
        yield one("none_stopped_keys", per_row=True, stop=("keys",))
        yield one("none_negatives", per_row=True, negatives=3)
        yield one("t0.02", temperature=0.02)
        yield one("t0.001", temperature=0.001)
        yield one("negatives", negatives=11)
        yield one("stopped_negatives", negatives=8, stop=("negatives",))
        yield one("only_negatives_differentiated", negatives=8, stop=("queries", "keys"))
        yield one("moco", negatives=8, in_batch_negatives=False)
        yield one("moco_stopped", negatives=8, in_batch_negatives=False, stop=("keys", "negatives"))
        yield one("moco_none", negatives=5, in_batch_negatives=False, per_row=True)
        yield one("offset", keys=more, positive_offset=2)
        yield one("offset_to_the_end", keys=more, positive_offset=3, stop=("queries",))
        yield one("offset_negatives", keys=more, positive_offset=1, negatives=4)
        yield one("offset_moco", keys=more, positive_offset=1, negatives=4, in_batch_negatives=False)
        yield one("more_keys", keys=more)
        yield one("temperature", temperature=0.3125, learnable=True)
        yield one("temperature_sum_negatives", temperature=0.1875, learnable=True, negatives=6, reduction="sum")
        yield one("temperature_none", temperature=0.3125, learnable=True, per_row=True)
        yield one("temperature_moco", temperature=0.3125, learnable=True, negatives=6, in_batch_negatives=False)
        yield one("temperature_alone", temperature=0.3125, learnable=True, stop=("queries", "keys"))
        yield one("stopped_temperature", temperature=0.3125, learnable=True, stop=("temperature",))
        yield one("raw", temperature=3.0, normalize=False)
        yield one("raw_negatives", temperature=3.0, normalize=False, negatives=7)
        moco_offset = {"in_batch_negatives": False, "keys": more, "positive_offset": 2}
        yield one("raw_moco_offset", temperature=3.0, normalize=False, negatives=7, **moco_offset)
        yield one("raw_temperature", temperature=2.5, learnable=True, normalize=False)
    yield from edge_cases("info_nce", info_nce, "queries", "keys", [{}, {"reduction": "sum"}])


def edge_cases(op, function, first, second, variants):
    """Rows of zeros, tiny, huge, equal and opposite rows, for any loss of two sides."""
    for i, options in enumerate(variants):
        draw = Draw(f"{op} edges {i}")
        a, b = draw.normal(5, 4), draw.normal(5, 4)
        a[1] = 0
        b[3] = 0
        b[4] *= 2.0**-44
        yield make_case(f"zero_rows_{i}", function, "loss", {first: a, second: b}, options)
        a, b = draw.normal(4, 5) * HUGE, draw.normal(4, 5)
        b[2] *= HUGE
        yield make_case(f"huge_rows_{i}", function, "loss", {first: a, second: b}, options)
        a = draw.normal(4, 3)
        a[2] = a[0]
        yield make_case(f"equal_rows_{i}", function, "loss", {first: a, second: 2 * a}, options)
        yield make_case(f"opposite_rows_{i}", function, "loss", {first: a, second: -a}, options)


def symmetric_info_nce_cases():
    yield from two_view_cases("symmetric_info_nce", symmetric_info_nce, "queries", "keys", 1, [{}])
    yield from edge_cases("symmetric_info_nce", symmetric_info_nce, "queries", "keys", [{}])


def nt_xent_cases():
    yield from two_view_cases("nt_xent", nt_xent, "a", "b", 2, [{}, {"decoupled": True}])
    yield from edge_cases("nt_xent", nt_xent, "a", "b", [{"decoupled": False}, {"decoupled": True}])


def two_view_cases(op, function, first, second, losses_per_row, variants):
    for (rows, columns), variant in itertools.product(SIZES, variants):
        if variant.get("decoupled") and rows == 1:
            continue  # no denominator: an error
        size = size_name(rows, columns)

        def one(name, temperature=0.25, stop=(), per_row=False, learnable=False, **options):
            name = "_".join([size, name, *variant])
            draw = Draw(f"{op} {name}")
            inputs = {first: draw.normal(rows, columns), second: draw.normal(rows, columns)}
            if learnable:
                inputs["temperature"] = torch.tensor(temperature)
            else:
                options = {"temperature": temperature, **options}
            if per_row:
                options["reduction"] = "none"
            return make_case(
                name,
                function,
                "loss",
                inputs,
                {**options, **variant},
                stop,
                tolerance_for(columns, temperature),
                draw.normal(losses_per_row * rows) if per_row else None,
            )

        yield one("mean", reduction="mean")
        yield one("sum", reduction="sum")
        yield one("none", per_row=True)
        yield one("t0.02", temperature=0.02)
        yield one("t0.001", temperature=0.001)
        yield one("first_stopped", stop=(first,))
        yield one("second_stopped", stop=(second,))
        yield one("second_stopped_none", stop=(second,), per_row=True)
        yield one("all_stopped", stop=(first, second))
        yield one("temperature", temperature=0.3125, learnable=True)
        yield one("temperature_none", temperature=0.3125, learnable=True, per_row=True)
        yield one("raw", temperature=3.0, normalize=False)


def negative_cosine_cases():
    for (rows, columns), form in itertools.product(SIZES, ["byol", "simsiam"]):
        for reduction, stop in itertools.product(["mean", "sum", "none"], [(), ("target",), ("prediction",)]):
            name = "_".join([size_name(rows, columns), form, reduction, *("stopped_" + s for s in stop)])
            draw = Draw("negative_cosine" + name)
            yield make_case(
                name,
                negative_cosine,
                "loss",
                {"prediction": draw.normal(rows, columns), "target": draw.normal(rows, columns)},
                {"form": form, "reduction": reduction},
                stop,
                tolerance_for(columns),
                draw.normal(rows) if reduction == "none" else None,
            )
    draw = Draw("negative_cosine defaults")
    inputs = {"prediction": draw.normal(3, 4), "target": draw.normal(3, 4)}
    yield make_case("all_stopped", negative_cosine, "loss", inputs, {"form": "byol"}, ("prediction", "target"))
    variants = [{"form": "byol"}, {"form": "simsiam", "reduction": "sum"}]
    yield from edge_cases("negative_cosine", negative_cosine, "prediction", "target", variants)


def step_cases():
    architectures = ["basic", "pre_predictor", "post_predictor", "parallel_predictor"]
    augmentations = [("none", None), ("mask", None), ("neighbour", "none"), ("neighbour", "straight_through")]
    # samples, their reduction, both directions
    variants = [(1, "mean", True), (1, "sum", False), (2, "mean", False), (2, "sum", True)]
    sizes = itertools.cycle([(3, 4), (4, 3), (2, 5), (5, 2), (1, 4)])
    for architecture, paradigm, (augmentation, gradient), stop_target, variant in itertools.product(
        architectures, ["similarity", "discrimination"], augmentations, [True, False], variants
    ):
        samples, sample_reduction, symmetric = variant
        rows, columns = next(sizes)
        options = {
            "architecture": architecture,
            "paradigm": paradigm,
            "augmentation": augmentation,
            "stop_target": stop_target,
            "symmetric": symmetric,
            "samples": samples,
            "sample_reduction": sample_reduction,
            "temperature": 0.25,
        }
        if gradient:
            options["neighbour_gradient"] = gradient
        name = "_".join(
            [
                size_name(rows, columns),
                architecture,
                paradigm,
                augmentation,
                *([gradient] if gradient else []),
                "sg" if stop_target else "flowing",
                f"K{samples}",
                sample_reduction,
                "both" if symmetric else "one",
            ]
        )
        yield step_case(name, rows, columns, options)


def step_case(name, rows, columns, options):
    for attempt in itertools.count():
        draw = Draw(f"step {name} {attempt}")
        inputs = {
            "z1": draw.normal(rows, columns),
            "z2": draw.normal(rows, columns),
            "predictor": draw.normal(columns, columns),
            "keep": draw.mask(0.7, 2, options["samples"], rows, columns),
            "support": draw.normal(7, columns, scale=2),
        }
        try:
            return make_case(name, step, "loss", inputs, options, ("keep", "support"))
        except AmbiguousNeighbour:
            continue


FILES = {
    "l2_normalize": l2_normalize_cases,
    "mask": mask_cases,
    "interpolate": lambda: mix_cases("interpolate", 0.0, 1.0),
    "extrapolate": lambda: mix_cases("extrapolate", 1.0, 3.0),
    "nearest": nearest_cases,
    "enqueue": enqueue_cases,
    "info_nce": info_nce_cases,
    "symmetric_info_nce": symmetric_info_nce_cases,
    "nt_xent": nt_xent_cases,
    "negative_cosine": negative_cosine_cases,
    "step": step_cases,
}


def write_file(path, op, cases):
    lines = ",\n".join(json.dumps(case, separators=(",", ":"), allow_nan=False) for case in cases)
    path.write_text(f'{{"op":"{op}","cases":[\n{lines}\n]}}\n', encoding="ascii")


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    folder.mkdir(parents=True, exist_ok=True)
    for op, cases in FILES.items():
        made = list(cases())
        names = [case["name"] for case in made]
        assert len(names) == len(set(names)), f"{op}: a name twice"
        write_file(folder / f"{op}.json", op, made)


if __name__ == "__main__":
    main()
