"""Detects torch.utils.checkpoint, which runs the forward pass of a module twice."""

import sys

import torch
from torch.utils import checkpoint

_FILE = checkpoint.__file__


def refuse_checkpoint(state: str) -> None:
    """Raises an error inside torch.utils.checkpoint: the second forward pass would change `state`
    again. Called before any state changes. Its frames are on the stack in both of its modes, also
    while it recomputes.
    """
    if torch.compiler.is_compiling():
        return
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == _FILE:
            raise RuntimeError(
                f"{state} would change twice inside torch.utils.checkpoint, which repeats the "
                "forward pass: call the module outside of the checkpointed function"
            )
        frame = frame.f_back
