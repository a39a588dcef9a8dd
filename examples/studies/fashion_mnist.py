"""Fashion-MNIST's files, and features of train_fashion_mnist's encoder."""

from __future__ import annotations

import gzip
import pathlib
import struct
import subprocess

import numpy as np
import torch

from study import TRAINER

FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")


def images(part: str) -> tuple[np.ndarray, np.ndarray]:
    """The images (N × 28 × 28 bytes) and labels of "train" or "t10k"."""
    with gzip.open(FOLDER / f"{part}-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(FOLDER / f"{part}-labels-idx1-ubyte.gz") as file:
        return pixels, np.frombuffer(file.read(), np.uint8, offset=8)


def write(folder: pathlib.Path, **parts: tuple[np.ndarray, np.ndarray]) -> None:
    """Images and labels by "train" and "t10k", as files that train_fashion_mnist reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in parts.items():
        (folder / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, len(pixels), 28, 28) + pixels.astype(np.uint8).tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, len(labels)) + labels.astype(np.uint8).tobytes())


def features(folder: pathlib.Path, **options: object) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Runs train_fashion_mnist with these options. Training features, their labels, held-out features, their labels."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    subprocess.run([TRAINER, "--features", folder, "--threads", "1", *words], check=True, stdout=subprocess.DEVNULL)
    return tuple(torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("train_features", "train_labels", "held_out_features", "held_out_labels"))
