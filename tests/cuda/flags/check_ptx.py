#!/usr/bin/env python3
"""Checks that nvcc's flags do not change what exact.cu computes: `check_ptx.py FOLDER`. FOLDER is for the PTX files.

Draws and exact sums must have the same bits with -use_fast_math and each of its parts. Their PTX is compared with that of a
compilation without flags. Only one difference is allowed: products, sums and comparisons of floats may replace subnormal numbers
by 0 (.ftz), because the functions in exact.cu never have subnormal operands there. Quotients, square roots and conversions to
double may not. (-fmad=false changes instructions, but not the results: what nvcc contracts here are products that are exact.)
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
FLAGS = ["", "-use_fast_math", "-ftz=true", "-prec-div=false", "-prec-sqrt=false"]
MAY_FLUSH = re.compile(r"\b(add|sub|mul|fma\.rn|neg|abs|setp\.\w+|cvt\.rni|cvt\.rzi)\.ftz\b")
NEEDED = ["div.rn.f32", "sqrt.rn.f32", "cvt.f64.f32", "fma.rn.f32", "fma.rn.f64"]


def ptx(flag, folder):
    """The lines of the PTX, without the .ftz that are allowed."""
    to = folder / f"exact{flag}.ptx"
    source = pathlib.Path(__file__).with_name("exact.cu")
    subprocess.run(["nvcc", "-std=c++20", "-arch=sm_80", "-ptx", *flag.split(), f"-I{ROOT / 'include'}", str(source), "-o", str(to)],
                   check=True)
    text = to.read_text()
    for needed in NEEDED:
        if needed not in MAY_FLUSH.sub(r"\1", text):
            raise RuntimeError(f"{flag}: no {needed}: exact.cu does not contain what is to be tested")
    return [MAY_FLUSH.sub(r"\1", line) for line in text.splitlines() if not line.startswith("//")]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        plain, *others = pool.map(lambda flag: ptx(flag, folder), FLAGS)
    failures = 0
    for flag, lines in zip(FLAGS[1:], others):
        differences = [pair for pair in zip(plain, lines) if pair[0] != pair[1]]
        if len(lines) == len(plain) and not differences:
            continue
        failures += 1
        print(f"{flag}: the PTX differs, {len(plain)} lines without flags, {len(lines)} with it")
        for without, with_it in differences[:5]:
            print(f"  without: {without.strip()}\n  with it: {with_it.strip()}")
    print(f"exact PTX: {len(FLAGS) - 1 - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
