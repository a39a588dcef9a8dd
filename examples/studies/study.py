"""A study: runs that are made once, kept in docs/results/NAME.jsonl, and turned into tables and plots."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENDED = ROOT / "docs" / "results"
BUILD = ROOT / "build" / "studies"  # unfinished parts, and arrays that several runs use
TRAINER = ROOT / "build" / "demo" / "examples" / "train_fashion_mnist" / "train_fashion_mnist"

Run = dict  # "settings", with "seed" among them, and results by name
Runs = dict[str, Run]  # by key
Options = dict[str, list]  # options of train_fashion_mnist; every combination of their values is a run


def key(settings: dict) -> str:
    return json.dumps(settings, sort_keys=True)


def matches(settings: dict, wanted: dict) -> bool:
    """Whether the settings have these values; a list has all values that an option may have."""
    return all(settings.get(name) in (value if isinstance(value, list) else [value]) for name, value in wanted.items())


def read(path: pathlib.Path) -> Runs:
    """The runs of a file. A last line that an interrupted program did not finish is left out."""
    if not path.exists():
        return {}
    return {key(run["settings"]): run for run in map(json.loads, filter(None, path.read_text().split("\n")[:-1]))}


def write(path: pathlib.Path, runs: Runs) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(runs[name], sort_keys=True) + "\n" for name in sorted(runs)))
    partial.replace(path)


def ended(name: str) -> Runs:
    """The committed runs of a study."""
    return read(ENDED / f"{name}.jsonl")


def kept(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """make()'s array, which is computed once; several processes may ask at the same time."""
    file = BUILD / f"{name}.npy"
    if not file.exists():
        partial = BUILD / f"{name}.{os.getpid()}.npy"
        np.save(partial, make())
        partial.replace(file)
    return np.load(file)


@dataclasses.dataclass(frozen=True)
class Study:
    """`sweeps` are runs of train_fashion_mnist; `settings` are runs of the function `run`, without their seeds."""

    name: str
    seeds: list[int]
    sweeps: list[Options] = dataclasses.field(default_factory=list)
    settings: list[dict] = dataclasses.field(default_factory=list)
    run: Callable[[dict], dict] | None = None  # settings → results

    def part(self, seed: int) -> pathlib.Path:
        return BUILD / f"{self.name}_{seed}.jsonl"

    def make_seed(self, seed: int) -> None:
        """Makes the runs of a seed that its part does not have."""
        part = self.part(seed)
        for options in self.sweeps:
            words = [word for name, values in options.items() for word in (f"--{name}", *map(str, values))]
            subprocess.run([TRAINER, "--sweep", part, "--threads", "1", "--seed", str(seed), *words], check=True, stdout=subprocess.DEVNULL)
        runs = read(part)
        write(part, runs)
        for settings in ({**one, "seed": seed} for one in self.settings):
            if key(settings) not in runs:
                result = {"settings": settings, **self.run(settings)}
                with open(part, "a") as file:
                    file.write(json.dumps(result, sort_keys=True) + "\n")

    def make(self, again: bool) -> None:
        """Makes the runs that the study's file does not have, or `again` all of them, with one process for every core.

        An interrupted call goes on when it is repeated. `again` replaces the file when all runs have ended; otherwise the file grows by a
        seed at a time.
        """
        if not self.sweeps and not self.settings:
            raise SystemExit(f"results: {self.name}: got no settings, wanted those that its choice needs: make the study line_2048 first")
        file = ENDED / f"{self.name}.jsonl"
        runs = {} if again else read(file)

        def make_part(seed: int) -> int:
            part = self.part(seed)
            write(part, {**{name: run for name, run in runs.items() if run["settings"]["seed"] == seed}, **read(part)})
            log = part.with_suffix(".log")
            with open(log, "a") as errors:
                code = subprocess.run([sys.executable, pathlib.Path(__file__).parent, self.name, "--part", str(seed)], stderr=errors).returncode
            if code != 0:
                raise SystemExit(f"results: {self.name}, seed {seed}: failed; see {log}")
            return seed

        with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
            for seed in pool.map(make_part, self.seeds):
                runs.update(read(self.part(seed)))
                if not again:
                    write(file, runs)
                print(f"{self.name}: seed {seed} has ended", flush=True)
        write(file, runs)
        for seed in self.seeds:
            self.part(seed).unlink()
