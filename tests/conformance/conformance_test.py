#!/usr/bin/env python3
"""Tests the comparison of feaug_conformance: wrong outputs must fail, correct ones must pass.

    conformance_test.py EXECUTABLE FOLDER_OF_CASE_FILES
"""

import copy
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

EXECUTABLE = None
REFERENCE = None


def run(*words):
    """Exit status, and the lines of stdout and stderr, merged as in a terminal."""
    done = subprocess.run([EXECUTABLE, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.splitlines()


def counts(lines):
    """The numbers of passed and failed cases, from the last line."""
    match = re.fullmatch(r"(\d+) passed, (\d+) failed", lines[-1])
    assert match, f"the last line is {lines[-1]!r}"
    return int(match[1]), int(match[2])


def failing_cases(op, lines):
    pattern = re.compile(rf"FAIL {re.escape(op)} (.*?): ")
    return {match[1] for match in map(pattern.match, lines) if match}


def tensors_of(expected):
    """(name, value) of every output. Counters of a script are numbers, all other outputs are tensors."""
    for name, value in expected.items():
        if name != "steps":
            yield name, value
            continue
        for i, step in enumerate(value):
            yield from ((f"steps[{i}].{key}", step[key]) for key in step if key != "batch")


def set_output(case, name, value):
    match = re.fullmatch(r"steps\[(\d+)\]\.(.*)", name)
    if match:
        case["expected"]["steps"][int(match[1])][match[2]] = value
    else:
        case["expected"][name] = value


def one_percent_off(name, value, position):
    """A copy of the output in which one value is changed by 1 %; None if the output has no values.

    One of the larger values is changed, by at least 1 % of the error measure's floor (1e-4). The measure ignores smaller changes.
    """
    if not isinstance(value, dict):
        return value * 1.01 if value else 0.01
    data = value["data"]
    if not data:
        return None
    changed = copy.deepcopy(value)
    largest = max(map(abs, data))
    places = [i for i, v in enumerate(data) if abs(v) >= largest / 4]
    place = places[position % len(places)]
    if name == "indices":
        changed["data"][place] = data[place] + 1
    else:
        changed["data"][place] = data[place] + math.copysign(0.01 * max(abs(data[place]), 1e-4), data[place])
    return changed


class Comparison(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, content, name="cases.json"):
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def verdict(self, op, case, *options):
        """Runs a single case. Returns whether it passed, and the output lines."""
        status, lines = run(*options, self.file({"op": op, "cases": [case]}))
        self.assertEqual(status, 0 if counts(lines) == (1, 0) else 1)
        self.assertEqual(sum(counts(lines)), 1)
        return status == 0, lines

    def reference(self, op, name=None):
        cases = json.loads((REFERENCE / f"{op}.json").read_text())["cases"]
        return copy.deepcopy(cases[0] if name is None else next(c for c in cases if c["name"] == name))

    def fails(self, op, case, saying, *options):
        passed, lines = self.verdict(op, case, *options)
        self.assertFalse(passed, saying)
        self.assertTrue(any(saying in line for line in lines), f"no line says {saying!r}: {lines}")

    def test_a_value_one_percent_off_fails_its_case_alone(self):
        for path in sorted(REFERENCE.glob("*.json")):
            content = json.loads(path.read_text())
            cases, wrong = [], set()
            for number, case in enumerate(content["cases"]):
                cases.append(case)
                for name, value in tensors_of(case["expected"]):
                    changed = one_percent_off(name, value, number)
                    if changed is None:
                        continue
                    spoilt = copy.deepcopy(case)
                    spoilt["name"] = f"{case['name']} with {name} spoilt"
                    set_output(spoilt, name, changed)
                    cases.append(spoilt)
                    wrong.add(spoilt["name"])
            with self.subTest(op=content["op"]):
                self.assertTrue(wrong)
                status, lines = run(self.file({"op": content["op"], "cases": cases}))
                self.assertEqual(failing_cases(content["op"], lines), wrong)
                self.assertEqual(counts(lines), (len(cases) - len(wrong), len(wrong)))
                self.assertEqual(status, 1)

    def test_several_wrong_outputs_are_one_failure(self):
        case = self.reference("negative_cosine")
        for name, value in case["expected"].items():
            case["expected"][name] = one_percent_off(name, value, 0)
        self.fails("negative_cosine", case, "error")

    def test_a_failing_line_names_case_output_error_and_tolerance(self):
        case = self.reference("mask")
        case["expected"]["out"] = one_percent_off("out", case["expected"]["out"], 0)
        _, lines = self.verdict("mask", case)
        self.assertRegex(lines[0], rf"FAIL mask {case['name']}: out: error [0-9.e-]+, tolerance 1e-09")

    def test_counts_over_several_files(self):
        good = [path for path in sorted(REFERENCE.glob("*.json")) if path.stem in ("mask", "enqueue")]
        cases = sum(len(json.loads(path.read_text())["cases"]) for path in good)
        broken = self.file("{", "broken.json")
        status, lines = run(broken, *good, self.folder / "missing.json")
        self.assertEqual((status, *counts(lines)), (1, cases, 2))
        self.assertEqual(run(*good)[0], 0)
        self.assertEqual(run("--dtype", "float32", *good)[0], 0)
        self.assertEqual(run("--backend=cpu", "--dtype=float64", *good)[0], 0)

    def test_files_that_are_none(self):
        good = json.dumps({"op": "mask", "cases": [self.reference("mask")]})
        for content in ("", "{", good[:-1], "[]", "{}", '{"op": "mask"}', '{"op": 1, "cases": [{}]}',
                        '{"op": "mask", "cases": []}', '{"op": "mask", "cases": [1]}', good.replace("0", "NaN", 1)):
            status, lines = run(self.file(content))
            self.assertEqual((status, *counts(lines)), (1, 0, 1), content)
            self.assertEqual(sum(line.startswith("FAIL") for line in lines), 1, content)
        for path in (self.folder / "missing.json", self.folder):
            status, lines = run(path)
            self.assertEqual((status, *counts(lines)), (1, 0, 1))

    def test_usage_errors(self):
        some = REFERENCE / "mask.json"
        for words in ([], ["--dtype", "float16", some], ["--backend", "abacus", some], ["--verbose", some], ["--dtype"],
                      ["--dtype", "float64"]):
            status, lines = run(*words)
            self.assertEqual(status, 2, words)
            self.assertFalse(any(re.search(r"\d+ passed", line) for line in lines), words)

    def test_what_does_not_exist(self):
        case = self.reference("mask")
        self.fails("no_such_operator", case, "no operator no_such_operator")
        for options, saying in (
            ({"strength": 2}, "no option strength"),
            ({"rescale": "column"}, "rescale"),
            ({"rescale": 3}, "rescale"),
        ):
            spoilt = copy.deepcopy(case)
            spoilt["options"] |= options
            self.fails("mask", spoilt, saying)
        case["inputs"]["extra"] = case["inputs"]["x"]
        case["stop_gradient"].append("extra")
        self.fails("mask", case, "no input extra")

    def test_what_is_missing(self):
        case = self.reference("mask")
        for part in ("options", "inputs", "stop_gradient", "expected", "tolerance"):
            spoilt = copy.deepcopy(case)
            del spoilt[part]
            self.fails("mask", spoilt, part)
        for part, name in (("inputs", "keep"), ("inputs", "grad_out"), ("expected", "out"), ("expected", "grad_x"),
                           ("tolerance", "float64")):
            spoilt = copy.deepcopy(case)
            del spoilt[part][name]
            self.fails("mask", spoilt, f"{part}.{name} is missing")

    def test_gradients_are_wanted_for_exactly_the_inputs_that_are_not_stopped(self):
        case = self.reference("mask")
        case["stop_gradient"] = []
        self.fails("mask", case, "grad_keep")
        case = self.reference("info_nce", "5x7_stopped_keys")
        case["expected"]["grad_keys"] = case["expected"]["grad_queries"]
        self.fails("info_nce", case, "grad_keys")

    def test_shapes_are_compared(self):
        case = self.reference("mask")
        case["expected"]["out"]["shape"].reverse()
        self.fails("mask", case, "shape")
        case["expected"]["out"]["shape"] = [1]
        self.fails("mask", case, "not a tensor")

    def test_nan_fails(self):
        # 4·x − 3·x overflows float64: ∞ − ∞, or −∞ if a compiler fuses one of the products. In float32 the input is already ∞.
        def row(*values):
            return {"shape": [1, len(values)], "data": list(values)}

        case = {
            "name": "overflow",
            "options": {},
            "inputs": {"x": row(1e308, 1), "partner": row(1e308, 1), "weight": {"shape": [1], "data": [4]}},
            "stop_gradient": ["x", "partner", "weight"],
            "expected": {"out": row(1e308, 1)},
            "tolerance": {"float64": 1e300, "float32": 1e300},
        }
        self.fails("extrapolate", case, "out: error")
        self.fails("extrapolate", case, "nan", "--dtype", "float32")
        case["tolerance"] = {"float64": 0, "float32": 0}
        self.fails("extrapolate", case, "out: error")

    def test_tolerance_zero_is_equality(self):
        case = self.reference("mask")
        case["inputs"]["x"]["data"] = [1 / 3] * len(case["inputs"]["x"]["data"])
        keep = case["inputs"]["keep"]["data"]
        case["expected"]["out"]["data"] = [k / 3 for k in keep]
        case["tolerance"] = {"float64": 0, "float32": 0}
        self.assertTrue(self.verdict("mask", case)[0])
        self.assertTrue(self.verdict("mask", case, "--dtype", "float32")[0])
        case["expected"]["out"]["data"] = [k / 3 * (1 + 2e-16) for k in keep]
        self.fails("mask", case, "equal")

    def test_float32_may_exchange_near_equal_neighbours_only(self):
        def case(gap, indices):
            return {
                "name": "near_equal",
                "options": {"k": 2},
                "inputs": {
                    "queries": {"shape": [1, 2], "data": [1, 0]},
                    "support": {"shape": [3, 2], "data": [1, 0, 1, gap, 0, 1]},
                },
                "stop_gradient": ["queries", "support"],
                "expected": {
                    "indices": {"shape": [1, 2], "data": indices},
                    "similarities": {"shape": [1, 2], "data": [1, 1]},
                },
                "tolerance": {"float64": 1e-2, "float32": 1e-2},
            }

        # The cosines are 1 and about 1 − gap²/2.
        float32 = ("--dtype", "float32")
        for options in ((), float32):
            self.assertTrue(self.verdict("nearest", case(1e-4, [0, 1]), *options)[0])
            self.fails("nearest", case(1e-2, [1, 0]), "indices", *options)
            self.fails("nearest", case(1e-4, [0, 2]), "indices", *options)
            self.fails("nearest", case(1e-4, [0, 7]), "indices", *options)
        self.fails("nearest", case(1e-4, [1, 0]), "indices")
        self.assertTrue(self.verdict("nearest", case(1e-4, [1, 0]), *float32)[0])


if __name__ == "__main__":
    EXECUTABLE, REFERENCE = sys.argv[1], pathlib.Path(sys.argv[2])
    unittest.main(argv=sys.argv[:1])
