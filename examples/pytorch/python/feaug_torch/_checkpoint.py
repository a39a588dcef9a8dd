"""Detects torch.utils.checkpoint, which runs the forward pass of a module twice."""

import sys

import torch
from torch.utils import checkpoint

_FILE = checkpoint.__file__


def refuse_checkpoint(state: str) -> None:
    """Raises an error inside torch.utils.checkpoint: the second forward pass would change `state`
    again. Not in functions that torch.compile traces. Called before any state changes.

    The frames of torch.utils.checkpoint are on the stack in both of its modes, also while it
    recomputes. Without gradients the non-reentrant mode does not repeat anything; the reentrant mode
    always runs its forward pass without gradients.
    """
    if torch.compiler.is_compiling():
        return
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename == _FILE and (torch.is_grad_enabled() or code.co_name == "forward"):
            raise RuntimeError(
                f"{state} would change twice inside torch.utils.checkpoint, which repeats the "
                "forward pass: call the module outside of the checkpointed function"
            )
        frame = frame.f_back
