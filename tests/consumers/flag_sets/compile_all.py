#!/usr/bin/env python3
"""Compiles a user's program with many sets of flags, runs it, and compares its results: `compile_all.py INCLUDE BUILD [--few]`.

INCLUDE is the folder with feaug's headers, BUILD one for the programs. --few makes six of the sets. Neighbours, random draws, masks and
messages must be equal in every build, other numbers within rounding. A set that this machine cannot compile or run is named.
"""
import argparse
import concurrent.futures
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
FEW = ["g++ C++23", "g++ -fno-rtti, hidden symbols", "g++ link-time optimisation", "g++ _GLIBCXX_DEBUG", "two shared libraries",
       "clang++ -Ofast"]
STRICT = "-Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wpedantic -Wold-style-cast -Wuseless-cast -Wdouble-promotion -Werror"
# name: compiler and flags of each unit
SETS = {
    "g++ -O0": "g++ -O0",
    "g++ -O1": "g++ -O1",
    "g++ -O3": "g++ -O3",
    "g++ -Os": "g++ -Os",
    "g++ -Og -g": "g++ -Og -g",
    "g++ -Ofast": "g++ -Ofast",
    "g++ C++23": "g++ -std=c++23 -O0",
    "g++ GNU C++20": "g++ -std=gnu++20 -O1",
    "g++ x86-64-v2": "g++ -O2 -march=x86-64-v2",
    "g++ x86-64-v3": "g++ -O2 -march=x86-64-v3",
    "g++ x86-64-v4": "g++ -O2 -march=x86-64-v4",
    "g++ native": "g++ -O3 -march=native",
    "g++ no contraction": "g++ -O2 -march=x86-64-v3 -ffp-contract=off",
    "g++ -Ofast, x86-64-v3": "g++ -Ofast -march=x86-64-v3",
    "g++ -fno-rtti, hidden symbols": "g++ -O1 -fno-rtti -fvisibility=hidden -fvisibility-inlines-hidden",
    "g++ link-time optimisation": "g++ -O1 -flto=2",
    "g++ link-time optimisation, -fno-rtti": "g++ -O3 -flto=2 -fno-rtti",
    "g++ _GLIBCXX_DEBUG": "g++ -O0 -D_GLIBCXX_DEBUG",
    "g++ _GLIBCXX_DEBUG_PEDANTIC, optimised": "g++ -O2 -D_GLIBCXX_DEBUG -D_GLIBCXX_DEBUG_PEDANTIC",
    "g++ hardened": "g++ -O2 -D_GLIBCXX_ASSERTIONS -D_FORTIFY_SOURCE=2 -fstack-protector-all -fstack-clash-protection -fcf-protection",
    "g++ static": "g++ -O2 -static",
    "g++ position-independent": "g++ -O2 -fPIE -pie",
    "g++ old ABI of strings": "g++ -O1 -D_GLIBCXX_USE_CXX11_ABI=0",
    "g++ unsigned char": "g++ -O2 -funsigned-char",
    "g++ -fwrapv": "g++ -O2 -fwrapv",
    "g++ -ftrapv": "g++ -O2 -ftrapv",
    "g++ short enumerations": "g++ -O2 -fshort-enums",
    "g++ OpenMP": "g++ -O2 -fopenmp",
    "g++ no AVX": "g++ -O2 -mno-avx",
    "g++ strict warnings": f"g++ -O2 {STRICT}",
    "g++ UBSan": "g++ -O1 -fsanitize=undefined -fno-sanitize-recover=all",
    "g++ unity": "g++ -O2",
    "clang++ -O0": "clang++ -O0",
    "clang++ -O3": "clang++ -O3",
    "clang++ -Ofast": "clang++ -Ofast",
    "clang++ C++2b, x86-64-v3": "clang++ -std=c++2b -O2 -march=x86-64-v3",
    "clang++ -fno-rtti, hidden symbols": "clang++ -O2 -fno-rtti -fvisibility=hidden",
    "clang++ _GLIBCXX_DEBUG": "clang++ -O1 -D_GLIBCXX_DEBUG",
    "g++ and clang++": "g++ -O2 | clang++ -O2",
    "two shared libraries": "g++ -O1 -fPIC | g++ -Ofast -march=x86-64-v3 -fPIC",
}
CPU = next((set(line.split()[2:]) for line in open("/proc/cpuinfo") if line.startswith("flags")), set())


class Unavailable(Exception):
    """This machine cannot compile or run the set."""


def run(words):
    done = subprocess.run([str(word) for word in words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(str(word) for word in words)} ended with {done.returncode}\n{done.stderr}")
    return done.stdout


def object_of(source, flags, target):
    """Compiles one unit."""
    words = shlex.split(flags)
    if shutil.which(words[0]) is None:
        raise Unavailable(f"no {words[0]}")
    launcher = shlex.split(os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER", ""))
    standard = [] if "-std=" in flags else ["-std=c++20"]
    run([*launcher, *words, *standard, "-c", source, "-o", target])
    return target


def program_of(name, flags, base, includes):
    """The command that prints a set's results."""
    units = [f"{one} {includes}" for one in flags.split(" | ")]
    if name == "two shared libraries":
        libraries = []
        for i, one in enumerate(units):
            objects = [object_of(HERE / source, one, f"{base}_{i}_{source}.o") for source in ("results.cpp", "plug_in.cpp")]
            libraries.append(f"{base}_{i}.so")
            run([*shlex.split(one), "-shared", *objects, "-o", libraries[-1], "-pthread"])
        run(["g++", HERE / "load.cpp", "-o", base, "-ldl"])
        return [base, *libraries]
    if name == "g++ and clang++":
        objects = [object_of(HERE / "results.cpp", units[0], f"{base}.o"),
                   object_of(HERE / "results.cpp", f"{units[1]} -Dresults=other_results", f"{base}_other.o"),
                   object_of(HERE / "main.cpp", f"{units[0]} -DFEAUG_OTHER_RESULTS", f"{base}_main.o")]
    elif name == "g++ unity":
        unity = pathlib.Path(f"{base}_unity.cpp")
        unity.write_text("".join(f'#include "{HERE / source}"\n' for source in ("results.cpp", "main.cpp")))
        objects = [object_of(unity, units[0], f"{base}.o")]
    else:
        objects = [object_of(HERE / source, units[0], f"{base}_{source}.o") for source in ("results.cpp", "main.cpp")]
    run([*shlex.split(units[0]), *objects, "-o", base, "-pthread"])
    return [base]


def results_of(name, flags, build, includes, emulator=()):
    """The lines that a set's program prints."""
    if ("v4" in flags and "avx512f" not in CPU) or ("v3" in flags and "avx2" not in CPU):
        raise Unavailable("this processor lacks its instructions")
    base = build / "".join(letter if letter.isalnum() else "_" for letter in name)
    return run([*emulator, *program_of(name, flags, base, includes)]).splitlines()


def require_equal(got, want, copies):
    """Several libraries in one process print one after another."""
    if len(got) != len(want) * copies:
        raise RuntimeError(f"printed {len(got)} lines, wanted {len(want) * copies}")
    for line, wanted in zip(got, want * copies):
        if line != wanted and (wanted.startswith("exact") or not close(line, wanted)):
            raise RuntimeError(f"got    {line}\nwanted {wanted}")


def close(line, wanted):
    (name, got), (wanted_name, want) = ((name, [float(word) for word in numbers.split()])
                                        for name, _, numbers in (one.partition(":") for one in (line, wanted)))
    allowed = (1e-12 if "doubles" in name else 2e-6) * max(abs(x) for x in want)
    return name == wanted_name and len(got) == len(want) and all(abs(a - b) <= allowed for a, b in zip(got, want))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("include", type=pathlib.Path)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--few", action="store_true")
    parser.add_argument("--compiler", help="only this one set, for example a cross compiler and its flags")
    parser.add_argument("--emulator", default="", help="the command that runs the program of --compiler")
    chosen = parser.parse_args()
    chosen.build.mkdir(parents=True, exist_ok=True)
    eigen = run(["pkg-config", "--cflags", "eigen3"]).replace("-I", "-isystem ").strip()
    includes = f"-I{chosen.include.resolve()} {eigen}"
    want = results_of("plain", "g++ -O2", chosen.build, includes)
    sets = {name: SETS[name] for name in (FEW if chosen.few else SETS)}
    if chosen.compiler:
        sets = {chosen.compiler: chosen.compiler}

    def check(name):
        try:
            emulator = shlex.split(chosen.emulator) if chosen.compiler else []
            require_equal(results_of(name, sets[name], chosen.build, includes, emulator), want, sets[name].count(" | ") + 1)
        except Unavailable as reason:
            return name, f"skipped: {reason}", True
        except RuntimeError as problem:
            return name, f"FAILED: {problem}", False
        return name, "passed", True

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(check, sets))
    for name, outcome, _ in outcomes:
        print(f"{name}: {outcome}")
    sys.exit(0 if all(good for _, _, good in outcomes) else 1)


main()
