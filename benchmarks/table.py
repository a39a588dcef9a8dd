#!/usr/bin/env python3
"""Prints the results of the CPU benchmarks as Markdown tables: `table.py FOLDER`.

scripts/bench fills FOLDER: ceilings_*.json (the machine's peak rates), W1.json … (workloads),
peers.json (torch.compile, lightly and FAISS, from cuda/peers.py). `--into FILE` replaces the text
between FILE's two markers instead of printing."""
import argparse
import json
import pathlib

BEGIN, END = "<!-- scripts/bench writes this -->", "<!-- until here -->"
ORDER = ["W1", "W2", "W2/one-way", "W3", "W3/search", "W3/search/256", "W4/256", "W4/4096", "W5/mask", "W5/noise",
         "W5/interpolate", "W6", "W7"]


def fastest(runs):
    """{workload: {contestant: entry of the fastest call}}, and the refused results."""
    found, refused = {}, []
    for run in runs:
        for entry in run["benchmarks"]:
            if entry.get("run_type") == "aggregate":
                continue
            workload, who = entry["name"].split("/min_time:")[0].rsplit("/", 1)
            if entry.get("error_occurred"):
                refused.append(f"{workload}, {who}: {entry['error_message']}")
                continue
            best = found.setdefault(workload, {}).get(who)
            if best is None or entry["fastest_seconds"] < best["fastest_seconds"]:
                found[workload][who] = entry
    return found, sorted(set(refused))


def duration(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def mebibytes(count):
    return f"{count / 2**20:.1f} MiB"


def processor():
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    family, model = (next(line.split(":")[1].strip() for line in lines if line.split(":")[0].strip() == key)
                     for key in ("cpu family", "model"))
    return f"{name} (family {family}, model {model})"


def rate(ceilings, name, unit, who="feaug"):
    entry = ceilings.get(name, {}).get(who)
    return entry[unit] / entry["fastest_seconds"] if entry else None


def ceiling_lines(one, two):
    rows = [("fused multiply-adds, fp32", "fma", "flops", "feaug", "GFLOP/s"),
            ("products of bytes, VNNI", "int8", "flops", "feaug", "GOP/s"),
            ("copying, reads and writes counted", "copy", "bytes", "feaug", "GB/s")]
    rows += [(f"{who}'s product, 512 × 65536, D {depth}", f"product/{depth}", "flops", who, "GFLOP/s")
             for depth in (128, 256) for who in ("OpenBLAS", "PyTorch")]
    yield "| ceiling | 1 thread | 2 threads |"
    yield "|---|---|---|"
    for text, name, unit, who, of in rows:
        rates = [rate(ceilings, name, unit, who) for ceilings in (one, two)]
        if any(rates):
            yield f"| {text} | " + " | ".join(f"{r * 1e-9:.0f} {of}" if r else "–" for r in rates) + " |"


def row(workload, contestants, in_python, ceilings):
    ours = contestants["feaug"]
    seconds = ours["fastest_seconds"]
    times = {who: entry["fastest_seconds"] for who, entry in contestants.items() if who != "feaug"}
    times.update(in_python.get(workload, {}))
    ratios = ", ".join(f"{times[who] / seconds:.2g}× {who}" if times[who] < 10 * seconds
                       else f"{times[who] / seconds:.0f}× {who}"
                       for who in ("PyTorch", "torch.compile", "lightly", "FAISS") if who in times)
    unit, name = ("flops", "fma") if "flops" in ours else ("bytes", "copy")
    peak = rate(ceilings, name, unit)
    share = f"{100 * ours[unit] / seconds / peak:.0f} % of {'FMA' if name == 'fma' else 'copying'}" if peak else "–"
    extra = ", ".join([mebibytes(ours["extra_bytes"])] +
                      [f"{who} {mebibytes(entry['extra_bytes'])}" for who, entry in sorted(contestants.items())
                       if who != "feaug" and entry["extra_bytes"] is not None])
    return f"| {workload} | {duration(seconds)} | {ratios or '–'} | {share} | {extra} |"


def table(folder):
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
    found, refused = fastest(run for name, run in read.items() if name.startswith("W"))
    ceilings, one_thread = (fastest(run for name, run in read.items() if name.startswith(f"ceilings_{threads}"))[0]
                            for threads in ("two_threads", "one_thread"))
    in_python, notes = {}, []
    names = {"compile": "torch.compile", "lightly": "lightly", "FAISS": "FAISS"}
    for entry in read.get("peers", {}).get("results", []):
        if entry["peer"] in names and "seconds" in entry:
            in_python.setdefault(entry["workload"], {})[names[entry["peer"]]] = entry["seconds"]
        elif "error" in entry:
            notes.append(f"{entry['workload']}, {entry['peer']}: {entry['error']}")
    notes += read.get("peers", {}).get("skipped", [])
    context = next(run["context"] for name, run in read.items() if name.startswith("W"))
    versions = ", ".join(f"{who} {context[who].removeprefix('OpenBLAS ').split()[0]}"
                         for who in ("PyTorch", "OpenBLAS") if who in context)
    if read.get("peers", {}).get("faiss"):
        versions += f", FAISS {read['peers']['faiss']}"
    yield (f"{context['date'][:10]}, {processor()}, {context['num_cpus']} cores, {context['threads']} threads; {versions}. "
           f"Command: `scripts/bench`. Load average at the start: {', '.join(f'{one:.1f}' for one in context['load_avg'][:1])}.")
    yield ""
    yield "| workload | feaug | ratio | of the ceiling | extra memory |"
    yield "|---|---|---|---|---|"
    for workload in [w for w in ORDER if "feaug" in found.get(w, {})]:
        yield row(workload, found[workload], in_python, ceilings)
    yield ""
    yield from ceiling_lines(one_thread, ceilings)
    for problem in refused + notes:
        yield ""
        yield problem


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path)
    options = parser.parse_args()
    text = "\n".join(table(options.folder))
    if options.into is None:
        print(text)
        return
    page = options.into.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    options.into.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
