"""Tests examples/studies: comparisons, tables, resumption, measures, and every trainer on 200 rows."""

import gzip
import itertools
import json
import math
import pathlib
import random
import statistics
import sys

import numpy as np
import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "studies"))

import comparison
import evaluation
import fashion_mnist
import frozen
import page
import plots
import study
import sweeps
import text
import training
import transfer
import wordnet
from scipy import stats


def test_differences_are_those_of_a_paired_t_test():
    draws = random.Random(1)
    a = {seed: draws.random() for seed in range(1, 9)}
    b = {seed: draws.random() for seed in range(3, 11)}
    found = comparison.difference(a, b)
    common = range(3, 9)
    wanted = stats.ttest_rel([100 * a[one] for one in common], [100 * b[one] for one in common])
    low, high = wanted.confidence_interval(0.95)
    assert found.seeds == 6 and found.p == pytest.approx(wanted.pvalue)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high))


def test_differences_of_no_and_of_one_seed():
    assert comparison.difference({1: 0.5}, {2: 0.5}).seeds == 0
    one = comparison.difference({1: 0.6}, {1: 0.5})
    assert one.mean == pytest.approx(10) and math.isnan(one.half) and math.isnan(one.p)
    equal = comparison.difference({1: 0.5, 2: 0.6}, {1: 0.5, 2: 0.6})
    assert (equal.mean, equal.half, equal.p) == (0, 0, 1)


def test_holms_correction():
    # Limits for four comparisons: 0.0125, 0.0167, 0.025, 0.05; the third fails, so the fourth does, too.
    all_of_them = [comparison.Difference(1, 1, p, 5) for p in (0.045, 0.01, 0.03, 0.015, math.nan)]
    comparison.correct(all_of_them)
    assert [one.significant for one in all_of_them] == [False, True, False, True, False]


def runs_of(results: dict) -> study.Runs:
    """Runs by (method, augmentation, data-augmentation, seed)."""
    names = ("method", "augmentation", "data-augmentation", "seed")
    all_of_them = {}
    for values, share in results.items():
        settings = dict(zip(names, values))
        all_of_them[study.key(settings)] = {"settings": settings, "linear_accuracy_after": share}
    return all_of_them


def test_a_table_has_accuracies_and_gains():
    runs = runs_of({("nnclr", augmentation, strength, seed): 0.7 + gain + 0.001 * seed
                    for augmentation, gain in (("mask", -0.01), ("none", 0), ("neighbour", 0.05))
                    for strength in ("symmetric", "none") for seed in (1, 2, 3)})
    runs.update(runs_of({("nnclr", "neighbour", "symmetric", 1): 0.7}))
    lines = page.markdown(page.Table("t", "s", ["method", "augmentation"], "data-augmentation"), runs).splitlines()
    assert lines[0] == "| feature augmentation | data: none | data: symmetric |" and len(lines) == 5
    error = 100 * statistics.stdev([0.701, 0.702, 0.703]) / math.sqrt(3)
    assert lines[2] == f"| none | 70.2 ± {error:.1f} | 70.2 ± {error:.1f} |"
    assert lines[3].startswith("| neighbour | **+5.00 ± 0.00** | +3.30 ± ")
    assert lines[4] == "| mask | **−1.00 ± 0.00** | **−1.00 ± 0.00** |"


def test_a_table_takes_only_runs_that_it_names():
    runs = runs_of({("byol", "none", "none", 1): 0.5, ("nnclr", "none", "none", 1): 0.25})
    lines = page.markdown(page.Table("t", "s", ["augmentation"], "data-augmentation", where={"method": "nnclr"}), runs).splitlines()
    assert lines[2:] == ["| 25.0 |"]


def test_a_tables_place_in_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    page.PAGE.write_text("before\n<!-- t -->\nold\n<!-- end of t -->\nafter\n")
    for _ in range(2):
        page.put("t", "| new |\n")
        assert page.PAGE.read_text() == "before\n<!-- t -->\n\n| new |\n\n<!-- end of t -->\nafter\n"
    with pytest.raises(SystemExit, match="no place for u"):
        page.put("u", "")


def test_the_page_is_made_of_the_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(plots, "PICTURES", tmp_path)
    committed = (study.ROOT / "docs" / "results.md").read_text()
    page.PAGE.write_text(committed)
    names = sorted({table.study for table in page.TABLES})
    page.write(names)
    assert page.PAGE.read_text() == committed
    plots.write(names)
    made = sorted(file.name for file in tmp_path.glob("*.svg"))
    assert len(made) == 2 and made == sorted(file.name for file in (study.ROOT / "docs" / "pictures").glob("results_*.svg"))


def test_a_study_goes_on_where_it_was_interrupted(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "BUILD", tmp_path)
    calls = []

    def run(settings: dict) -> dict:
        calls.append(settings["x"])
        return {"result": settings["x"] + settings["seed"]}

    one = study.Study("s", [7], settings=[{"x": x} for x in (1, 2, 3)], run=run)
    part = tmp_path / "s_7.jsonl"
    first = {"settings": {"x": 1, "seed": 7}, "result": 8}
    part.write_text(json.dumps(first) + "\n" + '{"settings": {"x": 2, "se')  # as if killed while it wrote
    one.make_seed(7)
    assert calls == [2, 3]
    assert [ended["result"] for ended in study.read(part).values()] == [8, 9, 10]
    one.make_seed(7)
    assert calls == [2, 3]


def test_a_study_makes_missing_runs_or_all_of_them_again(tmp_path, monkeypatch):
    """In processes of their own, of which a program stands in for each: it makes the runs of its seed unless they are there."""
    monkeypatch.setattr(study, "BUILD", tmp_path / "build")
    monkeypatch.setattr(study, "ENDED", tmp_path / "docs")
    made = []
    one = study.Study("s", [1, 2], settings=[{"x": 5}], run=lambda settings: made.append(settings["seed"]) or {"result": len(made)})

    class Ended:
        returncode = 0

    def process(words, **_):
        one.make_seed(int(words[-1]))
        return Ended()

    monkeypatch.setattr(study.subprocess, "run", process)
    for again, wanted in ((False, [1, 2]), (False, [1, 2]), (True, [1, 2, 1, 2]), (True, [1, 2, 1, 2, 1, 2])):
        one.make(again)
        assert sorted(made) == sorted(wanted)
        assert sorted(run["settings"]["seed"] for run in study.ended("s").values()) == [1, 2]
        assert not list((tmp_path / "build").glob("*.jsonl"))
    Ended.returncode = 1
    with pytest.raises(SystemExit, match=r"results: s, seed \d: failed; see .*s_\d\.log"):
        one.make(True)


DEFAULTS = {"augmentation": "none", "samples": 1, "sample-reduction": "mean", "stop-gradient": "on", "architecture": "parallel_predictor",
            "similarity-floor": -1.0, "neighbour-from-epoch": 0, "covariance-scale": 1.0}


@pytest.mark.parametrize("table", [one for one in page.TABLES if one.study in {found.name for found in sweeps.STUDIES}], ids=lambda one: one.name)
def test_a_table_has_one_run_for_each_seed(table):
    """Of the runs that the study makes; its baseline rows have accuracies, its other rows gains."""
    of = next(one for one in sweeps.STUDIES if one.name == table.study)
    runs = {}
    for options in of.sweeps:
        for values in itertools.product(*options.values()):
            for seed in of.seeds[:2]:
                settings = {**DEFAULTS, **dict(zip(options, values)), "seed": seed}
                runs[study.key(settings)] = {"settings": settings, table.measure: 0.5}
    if runs:  # the confirmation has none before its choice
        rows = page.markdown(table, runs).splitlines()[2:]
        assert len(rows) > 1 and all(("50.0" in row) != ("+0.00" in row) for row in rows), rows


def test_winners_have_the_highest_mean(monkeypatch):
    gains = {("nnclr", "none"): "neighbour", ("byol", "weak"): "mask"}
    runs = runs_of({(method, augmentation, strength, 1): 0.6 if gains.get((method, strength)) == augmentation else 0.5 if augmentation == "none" else 0.4
                    for method in sweeps.METHODS for strength in sweeps.STRENGTHS for augmentation in sweeps.AUGMENTATIONS})
    monkeypatch.setattr(sweeps, "ended", lambda name: runs)
    assert sweeps.winners() == []  # not all seeds have ended
    monkeypatch.setattr(sweeps, "SEEDS", 1)
    chosen = [(one["method"], one["data-augmentation"], one["augmentation"], one["evaluation"]) for one in sweeps.winners()]
    assert chosen == [(["nnclr"], ["none"], ["none", "neighbour"], ["test"]), (["byol"], ["weak"], ["none", "mask"], ["test"])]


def test_files_of_fashion_mnist(tmp_path, monkeypatch):
    pixels, labels = np.random.default_rng(1).integers(0, 256, (5, 28, 28)), np.arange(5)
    fashion_mnist.write(tmp_path, train=(pixels, labels))
    for name in ("images-idx3", "labels-idx1"):
        plain = tmp_path / f"train-{name}-ubyte"
        (tmp_path / f"{plain.name}.gz").write_bytes(gzip.compress(plain.read_bytes()))
    monkeypatch.setattr(fashion_mnist, "FOLDER", tmp_path)
    found = fashion_mnist.images("train")
    assert (found[0] == pixels).all() and (found[1] == labels).all()


def clusters(rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Four classes in 16 dimensions, beside 16 dimensions of noise."""
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % 4
    centres = torch.eye(16)[:4] * 4
    return torch.cat([centres[labels], torch.zeros(rows, 16)], 1) + torch.randn(rows, 32, generator=draws), labels


def test_accuracies_of_separable_and_of_random_rows():
    train, labels = clusters(200, 1)
    held_out, held_out_labels = clusters(100, 2)
    found = evaluation.accuracies(train, labels, held_out, held_out_labels)
    assert min(found.values()) > 0.9
    noise = evaluation.accuracies(train[:, 16:], labels, held_out[:, 16:], held_out_labels)
    assert max(noise.values()) < 0.5
    assert evaluation.few_shot_accuracy(train, labels, shots=5, draws=20) > 0.85
    assert evaluation.few_shot_accuracy(train[:, 16:], labels, shots=5, draws=20) < 0.5


def test_boxes_that_are_linear_in_the_features_are_found():
    rows = torch.randn(300, 8)
    corner, side = 10 + rows[:, :2], 5 + rows[:, 2:4].abs()
    boxes = torch.cat([corner, corner + side], 1)
    features = torch.cat([rows, rows[:, 2:4].abs()], 1)
    assert evaluation.box_overlap(features[:200], boxes[:200], features[200:], boxes[200:]) > 0.98
    assert evaluation.box_overlap(torch.randn(200, 8), boxes[:200], torch.randn(100, 8), boxes[200:]) < 0.9


@pytest.mark.parametrize("method", ["nnclr", "byol", "simclr"])
@pytest.mark.parametrize("augmentation", ["none", "neighbour", "mask", "noise", "interpolate"])
def test_training_changes_the_encoder_and_is_repeatable(method, augmentation):
    rows, _ = clusters(200, 1)

    def trained(which: str) -> torch.Tensor:
        torch.manual_seed(1)
        encoder = training.mlp(32, 32, 16)
        training.train(encoder, lambda batch, number: rows[batch], 200, 16, method=method, augmentation=which, epochs=3, seed=1)
        return training.features_of(encoder, rows)

    features = trained(augmentation)
    assert features.isfinite().all() and torch.equal(features, trained(augmentation))
    if augmentation != "none":
        assert not torch.equal(features, trained("none"))


def test_a_neighbour_is_never_the_sample_itself():
    neighbours = training.Neighbours(50, 8)
    rows = torch.nn.functional.normalize(torch.randn(50, 8), dim=1)
    assert torch.equal(neighbours.of(rows, torch.arange(50)), rows)  # the queue is empty
    twice = [*range(25, 50), *range(25, 50)]  # as at the border of two epochs
    neighbours.queue.enqueue(rows[twice], labels=torch.tensor(twice))
    found = neighbours.of(rows, torch.arange(50))
    cosines = rows @ rows[25:].T - 2 * torch.eye(50)[:, 25:]
    assert torch.allclose(found, rows[25:][cosines.argmax(1)], atol=1e-6)


@pytest.fixture
def small_wordnet(tmp_path, monkeypatch):
    """Two files in WordNet's format: 150 glosses of three classes, and one of noun.Tops."""
    subjects = {5: "an animal with a tail", 6: "a tool made of iron", 38: "move quickly on the ground"}
    for part, files in (("noun", (5, 6)), ("verb", (38,))):
        lines = ["  1 This software and database is being provided to you"]
        lines += [f'{number:08} {file:02} n 01 word 0 000 @ 00001740 | {subjects[file]} number {number}; "an example"' for file in files for number in range(50)]
        lines += ["00001740 03 n 01 entity 0 000 | that which is"]
        (tmp_path / f"data.{part}").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(wordnet, "FOLDER", tmp_path)
    monkeypatch.setattr(wordnet, "TRAIN", 100)
    monkeypatch.setattr(wordnet, "HELD_OUT", 50)
    monkeypatch.setattr(study, "BUILD", tmp_path)
    monkeypatch.setattr(text, "EMBEDDED", 16)


def test_glosses_and_their_classes(small_wordnet):
    texts, classes = wordnet.glosses()
    assert len(texts) == 150 and sorted(np.bincount(classes)) == [50, 50, 50]
    assert not any("example" in one or "that which" in one for one in texts)
    assert {("animal" in one, int(of)) for one, of in zip(texts, classes)} == {(True, 0), (False, 1), (False, 2)}


def test_dropped_words_take_their_pairs_with_them():
    rows = text.hashed(["a tool made of iron", "tool"])
    assert (rows[0, :5] != text.NOTHING).all() and (rows[0, 5 : text.WORDS] == text.NOTHING).all()
    assert (rows[0, text.WORDS : text.WORDS + 4] != text.NOTHING).all() and rows[0, text.WORDS + 4] == text.NOTHING
    assert rows[0, 1] == rows[1, 0] and (rows[1] != text.NOTHING).sum() == 1
    assert torch.equal(text.dropped(rows, 0.0), rows)
    alone = text.dropped(rows, 1.0)
    assert alone[0, 0] == rows[0, 0] and (alone[0] != text.NOTHING).sum() == 1


def test_the_trainer_of_text(small_wordnet):
    text.data.cache_clear()
    raw = text.run({"method": "raw", "word-dropout": 0.0, "augmentation": "none", "seed": 1})
    found = text.run({"method": "nnclr", "word-dropout": 0.15, "augmentation": "neighbour", "seed": 1})
    text.data.cache_clear()
    assert raw["linear_accuracy_after"] > 0.9 and found["linear_accuracy_after"] > 0.9


def test_the_trainer_of_frozen_embeddings(monkeypatch):
    monkeypatch.setattr(frozen, "embedding", lambda name: (*clusters(200, 1), *clusters(100, 2)))
    for method in ("raw", "nnclr"):
        found = frozen.run({"embedding": "clusters", "method": method, "augmentation": "neighbour", "seed": 1})
        assert found["linear_accuracy_after"] > 0.8


def test_an_items_box_holds_the_item():
    random_draws = np.random.default_rng(1)
    item = np.zeros((28, 28), np.uint8)
    item[7:21, 14:28] = 255  # the right half, without a quarter of the height above and below
    sides = set()
    for _ in range(50):
        picture, (left, top, right, bottom) = transfer.canvas(item, np.full((6, 28, 28), 200, np.uint8), random_draws)
        assert picture.shape == (28, 28) and 0 <= left < right <= 28 and 0 <= top < bottom <= 28
        assert (picture[top:bottom, left:right] == 255).all() and (picture == 255).sum() == (bottom - top) * (right - left)
        assert abs((bottom - top) - (right - left)) <= 1
        sides.add(right - left)
    assert min(sides) >= 6 and max(sides) <= 10 and len(sides) > 2


def test_other_classes_share_none_with_the_training_images(monkeypatch):
    labels = np.arange(4000, dtype=np.uint8) % 10
    monkeypatch.setattr(transfer.fashion_mnist, "images", lambda part: (np.zeros((4000, 28, 28), np.uint8), labels))
    monkeypatch.setattr(transfer, "TRAIN", 200)
    monkeypatch.setattr(transfer, "HELD_OUT", 200)
    parts = transfer.other_classes(np.random.default_rng(1))
    seen, others = set(parts["train"][1]), set(parts["t10k"][1])
    assert len(seen) == len(others) == 5 and not seen & others
