"""Fewer and larger kernels: torch.compile and CUDA graphs. They change no number of the model."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import TYPE_CHECKING, Any, Literal

import torch

from calibrate.compression.base import Compression, blocks

if TYPE_CHECKING:
    from torch import nn


class Compile(Compression):
    """Compile each block with ``torch.compile``, for any number of tokens.

    Parameters
    ----------
    mode : {"default", "reduce-overhead"}
        ``reduce-overhead`` records CUDA graphs, so that launching kernels costs nothing.
    """

    kind: Literal["compile"] = "compile"
    mode: Literal["default", "reduce-overhead"] = "default"

    def apply(self, model: nn.Module) -> nn.Module:
        """Let the blocks of `model` be compiled when they first run, and return it."""
        for block in blocks(model):
            block.compile(dynamic=True, mode=self.mode)
        if self.mode == "reduce-overhead":
            inner: Any = model.base_model
            inner.register_forward_pre_hook(_begin_step)
        return model

    def supported(self, device: torch.device) -> str | None:
        """Return what is missing to compile for `device`, or None."""
        if device.type == "cuda":
            return None if importlib.util.find_spec("triton") else "torch.compile needs triton"
        if self.mode == "reduce-overhead":
            return f"CUDA graphs need CUDA, got {device.type}"
        compilers = (os.environ.get("CXX", "c++"), "g++", "clang++")
        if not any(shutil.which(each) for each in compilers):
            return "torch.compile needs a C++ compiler, such as g++"
        return None


def _begin_step(_module: nn.Module, _inputs: object) -> None:
    """Tell torch that a step begins: what a block hands to the next must live until its end.

    Without it every block that is called would begin one, and graphs may overwrite what an
    earlier one has put out.
    """
    torch.compiler.cudagraph_mark_step_begin()
