#!/usr/bin/env python3
"""Times the operators of feaug_torch and of other libraries, cell by cell; operators.py has the table.

    measure.py --out FILE                        every cell, as a line of JSON; cells that FILE has are left out
    measure.py --out FILE --operator nt_xent     one operator
    measure.py --out FILE --library feaug        one library: its threads and memory cannot disturb another's
    measure.py --small                           smallest shapes, once: checks that everything runs; times mean nothing

All results are compared first: what differs from PyTorch eager in double is not timed. Then the libraries are called alternately, in
rounds of a random order. Before each round 50 ms pass, so that the threads of the library before are asleep. The figure is the median
of the rounds' medians.
"""
import argparse
import dataclasses
import json
import pathlib
import random
import statistics
import sys
import time

import torch
from operators import OPERATORS, TOLERANCE, Cell, cells

LIBRARIES = ("feaug", "PyTorch", "lightly", "FAISS", "USearch", "torch.compile", "JAX")
REST = 0.05
ROUNDS = 5


def difference(got: torch.Tensor, want: torch.Tensor) -> float:
    got, want = got.double(), want.double()
    if got.shape != want.shape:
        return float("inf")
    return ((got - want).norm() / want.norm().clamp(min=1e-30)).item()


def spread(results: list[torch.Tensor]) -> list[float]:
    """Of random draws: the mean size and the standard deviation of the first result, which no seed changes much."""
    return [results[0].double().abs().mean().item(), results[0].double().std().item()]


def refusals(cell: Cell, reference, contestants) -> dict[str, str]:
    """The contestants whose results are wrong, and why."""
    wrong = {}
    want = reference() if reference else None
    drawn = None
    for library, run in contestants.items():
        try:
            got = run()
        except Exception as problem:
            wrong[library] = " ".join(str(problem).split("\n")[:1])[:200] or type(problem).__name__
            continue
        if want is not None:
            error = max(difference(mine, theirs) for mine, theirs in zip(got, want, strict=True))
            if not error <= TOLERANCE[cell.type]:
                wrong[library] = f"differs from double by {error:.1e}"
        else:
            own = spread(got)
            drawn = drawn or own
            if max(abs(a / b - 1) for a, b in zip(own, drawn)) > 0.1:
                wrong[library] = f"draws {own}, the first library {drawn}"
    return wrong


def seconds_of(run, least: float) -> float:
    """The median of the calls of one round."""
    times = []
    while not times or sum(times) < least:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def measure(contestants, small: bool) -> dict[str, float]:
    figures: dict[str, list[float]] = {library: [] for library in contestants}
    order = list(contestants)
    for number in range(1 if small else ROUNDS):
        random.shuffle(order)
        for library in order:
            if number > 1 and min(figures[library]) > 1:
                continue  # two rounds suffice for what takes seconds
            time.sleep(0 if small else REST)
            figures[library].append(seconds_of(contestants[library], 0 if small else REST))
    return {library: statistics.median(times) for library, times in figures.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--operator", action="append", choices=OPERATORS)
    parser.add_argument("--library", action="append", choices=LIBRARIES)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--small", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    libraries = set(options.library or LIBRARIES)
    if options.small:
        libraries &= {"feaug", "PyTorch"}
    done = set()
    if options.out and options.out.exists():
        done = {json.loads(line)["cell"]["name"] for line in options.out.read_text(encoding="utf-8").splitlines()}
    wanted = [cell for cell in cells(options.operator or list(OPERATORS)) if cell.name not in done]
    if options.small:
        wanted = [cell for cell in wanted if cell.rows == 64 and cell.cols == 64]
    failed = 0
    for number, cell in enumerate(wanted, 1):
        reference, contestants = OPERATORS[cell.operator].contestants(cell, libraries)
        if not contestants:
            continue
        wrong = refusals(cell, reference, contestants)
        failed += "feaug" in wrong
        figures = measure({name: run for name, run in contestants.items() if name not in wrong}, options.small)
        entry = {"cell": dataclasses.asdict(cell) | {"name": cell.name}, "seconds": figures, "refused": wrong}
        if options.out:
            with options.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(entry) + "\n")
        ours = figures.get("feaug")
        ratios = ", ".join(f"{name} {seconds / ours:.2f}" for name, seconds in figures.items() if ours and name != "feaug")
        times = f"{ours * 1e6:.1f} us; {ratios}" if ours else ", ".join(f"{k} {v * 1e6:.1f} us" for k, v in figures.items())
        print(f"[{number}/{len(wanted)}] {cell.name}: {times}{'; refused: ' + str(wrong) if wrong else ''}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
