#!/usr/bin/env bash
# The example as a person would run it: bad input, interruption and resumption, threads. Takes the program's path.
# Runs on a small data set of its own making, so that it needs no package and takes seconds.
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

# Ten classes of noisy bars: 400 images to train on, 100 to test.
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
                images.append(min(255, (180 if lit else 10) + random.randrange(60)))
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

# exits_2 PATTERN ARGUMENTS…: exit code 2, one line on stderr that holds PATTERN, nothing else said.
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

# field FILE KEY: a value of the results.
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
exits_2 "none of none, neighbour" --augmentation mask,nonsense "${small[@]}"
exits_2 "an augmentation is named twice" --augmentation mask,mask "${small[@]}"
exits_2 "none cannot be combined" --augmentation none,mask "${small[@]}"
exits_2 "has no predictor" --method simclr --architecture pre_predictor "${small[@]}"
exits_2 "collapses" --method byol --architecture basic "${small[@]}"
exits_2 "takes no gradient" --method moco --stop-gradient off "${small[@]}"
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

echo "an interrupted run resumes to the numbers of an uninterrupted one"
for arguments in "--method nnclr" "--method moco --augmentation mask,noise" "--method byol --augmentation neighbour --accumulate 2"; do
  # shellcheck disable=SC2086
  "$program" "${small[@]}" --epochs 30 $arguments --json straight.json >/dev/null 2>&1
  code=0
  # shellcheck disable=SC2086
  "$program" "${small[@]}" --epochs 30 $arguments --checkpoint part.ckpt --json part.json >/dev/null 2>err.txt &
  pid=$!
  while [[ ! -e part.ckpt ]] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
  kill -INT $pid
  wait $pid || code=$?
  [[ $code == 130 ]] || fail "exit code $code after SIGINT, wanted 130: $(cat err.txt)"
  grep -q "interrupted after" err.txt || fail "no word of the interruption: $(cat err.txt)"
  [[ ! -e part.json ]] || fail "an interrupted run wrote results"
  # shellcheck disable=SC2086
  "$program" "${small[@]}" --epochs 30 $arguments --resume part.ckpt --json part.json >/dev/null 2>&1
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

echo "$checks passed, 0 failed"
