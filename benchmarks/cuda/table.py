#!/usr/bin/env python3
"""Prints one Markdown table with the results of the CUDA benchmarks and their peers: `table.py FOLDER`. FOLDER has W1.json …
(from the benchmark programs, --benchmark_out) and peers_eager.json, peers_compile.json (from peers.py). Missing results are "not measured"."""
import json
import pathlib
import sys

NONE = "not measured"


def read(folder, pattern):
    found = []
    for path in sorted(folder.glob(pattern)):
        try:
            found.append(json.loads(path.read_text()))
        except json.JSONDecodeError:
            print(f"{path.name} is not complete: its program was stopped\n")
    return found


def own_results(runs):
    """(workload, precision): (seconds, scratch bytes, error)."""
    found = {}
    for run in runs:
        for entry in run["benchmarks"]:
            workload, precision = entry["name"].split("/iterations:")[0].rsplit("/", 1)
            if entry.get("error_occurred"):
                found[workload, precision] = (None, None, entry["error_message"])
            else:
                found[workload, precision] = (entry["median_seconds"], entry["scratch_bytes"], None)
    return found


def peer_results(runs):
    return {(entry["workload"], entry["precision"], entry["peer"]): entry for run in runs for entry in run["results"]}


def milliseconds(seconds):
    return NONE if seconds is None else f"{seconds * 1e3:.3f}"


def mebibytes(count):
    return NONE if count is None else f"{count / 2**20:.1f}"


def main(folder):
    folder = pathlib.Path(folder)
    own_runs, peer_runs = read(folder, "W[0-9].json"), read(folder, "peers_*.json")
    own, peers = own_results(own_runs), peer_results(peer_runs)
    if not own and not peers:
        print(NONE)
        return
    for context in [run["context"] for run in own_runs][:1]:
        print(f"{context['date'][:10]}, {context['device']}, driver for CUDA {context['driver_cuda']}", end="")
        print("".join(f", PyTorch {run['torch']}" for run in peer_runs[:1]))
        print()
    print("| workload | precision | feaug ms | eager ms | ratio | compile ms | ratio | feaug MiB | eager MiB | compile MiB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    problems = []
    peer_keys = {(workload, precision) for workload, precision, _ in peers}
    for workload, precision in sorted(set(own) | peer_keys):
        seconds, scratch, error = own.get((workload, precision), (None, None, None))
        if error:
            problems.append(f"{workload} {precision}: {error}")
        cells = [workload, precision, milliseconds(seconds)]
        memory = [mebibytes(scratch)]
        for name in ("eager", "compile"):
            peer = peers.get((workload, precision.removesuffix("-tensor-cores"), name), {})
            if "error" in peer:
                problems.append(f"{workload} {precision} {name}: {peer['error']}")
            theirs = peer.get("seconds")
            ratio = f"{theirs / seconds:.2f}" if theirs and seconds else "–"
            cells += [milliseconds(theirs), ratio]
            memory.append(mebibytes(peer.get("bytes")))
        print("| " + " | ".join(cells + memory) + " |")
    for problem in problems:
        print(f"\n{problem}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
