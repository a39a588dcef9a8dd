#!/usr/bin/env bash
# Tests the example program as a user runs it: bad input, interruption and resumption, threads. Argument: the program's path.
# It generates a small data set, so that it needs no package and takes seconds.
set -euo pipefail
program="$(realpath "$1")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"

checks=0
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
ok() { checks=$((checks + 1)); }

# Data set: ten classes of noisy bars, 400 images for training, 100 for tests.
python3 - <<'PYTHON'
import gzip, random, struct
random.seed(1)
def write(name, count):
    images, labels = bytearray(), bytearray()
    for i in range(count):
        label = i % 10
        labels.append(label)
        for y in range(28):
            for x in range(28):
                lit = abs((x if label < 5 else y) - 4 - 5 * (label % 5)) < 2
                images.append(min(255, (40 if lit else 0) + random.randrange(200)))
    with gzip.open(f"data/{name}-images-idx3-ubyte.gz", "wb") as f:
        f.write(struct.pack(">IIII", 0x803, count, 28, 28) + images)
    with gzip.open(f"data/{name}-labels-idx1-ubyte.gz", "wb") as f:
        f.write(struct.pack(">II", 0x801, count) + labels)
import os
os.mkdir("data")
write("train", 400)
write("t10k", 100)
PYTHON
small=(--data data --train-size 400 --batch 40 --epochs 2 --queue 128 --threads 2)

# exits_2 PATTERN ARGUMENTS…: requires exit code 2 and a single line on stderr, which contains PATTERN.
exits_2() {
  local pattern="$1"
  shift
  local code=0
  "$program" "$@" >out.txt 2>err.txt || code=$?
  [[ $code == 2 ]] || fail "exit code $code, wanted 2: $*: $(cat err.txt)"
  [[ "$(wc -l <err.txt)" == 1 ]] || fail "more than one line: $*: $(cat err.txt)"
  grep -qF -- "$pattern" err.txt || fail "wanted \"$pattern\", got: $(cat err.txt)"
  ok
}

# field FILE KEY: prints a value of the results.
field() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))[sys.argv[2]]))' "$1" "$2"; }
same_numbers() {
  for key in loss_curve linear_accuracy_before linear_accuracy_after knn_accuracy_before knn_accuracy_after; do
    [[ "$(field "$1" $key)" == "$(field "$2" $key)" ]] || fail "$1 and $2 differ in $key"
  done
  ok
}

echo "bad options and combinations"
exits_2 "--no-such-option" --no-such-option
exits_2 "--method" --method nonsense
exits_2 "--seed" --seed -1
exits_2 "is none of covariance_noise" --augmentation mask,nonsense "${small[@]}"
exits_2 "an augmentation is named twice" --augmentation mask,mask "${small[@]}"
exits_2 "none cannot be combined" --augmentation none,mask "${small[@]}"
exits_2 "has no predictor" --method simclr --architecture pre_predictor "${small[@]}"
exits_2 "collapses" --method byol --architecture basic "${small[@]}"
exits_2 "takes no gradient" --method moco --stop-gradient off "${small[@]}"
exits_2 "it has no predictor" --method ressl --architecture pre_predictor "${small[@]}"
exits_2 "before the comparison" --method mean_shift --architecture basic "${small[@]}"
exits_2 "one sample a feature" --method swav --samples 2 "${small[@]}"
exits_2 "learns from the queue" --method ressl "${small[@]}" --queue 0
exits_2 "not with augmented features" --method mean_shift --augmentation mask "${small[@]}"
exits_2 "both learn" --method barlow_twins --stop-gradient on "${small[@]}"
exits_2 "assignments are constants" --method swav --stop-gradient off "${small[@]}"
exits_2 "neighbours are unit vectors" --method vicreg --augmentation mask,soft_neighbour "${small[@]}"
exits_2 "it has no neighbours" --augmentation mask --neighbour-from-epoch 1 "${small[@]}"
exits_2 "a soft neighbour has no floor" --augmentation soft_neighbour --similarity-floor 0.5 "${small[@]}"
"$program" "${small[@]}" --epochs 0 --augmentation neighbour --queue 4 >/dev/null 2>&1 || fail "four rows are enough for a neighbour"
exits_2 "as many neighbours as the queue has rows" --augmentation random_neighbour --neighbours 129 "${small[@]}"
exits_2 "no neighbour would be used" --augmentation neighbour --neighbour-from-epoch 2 "${small[@]}"
exits_2 "unit vectors" --method barlow_twins --augmentation covariance_noise "${small[@]}"
exits_2 "finite number" --augmentation neighbour --similarity-floor nan "${small[@]}"
exits_2 "finite number" --augmentation mask --mask-keep nan "${small[@]}"
exits_2 "at most four" --augmentation mask,noise,slerp,interpolate,extrapolate "${small[@]}"
exits_2 "its negatives are the queue's rows" --method moco "${small[@]}" --queue 0
exits_2 "neighbours come from the queue" --augmentation neighbour "${small[@]}" --queue 0
exits_2 "micro-batches" "${small[@]}" --accumulate 3
exits_2 "not one whole batch" --data data --train-size 20 --batch 40

echo "bad files"
exits_2 "not found" --data nowhere
mkdir broken && cp data/* broken/
head -c 2000 data/train-images-idx3-ubyte.gz >broken/train-images-idx3-ubyte.gz
exits_2 "truncated" "${small[@]}" --data broken
cp data/train-labels-idx1-ubyte.gz broken/train-images-idx3-ubyte.gz
exits_2 "not the idx file that was expected" "${small[@]}" --data broken
cp data/t10k-images-idx3-ubyte.gz broken/train-images-idx3-ubyte.gz
exits_2 "images and labels differ in number" "${small[@]}" --data broken --train-size 100 --batch 20
(gunzip -c data/train-images-idx3-ubyte.gz; echo) >broken/train-images-idx3-ubyte
rm broken/train-images-idx3-ubyte.gz
exits_2 "longer than it says" "${small[@]}" --data broken
python3 - <<'PYTHON'
# A wrong checksum at the end, as if a bit of the contents were lost. The contents still unpack.
packed = bytearray(open("data/train-images-idx3-ubyte.gz", "rb").read())
packed[-8] ^= 1
open("broken/train-images-idx3-ubyte.gz", "wb").write(packed)
PYTHON
exits_2 "damaged or truncated" "${small[@]}" --data broken
exits_2 "holds 400 items" "${small[@]}" --train-size 401
exits_2 "cannot be written" "${small[@]}" --json nowhere/out.json
exits_2 "cannot be written" "${small[@]}" --checkpoint nowhere/c
exits_2 "cannot be opened" "${small[@]}" --resume nowhere

echo "results"
"$program" "${small[@]}" --json whole.json --checkpoint whole.ckpt >/dev/null 2>progress.txt
grep -q "epoch 2/2  loss" progress.txt || fail "no plain progress line: $(cat progress.txt)"
[[ "$(field whole.json loss_curve | tr ',' '\n' | wc -l)" == 20 ]] || fail "20 updates, another number of losses"
python3 - <<'PYTHON' || fail "results"
import json
results = json.load(open("whole.json"))
for key in ("linear", "knn"):
    for when in ("before", "after"):
        assert 0.0 <= results[f"{key}_accuracy_{when}"] <= 1.0
assert results["settings"]["method"] == "nnclr" and results["settings"]["train-size"] == 400
PYTHON
ok

echo "one thread gives the same numbers as two"
"$program" "${small[@]}" --threads 1 --json one.json >/dev/null 2>&1
same_numbers whole.json one.json

echo "methods that are no step learn, and augmentations change what"
for arguments in "barlow_twins slerp" "vicreg exchange_moments" "swav soft_neighbour" "mean_shift none" "ressl none" "byol mean_neighbour" "nnclr random_neighbour" "byol pseudo_neighbour" "nnclr mutual_neighbour"; do
  read -r method augmentation <<<"$arguments"
  "$program" "${small[@]}" --epochs 4 --method "$method" --augmentation "$augmentation" --json new.json >/dev/null 2>&1
  python3 - "$method" <<'PYTHON' || fail "$method's losses: $(field new.json loss_curve)"
import json, statistics, sys
losses = json.load(open("new.json"))["loss_curve"]
# For methods that learn from the queue, the queue is empty in the first batch.
first = 1 if sys.argv[1] in ("mean_shift", "ressl") else 0
assert losses[:first] == [0.0] * first and len(losses) == 40
# ressl's loss is near the entropy of its teacher, which changes during training, so the loss need not decrease.
if sys.argv[1] != "ressl":
    assert statistics.mean(losses[-5:]) < statistics.mean(losses[first : first + 5])
PYTHON
  "$program" "${small[@]}" --epochs 4 --method "$method" --augmentation none --json plain.json >/dev/null 2>&1
  if [[ "$augmentation" != none ]]; then
    [[ "$(field new.json loss_curve)" != "$(field plain.json loss_curve)" ]] || fail "$method: $augmentation changed nothing"
  fi
  ok
done

echo "the encoder learns wherever the neighbour sits"
for architecture in pre_predictor post_predictor parallel_predictor; do
  "$program" "${small[@]}" --epochs 1 --architecture $architecture --augmentation neighbour --checkpoint learned.ckpt >/dev/null 2>&1
  python3 - <<'PYTHON' || fail "$architecture with neighbour: the first layer had no gradient"
import struct
data = open("learned.ckpt", "rb").read()
name = b"moment 0"
begin = data.index(name) + len(name)
size = struct.unpack("<Q", data[begin : begin + 8])[0]
assert any(struct.unpack(f"<{size // 4}f", data[begin + 8 : begin + 8 + size]))
PYTHON
done
ok

echo "strengths of data augmentation; when and which neighbours are used"
for strength in none weak mild symmetric asymmetric; do
  "$program" "${small[@]}" --method simclr --epochs 1 --data-augmentation $strength --json $strength.json >/dev/null 2>&1
done
"$program" "${small[@]}" --augmentation none --json never.json >/dev/null 2>&1
"$program" "${small[@]}" --augmentation neighbour --neighbour-from-epoch 1 --json later.json >/dev/null 2>&1
"$program" "${small[@]}" --augmentation neighbour --similarity-floor 1 --json floor.json >/dev/null 2>&1
python3 - <<'PYTHON' || fail "strengths, or the epochs in which neighbours are used"
import json
loss = {name: json.load(open(f"{name}.json"))["loss_curve"] for name in ("none", "weak", "mild", "symmetric", "asymmetric", "never", "later", "floor")}
assert len({tuple(loss[name]) for name in ("none", "weak", "mild", "symmetric", "asymmetric")}) == 5
assert loss["none"][0] < min(loss["weak"][0], loss["symmetric"][0])  # views that are equal are the most similar ones
assert loss["later"][:10] == loss["never"][:10] and loss["later"][10:] != loss["never"][10:]
assert loss["floor"] == loss["never"]
PYTHON
ok

echo "an interrupted run resumes to the numbers of an uninterrupted one"
for arguments in "--method nnclr" "--method moco --augmentation mask,noise" "--method byol --augmentation neighbour --accumulate 2" "--method swav --augmentation soft_neighbour" "--method byol --augmentation covariance_noise"; do
  # shellcheck disable=SC2086
  "$program" "${small[@]}" --epochs 10 $arguments --json straight.json >/dev/null 2>&1
  code=0
  # shellcheck disable=SC2086
  "$program" "${small[@]}" --epochs 10 $arguments --checkpoint part.ckpt --json part.json >/dev/null 2>err.txt &
  pid=$!
  while [[ ! -e part.ckpt ]] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
  kill -INT $pid
  wait $pid || code=$?
  [[ $code == 130 ]] || fail "exit code $code after SIGINT, wanted 130: $(cat err.txt)"
  grep -q "interrupted after" err.txt || fail "no word of the interruption: $(cat err.txt)"
  [[ ! -e part.json ]] || fail "an interrupted run wrote results"
  # shellcheck disable=SC2086
  "$program" "${small[@]}" --epochs 10 $arguments --resume part.ckpt --json part.json >/dev/null 2>&1
  same_numbers straight.json part.json
  rm part.ckpt part.json
done

echo "checkpoints that do not fit"
cp whole.ckpt before.ckpt
exits_2 "with --architecture" "${small[@]}" --architecture pre_predictor --resume whole.ckpt --checkpoint whole.ckpt
exits_2 "with --seed" "${small[@]}" --seed 2 --resume whole.ckpt
head -c 5000 whole.ckpt >short.ckpt
exits_2 "damaged checkpoint" "${small[@]}" --resume short.ckpt
python3 -c 'b = bytearray(open("whole.ckpt", "rb").read()); b[len(b) // 2] ^= 1; open("flipped.ckpt", "wb").write(b)'
exits_2 "checksum" "${small[@]}" --resume flipped.ckpt
exits_2 "not a checkpoint" "${small[@]}" --resume whole.json
cmp -s whole.ckpt before.ckpt || fail "a refused run changed the checkpoint"
[[ -z "$(find . -name '*.partial')" ]] || fail "partial files are left"
ok

echo "accuracy on a validation split"
exits_2 "training images are for validation" "${small[@]}" --evaluation validation
"$program" "${small[@]}" --train-size 320 --evaluation validation --json validation.json >/dev/null 2>&1
"$program" "${small[@]}" --train-size 320 --json test.json >/dev/null 2>&1
[[ "$(field validation.json loss_curve)" == "$(field test.json loss_curve)" ]] || fail "the split changed the training"
python3 - <<'PYTHON' || fail "accuracy is not one on 66 validation images and 100 test images"
import json
for name, images in (("validation", 66), ("test", 100)):
    accuracy = json.load(open(f"{name}.json"))["knn_accuracy_after"]
    assert abs(accuracy * images - round(accuracy * images)) < 1e-9
PYTHON
ok

echo "sweeps"
sweep=(--sweep sweep.jsonl "${small[@]}" --method byol nnclr --architecture basic parallel_predictor --seed 1 2)
"$program" "${sweep[@]}" >table.md 2>err.txt
[[ "$(grep -c "^left out: --method byol with --architecture basic" err.txt)" == 1 ]] || fail "what was left out: $(cat err.txt)"
"$program" "${small[@]}" --architecture basic --seed 2 --json alone.json >/dev/null 2>&1
python3 - <<'PYTHON' || fail "a sweep's file and table: $(cat table.md)"
import json, statistics
lines = [json.loads(line) for line in open("sweep.jsonl")]
settings = [(l["settings"]["method"], l["settings"]["architecture"], l["settings"]["seed"]) for l in lines]
assert settings == [(m, a, s) for m, a in (("byol", "parallel_predictor"), ("nnclr", "basic"), ("nnclr", "parallel_predictor"))
                    for s in (1, 2)], settings
alone = json.load(open("alone.json"))
for key in ("linear_accuracy_before", "linear_accuracy_after", "knn_accuracy_before", "knn_accuracy_after"):
    assert lines[3][key] == alone[key], key
assert abs(lines[3]["loss"] - statistics.mean(alone["loss_curve"][10:])) < 1e-6
shares = alone["neighbour_accuracy_curve"]
assert shares[0] == -1 and min(shares[1:]) >= 0  # the queue is empty in the first update
by_epoch = [statistics.mean(shares[1:10]), statistics.mean(shares[10:])]
assert all(abs(a - b) < 1e-6 for a, b in zip(lines[3]["neighbour_accuracy"], by_epoch)), by_epoch
table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in open("table.md").read().strip().split("\n")]
assert table[0][:3] == ["--method", "--architecture", "seeds"] and len(table) == 5, table
for row, pair in zip(table[2:], (lines[0:2], lines[2:4], lines[4:6])):
    assert row[2] == "2"
    after = [100 * one["linear_accuracy_after"] for one in pair]
    assert row[4] == f"{statistics.mean(after):.2f} ± {statistics.stdev(after) / 2 ** 0.5:.2f}", row
gain = [100 * (b["linear_accuracy_after"] - a["linear_accuracy_after"]) for a, b in zip(lines[0:2], lines[4:6])]
assert table[4][6].lstrip("+") == f"{statistics.mean(gain):.2f} ± {statistics.stdev(gain) / 2 ** 0.5:.2f}", table
PYTHON
ok
cp sweep.jsonl ended.jsonl
head -c "$(($(head -n 3 ended.jsonl | wc -c) + 40))" ended.jsonl >sweep.jsonl # as if killed while writing the fourth line
"$program" "${sweep[@]}" >again.md 2>err.txt
cmp -s table.md again.md || fail "a sweep that went on has another table"
[[ "$(grep -c "left," err.txt)" == 3 ]] || fail "three runs were left: $(cat err.txt)"
"$program" --sweep single.jsonl "${small[@]}" --samples 1 --sample-reduction mean sum >/dev/null 2>&1
[[ "$(wc -l <single.jsonl)" == 1 ]] || fail "one sample has one sum, and one mean"
ok
exits_2 "a sweep's results go to its file" "${sweep[@]}" --json out.json
exits_2 "wants one file" "${small[@]}" --sweep a.jsonl b.jsonl
exits_2 "--method" "${sweep[@]}" --method nonsense
exits_2 "an option was expected" stray "${sweep[@]}"
exits_2 "collapses" --sweep none.jsonl "${small[@]}" --method byol --architecture basic
printf 'a letter' >letter.txt
exits_2 "not a sweep's results" "${small[@]}" --sweep letter.txt
cp whole.json copy.json
exits_2 "line 1 is not a sweep's result" "${small[@]}" --sweep copy.json
cmp -s whole.json copy.json && [[ "$(cat letter.txt)" == "a letter" ]] || fail "a refused file was changed"
exits_2 "cannot be written" "${small[@]}" --sweep nowhere/sweep.jsonl

echo "features as NumPy files"
"$program" "${small[@]}" --features "it's/features" >/dev/null 2>&1
python3 - <<'PYTHON' || fail "features"
import ast, struct
def load(name):
    data = open(f"it's/features/{name}.npy", "rb").read()
    assert data[:8] == b"\x93NUMPY\x01\x00"
    begin = 10 + struct.unpack("<H", data[8:10])[0]
    assert begin % 64 == 0
    return ast.literal_eval(data[10:begin].decode()), data[begin:]
for name, rows in (("train", 400), ("held_out", 100)):
    header, data = load(f"{name}_features")
    assert header["descr"] == "<f4" and not header["fortran_order"] and header["shape"][0] == rows, header
    values = struct.unpack(f"<{rows * header['shape'][1]}f", data)
    assert max(values) > min(values)
    header, data = load(f"{name}_labels")
    assert header["shape"] == (rows,) and struct.unpack(f"<{rows}q", data) == tuple(i % 10 for i in range(rows)), header
PYTHON
ok
exits_2 "cannot be made" "${small[@]}" --features whole.json/features
mkdir -p blocked/held_out_labels.npy
exits_2 "held_out_labels.npy: cannot be written" "${small[@]}" --features blocked
exits_2 "cannot be opened" "${small[@]}" --features unused --resume nowhere
[[ ! -e unused && -z "$(ls blocked/*.npy 2>/dev/null | grep -v labels)" ]] || fail "a refused run made files"
exits_2 "a sweep's results go to its file" "${sweep[@]}" --features features

echo "plots"
mkdir empty
code=0
PATH="$PWD/empty" "$program" "${small[@]}" --plots pictures >/dev/null 2>err.txt || code=$?
[[ $code == 2 ]] && grep -qF "needs gnuplot" err.txt || fail "no gnuplot: exit code $code, $(cat err.txt)"
exits_2 "cannot be made" "${small[@]}" --plots whole.json/pictures
if command -v gnuplot >/dev/null; then
  "$program" "${small[@]}" --json drawn.json --plots "it's/pictures" >/dev/null 2>err.txt
  python3 - <<'PYTHON' || fail "pictures: $(cat err.txt)"
import json, struct
folder = "it's/pictures"
def size(name):
    data = open(f"{folder}/{name}.png", "rb").read()
    assert data[:8] == b"\x89PNG\r\n\x1a\n", name
    return struct.unpack(">II", data[16:24])
assert size("training") == (900, 640) and size("projection") == (900, 720) and size("neighbours")[0] > 700
curve = [line.split() for line in open(f"{folder}/training.txt") if line[0] != "#"]
drawn = json.load(open("drawn.json"))
assert len(curve) == 20 and all(abs(float(row[1]) - loss) < 1e-3 for row, loss in zip(curve, drawn["loss_curve"]))
assert all(abs(float(row[3]) - 100 * max(share, 0)) < 1e-2 for row, share in zip(curve, drawn["neighbour_accuracy_curve"]))
points = [line for line in open(f"{folder}/projection.txt") if line[0] not in "#n\n"]
assert len(points) == 100
pixels = {tuple(line.split()[2:]) for line in open(f"{folder}/neighbours.txt")}
assert ("0", "158", "115") in pixels, "no neighbour of the query's class"
PYTHON
  ok
else
  echo "skipped: no gnuplot"
fi

echo "$checks passed, 0 failed"
