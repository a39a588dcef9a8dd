#!/usr/bin/env python3
"""W1 … W7 in PyTorch, for comparison with the benchmarks: eager, with torch.compile and, on the CPU, with lightly's modules
and FAISS's exact search if these are installed.

    peers.py --workload W1 --out peers_W1.json            on a GPU
    peers.py --workload W1 --device cpu --threads 2       on the CPU, in the shapes of its benchmarks
    peers.py --workload W1 --device cpu --small           smoke test; its times are meaningless

On a GPU, timing is as in benchmarks/cuda/support/bench.cuh: events around one call (forward and backward), after a write that
flushes the cache; the median counts. Memory is the peak allocation of a call above the level before it, so gradients count.
On the CPU, calls repeat for up to three seconds; the fastest counts. Results must agree with eager, otherwise they are not timed.
"""
import argparse
import json
import pathlib
import statistics
import sys
import time
import unittest.mock

import torch
import torch.nn.functional as F

TEMPERATURE = 0.1


def features(rows, cols, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, cols, generator=generator)


def other_view(x, seed):
    return 0.8 * x + 0.6 * features(*x.shape, seed)


def unit(x):
    return F.normalize(x, dim=1)


def nt_xent(a, b):
    z = unit(torch.cat([a, b]))
    logits = z @ z.T / TEMPERATURE
    logits.fill_diagonal_(-torch.inf)
    rows = a.shape[0]
    return F.cross_entropy(logits, torch.arange(2 * rows, device=a.device).roll(rows))


def info_nce(queries, keys):
    logits = unit(queries) @ unit(keys).T / TEMPERATURE
    return F.cross_entropy(logits, torch.arange(queries.shape[0], device=queries.device))


def symmetric_info_nce(queries, keys):
    logits = unit(queries) @ unit(keys).T / TEMPERATURE
    own = torch.arange(queries.shape[0], device=queries.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def moco(queries, keys, negatives):
    q = unit(queries)
    positive = (q * keys).sum(1, keepdim=True)
    logits = torch.cat([positive, q @ negatives.T], dim=1) / TEMPERATURE
    return F.cross_entropy(logits, torch.zeros(queries.shape[0], dtype=torch.long, device=queries.device))


def nnclr(queue, targets, predictions):
    """A full queue whose next slot is 0."""
    with torch.no_grad():
        found = queue[(targets @ queue.T).argmax(1)]
    loss = info_nce(found, predictions)
    with torch.no_grad():
        queue[:targets.shape[0]] = unit(targets)
    return loss


def search(queue, queries):
    """The similarity of the nearest row. A score decides between libraries: equal rows make indices ambiguous."""
    return (unit(queries) @ queue.T).max(1).values


def byol(prediction, targets):
    p = unit(prediction)
    return sum((2 - 2 * (p * unit(t)).sum(1)).mean() for t in targets) / len(targets)


def hypersphere(a, b):
    x, y = unit(a), unit(b)
    uniformity = [torch.pdist(rows).square().neg().exp().mean().log() for rows in (x, y)]
    return (x - y).norm(dim=1).square().mean() + sum(uniformity) / 2


def mask(x):
    return x * torch.empty_like(x).bernoulli_(0.8)


def noise(x):
    return x + 0.05 * torch.randn_like(x)


def interpolate(x):
    return torch.lerp(x, x[torch.randperm(x.shape[0], device=x.device)], 0.5)


def of_lightly(key, rows_of_bank=None):
    """The workload with lightly's modules, and a function that undoes a call; None if lightly is not installed or lacks the
    workload. `rows_of_bank` are the rows of its memory bank."""
    try:
        # lightly's image transforms import torchvision, whose C++ part on PyPI does not match the
        # CPU build of PyTorch. Losses and memory banks do not need torchvision.
        for module in ("torchvision", "torchvision.ops"):
            sys.modules.setdefault(module, unittest.mock.MagicMock(__spec__=None))
        from lightly.loss import HypersphereLoss, NTXentLoss, NegativeCosineSimilarity
        from lightly.models.modules import NNMemoryBankModule
    except ImportError:
        return None
    if key == "W1":
        return NTXentLoss(temperature=TEMPERATURE), lambda: None
    if key == "W7":
        return HypersphereLoss(), lambda: None
    if key == "W6":
        criterion = NegativeCosineSimilarity()
        return lambda p, targets: sum(2 + 2 * criterion(p, t) for t in targets) / len(targets), lambda: None
    if key == "W3":
        bank = NNMemoryBankModule(size=tuple(rows_of_bank.shape))

        def run(_, targets, predictions):
            return info_nce(bank(unit(targets), update=True), predictions)
    elif key.startswith("W4"):
        criterion = NTXentLoss(temperature=TEMPERATURE, memory_bank_size=tuple(rows_of_bank.shape))
        bank = criterion.memory_bank

        def run(queries, keys, _):
            return criterion(queries, keys)
    else:
        return None

    def undo():
        bank.bank.copy_(rows_of_bank)
        bank.bank_ptr.zero_()

    return run, undo


def faiss():
    """The module, or None if it is not installed."""
    try:
        import faiss

        return faiss
    except ImportError:
        return None


def of_faiss(queue, threads):
    """The search with FAISS, in an index of all rows of the queue."""
    faiss().omp_set_num_threads(threads)
    index = faiss().IndexFlatIP(queue.shape[1])
    index.add(queue.numpy())
    return lambda _, queries: torch.from_numpy(index.search(unit(queries).numpy(), 1)[0][:, 0])


def workloads(name, place, size, cpu):
    """(key, function, arguments, arguments with a gradient) of a workload and, if needed, a function that undoes a call."""
    if name == "W1":
        a = features(size(4096), 128, 1)
        a, b = place(a), place(other_view(a, 2))
        yield "W1", nt_xent, (a, b), (a, b)
    elif name == "W2":
        q = features(size(8192 if cpu else 32768), 256, 1)
        q, k = place(q), place(other_view(q, 2))
        if cpu:
            yield "W2", symmetric_info_nce, (q, k), (q, k)
        yield "W2/one-way" if cpu else "W2", info_nce, (q, k), (q, k)
    elif name == "W3":
        queue = place(unit(features(size(98304), 256, 1)))
        targets = features(size(4096), 256, 2)
        targets, predictions = place(targets), place(other_view(targets, 3))
        newest = queue[:targets.shape[0]]
        before = newest.clone()
        yield "W3", nnclr, (queue, targets, predictions), (predictions,), lambda: newest.copy_(before)
        if cpu:
            yield "W3/search", search, (queue, targets), ()
            yield "W3/search/256", search, (queue, targets[:size(256)]), ()
    elif name == "W4":
        negatives = place(unit(features(size(65536), 128, 3)))
        for rows in (256, 4096):
            q = features(size(rows), 128, 1)
            q, k = place(q), place(unit(other_view(q, 2)))
            yield f"W4/{rows}", moco, (q, k, negatives), (q,)
    elif name == "W5":
        x = place(features(size(8192), 2048, 1))
        out = torch.empty_like(x)
        yield "W5/copy", out.copy_, (x,), ()
        for function in (mask, noise, interpolate):
            yield f"W5/{function.__name__}", function, (x,), ()
    elif name == "W6":
        p = features(size(4096), 256, 1)
        targets = [place(other_view(p, 2 + k)) for k in range(4)]
        p = place(p)
        yield "W6", byol, (p, targets), (p,)
    elif name == "W7":
        a = features(size(4096), 128, 1)
        a, b = place(a), place(other_view(a, 2))
        yield "W7", hypersphere, (a, b), (a, b)


def measure(call, reset, device, calls, flush):
    """Seconds per call (median; on the CPU the minimum), and the peak bytes (None on the CPU)."""
    if device == "cpu":
        seconds = []
        while len(seconds) < 2 or (len(seconds) < calls and sum(seconds) < 3):
            reset()
            begin = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begin)
        return min(seconds), None
    for _ in range(3):
        reset()
        call()
    reset()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    call()
    torch.cuda.synchronize()
    extra = torch.cuda.max_memory_allocated() - before
    seconds = []
    for _ in range(calls):
        reset()
        flush.zero_()
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(seconds), extra


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workload", default="W1,W2,W3,W4,W5,W6", help="several with commas between them")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=2, help="on the CPU")
    parser.add_argument("--small", action="store_true", help="tiny shapes")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument("--only-compile", action="store_true", help="torch.compile alone")
    parser.add_argument("--out", help="where the JSON goes; else it is printed")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("skipped: no CUDA device")
        return 77

    cpu = options.device == "cpu"
    if cpu and options.only_compile:
        parser.error("--only-compile: got --device cpu, wanted a GPU, since results on the CPU are compared with eager")
    torch.set_num_threads(options.threads)
    calls = 2 if options.small else 50
    flush = torch.empty(1 if options.device == "cpu" else 64 << 20, device=options.device)
    results = []
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"

    def write():
        text = json.dumps({"device": device, "torch": torch.__version__, "faiss": getattr(faiss(), "__version__", None),
                           "results": results}, indent=1)
        if options.out:
            part = pathlib.Path(options.out + ".part")
            part.write_text(text + "\n", encoding="utf-8")
            part.rename(options.out)  # a run that is stopped leaves no half of a file
        return text

    def size(full):
        return max(full // 64, 4) if options.small else full

    def place(x):
        return x.to(options.device)

    for name in options.workload.split(","):
        for key, function, arguments, wanted, *undo in workloads(name, place, size, cpu):
            for tensor in wanted:
                tensor.requires_grad_(True)
            for precision in ("fp32",) if cpu or name in ("W5", "W6") else ("fp32", "tf32", "bf16"):
                torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
                eager = None
                runs = {} if options.only_compile else {"eager": function}
                if not options.no_compile and key != "W5/copy":
                    runs["compile"] = torch.compile(function)
                lightly = of_lightly(key, {"W3": arguments[0], "W4": arguments[-1]}.get(name)) if cpu else None
                if lightly:
                    runs["lightly"], undo_lightly = lightly
                    undo = undo + [undo_lightly]
                if function is search and faiss():
                    runs["FAISS"] = of_faiss(arguments[0], options.threads)
                for peer, run in runs.items():
                    torch.compiler.reset()

                    def call():
                        with torch.autocast(options.device, torch.bfloat16, enabled=precision == "bf16"):
                            out = run(*arguments)
                        if wanted:
                            out.backward()
                        return out.detach()

                    def reset():
                        for tensor in wanted:
                            tensor.grad = None
                        for step in undo:
                            step()

                    entry = {"workload": key, "precision": precision, "peer": peer}
                    try:
                        if cpu and (wanted or function is search):
                            reset()
                            answer = [call()] + [tensor.grad.clone() for tensor in wanted]
                            eager = eager or answer
                            for mine, theirs in zip(answer, eager):
                                if not (mine - theirs).norm() <= 1e-4 * theirs.norm():
                                    raise RuntimeError("wrong answer, timing refused: not what eager computes")
                        entry["seconds"], entry["bytes"] = measure(call, reset, options.device, calls, flush)
                    except Exception as problem:  # out of memory or no compiler: shown in the table
                        entry["error"] = " ".join(str(problem).split("\n")[:2])[:200]
                    results.append(entry)
                    print(entry, file=sys.stderr)
                    write()  # so that a run that is stopped has its results so far
    if not options.out:
        print(write())
    return 0


if __name__ == "__main__":
    sys.exit(main())
