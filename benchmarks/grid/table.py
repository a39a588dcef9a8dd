#!/usr/bin/env python3
"""Prints the grid as Markdown: `table.py TOGETHER APART`, two files of measure.py; `--into FILE` replaces the text between FILE's two
markers instead.

TOGETHER: all libraries in one process. APART: each in a process of its own. A ratio is the other library's time over feaug's. A cell
counts if every other library takes 100 us or more: below, calls from Python to any library dominate. The other cells are in a table of
their own, with the call in C++ where `--calls FILE`, the JSON of small_calls_bench.cpp, has it."""
import argparse
import json
import math
import pathlib
import statistics
import time

BEGIN, END = "<!-- scripts/bench --grid writes this -->", "<!-- until here: the grid -->"
LEAST = 1e-4


def cells_of(path):
    """{cell's name: its entry}; the times of several runs of one cell are joined."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []:
        entry = json.loads(line)
        known = found.setdefault(entry["cell"]["name"], entry)
        known["seconds"] |= entry["seconds"]
        known["refused"] |= entry["refused"]
    return found


def calls_of(path):
    """{cell's name: median seconds of the call in C++}"""
    found = {}
    for entry in json.loads(path.read_text(encoding="utf-8"))["benchmarks"] if path else []:
        if entry["run_type"] == "iteration":
            found.setdefault(entry["run_name"].split("/")[0], []).append(entry["real_time"] * 1e-9)
    return {name: statistics.median(times) for name, times in found.items()}


def is_small(entry):
    """Whether another library takes so little that the call from Python decides."""
    return min((seconds for library, seconds in entry["seconds"].items() if library != "feaug"), default=LEAST) < LEAST


def ratios(cells):
    """{(operator, type, library): [(ratio, cell's name)]} of the cells that count."""
    found = {}
    for name, entry in cells.items():
        ours = entry["seconds"].get("feaug")
        others = {library: seconds for library, seconds in entry["seconds"].items() if library != "feaug"}
        if not ours or not others or is_small(entry):
            continue
        for library, seconds in others.items():
            key = (entry["cell"]["operator"], entry["cell"]["type"], library)
            found.setdefault(key, []).append((seconds / ours, name))
    return found


def mean(values):
    """The geometric mean."""
    return math.exp(sum(math.log(x) for x in values) / len(values))


def times(ratio):
    return f"{ratio:.0f}×" if ratio >= 10 else f"{ratio:.2g}×"


def summary(of_type):
    """The mean of the cells, and the worst one."""
    worst, name = min(of_type)
    shape = name.split(" ", 2)[2]
    return f"{times(mean([ratio for ratio, _ in of_type]))}, worst {times(worst)} ({shape})"


def small_cells(together, calls):
    """A row per operator, type, N and variant; in its cells, each library's microseconds."""
    rows, widths = {}, set()
    for name, entry in together.items():
        if not is_small(entry):
            continue
        cell, seconds = entry["cell"], entry["seconds"]
        if name in calls:
            seconds = {"C++": calls[name]} | seconds
        widths.add(cell["cols"])
        key = (f"`{cell['operator']}` {cell['variant']}", cell["type"], cell["rows"])
        rows.setdefault(key, {})[cell["cols"]] = ", ".join(f"{library} {x * 1e6:.3g}" for library, x in seconds.items())
    yield "| operator | type | N | " + " | ".join(f"D {cols}" for cols in sorted(widths)) + " |"
    yield "|---|---|---|" + "---|" * len(widths)
    for key, texts in rows.items():
        yield "| " + " | ".join(map(str, [*key, *(texts.get(cols, "") for cols in sorted(widths))])) + " |"


def lines(together, apart, calls):
    both = [ratios(together), ratios(apart)]
    libraries = sorted({key[2] for key in both[0]}, key=lambda x: (x != "PyTorch", x))
    yield "| operator | type | " + " | ".join(libraries) + " |"
    yield "|---|---|" + "---|" * len(libraries)
    for operator, dtype in dict.fromkeys(key[:2] for key in both[0]):
        row = []
        for library in libraries:
            texts = [summary(of[operator, dtype, library]) for of in both if (operator, dtype, library) in of]
            row.append("; apart ".join(texts))
        yield f"| `{operator}` | {dtype} | " + " | ".join(row) + " |"
    yield ""
    for title, of in zip(("in one process", "each in a process of its own"), both):
        eager = [ratio for (_, _, library), many in of.items() if library == "PyTorch" for ratio, _ in many]
        every = [(ratio, f"{library}, {name}") for (_, _, library), many in of.items() for ratio, name in many]
        if eager:
            worst, where = min(every)
            behind = sum(ratio < 1 for ratio, _ in every)
            yield (
                f"* Libraries {title}: geometric mean {times(mean(eager))} beside PyTorch eager over {len(eager)} cells; "
                f"worst of {len(every)} ratios {times(worst)} ({where}); feaug is slower in {behind}."
            )
    refused = sorted({f"{library}: {why}" for entry in together.values() for library, why in entry["refused"].items()})
    if refused:
        yield "* Not timed: " + "; ".join(refused[:12]) + "."
    small = sum(map(is_small, together.values()))
    if small:
        yield f"* {small} cells in which another library takes less than 100 µs are not in this table. Their times, in µs, all libraries in"
        yield "  one process; C++ is feaug's own call without Python, measured alone:"
        yield ""
        yield from small_cells(together, calls)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("together", type=pathlib.Path)
    parser.add_argument("apart", type=pathlib.Path, nargs="?")
    parser.add_argument("--calls", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path)
    parser.add_argument("--machine", default="")
    options = parser.parse_args()
    head = f"{time.strftime('%Y-%m-%d')}, {options.machine}. Command: `scripts/bench --grid`."
    text = "\n".join([head, "", *lines(cells_of(options.together), cells_of(options.apart), calls_of(options.calls))])
    if not options.into:
        print(text)
        return
    page = options.into.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    options.into.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
