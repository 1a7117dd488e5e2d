"""What compression costs in quality: perplexity and next-token agreement, each with an interval.

The text is cut into windows of equal length, and each token is predicted from those before it in
its window. With ``m_w`` the mean of ``-log p`` over window ``w``, and windows taken as a sample,

    perplexity = exp(mean m_w),    interval = exp(mean m_w -+ t s / sqrt(windows))

where ``s`` is the standard deviation over windows and ``t`` Student's quantile: tokens of a window
depend on each other, windows hardly do. Compared with the uncompressed model, windows are paired,
so that what both find hard cancels out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats
from torch.nn import functional

from planner.catalog.coefficients import Coefficient
from planner.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from calibrate.models.loaded import LoadedModel

#: Text that comes with the program; see the README beside it.
TEXT = "northanger_abbey_20_24.txt"
#: Tokens of a window.
WINDOW = 512
#: Mean of ``-log p`` over a window beyond which perplexity is not written as a number. [nat]
MOST_LOSS = 300.0
#: Logarithm of the largest number that an interval may reach to. [-]
LARGEST = 700.0
#: What quality is where it cannot be known.
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Parameters
    ----------
    value : float
        The estimate.
    low, high : float
        Ends of the interval.
    stderr : float
        Standard error.
    """

    value: float
    low: float
    high: float
    stderr: float


@dataclass(frozen=True)
class Quality:
    """How well a model predicts a text.

    Parameters
    ----------
    perplexity : Estimate
        ``exp`` of the mean of ``-log p`` of the next token. [-]
    ratio : Estimate
        Perplexity over that of the reference, windows paired; 1 is as good. [-]
    agreement : Estimate
        Share of tokens where model and reference hold the same next token the likeliest. [-]
    tokens : int
        Tokens predicted.
    """

    perplexity: Estimate
    ratio: Estimate
    agreement: Estimate
    tokens: int


@dataclass(frozen=True)
class Predictions:
    """What a model says about the windows of a text.

    Parameters
    ----------
    windows : tensor of int, shape (windows, length)
        Tokens.
    loss : array of float, shape (windows, length - 1)
        ``-log p`` of each token but the first of a window. [nat]
    likeliest : array of int, shape (windows, length - 1)
        Likeliest token at the same places.
    """

    windows: torch.Tensor
    loss: npt.NDArray[np.float64]
    likeliest: npt.NDArray[np.int64]


def packaged_text() -> str:
    """Return the text that comes with the program."""
    return resources.files("calibrate").joinpath("data", TEXT).read_text(encoding="utf-8")


def windows_of(tokens: Sequence[int], length: int = WINDOW) -> torch.Tensor:
    """Return the tokens in windows of `length`, shape ``(windows, length)``; a rest is left out.

    Raises
    ------
    InputError
        If there are not two windows, without which there is no interval.
    """
    count = len(tokens) // length
    if length < 2 or count < 2:
        raise InputError(
            f"text must have at least 2 windows of {max(length, 2)} tokens, got {len(tokens)} "
            "tokens; take a longer text or shorter windows"
        )
    return torch.tensor(tokens[: count * length]).view(count, length)


def reference(
    loaded: LoadedModel,
    *,
    text: str | None = None,
    length: int = WINDOW,
    limit: int | None = None,
) -> Predictions | None:
    """Return what the uncompressed model says about `text`, or None if its quality is unknown.

    It is where weights are random, and for encoders, which predict no next token.

    Parameters
    ----------
    loaded : LoadedModel
        Uncompressed.
    text : str, optional
        By default the one that comes with the program.
    length : int
        Of a window, shorter where the model's longest context is. [tokens]
    limit : int, optional
        Windows that are looked at, from the first; all by default.

    Raises
    ------
    InputError
        If the text is too short.
    """
    if not loaded.trained or loaded.tokenizer is None or loaded.shape.arch != "decoder":
        return None
    # the tokenizer would warn that the text is longer than a context, which the windows are for
    encoded: Any = loaded.tokenizer(
        packaged_text() if text is None else text, add_special_tokens=False, verbose=False
    )
    windows = windows_of(encoded["input_ids"], min(length, loaded.shape.max_position))
    return predict(loaded.model, windows[:limit])


@torch.inference_mode()
def predict(model: torch.nn.Module, windows: torch.Tensor) -> Predictions:
    """Return what `model` says about `windows`, shape ``(windows, length)``.

    Raises
    ------
    InputError
        If it says nothing: probabilities are no numbers, or so small that perplexity overflows.
    """
    device = next(model.parameters()).device
    losses, tops = [], []
    for window in windows:
        tokens = window.to(device)
        logits = model(tokens[None]).logits[0, :-1].float()
        losses.append(functional.cross_entropy(logits, tokens[1:], reduction="none").cpu())
        tops.append(logits.argmax(dim=-1).cpu())
    loss = torch.stack(losses).double().numpy()
    if not np.all(np.isfinite(loss)) or loss.mean(axis=1).max() > MOST_LOSS:
        raise InputError(
            "a model whose quality is measured must predict with numbers, got probabilities that "
            "are 0 or none; its weights are damaged, or too large for the data type"
        )
    return Predictions(windows, loss, torch.stack(tops).numpy())


def quality(
    loaded: LoadedModel, against: Predictions | None, confidence: float = 0.95
) -> Quality | None:
    """Return the quality of `loaded` compared with the predictions of the uncompressed model.

    None, which is shown as :data:`UNKNOWN`, where `against` is None; never 0.
    """
    if against is None:
        return None
    return compare(predict(loaded.model, against.windows), against, confidence)


def compare(found: Predictions, against: Predictions, confidence: float = 0.95) -> Quality:
    """Return the quality of the predictions `found`, given those of the uncompressed model."""
    same = (found.likeliest == against.likeliest).mean(axis=1)
    agreement = _mean(same, confidence)
    return Quality(
        perplexity=_exp_mean(found.loss.mean(axis=1), confidence),
        ratio=_exp_mean((found.loss - against.loss).mean(axis=1), confidence),
        agreement=Estimate(
            agreement.value, max(agreement.low, 0.0), min(agreement.high, 1.0), agreement.stderr
        ),
        tokens=found.loss.size,
    )


def coefficients(found: Quality | None, about: str) -> dict[str, Coefficient]:
    """Return `found` as the quality of a profile, by metric; empty where it is unknown.

    Parameters
    ----------
    found : Quality, optional
        Of one variant.
    about : str
        Model and text, for the source of each number.
    """
    if found is None:
        return {}
    source = f"{about}; {found.tokens:,} tokens of {TEXT}"
    metrics = {
        "perplexity": found.perplexity,
        "perplexity_ratio": found.ratio,
        "agreement": found.agreement,
    }
    return {
        name: Coefficient(
            value=each.value, stderr=each.stderr, provenance="measured", source=source
        )
        for name, each in metrics.items()
    }


def _mean(values: npt.NDArray[np.float64], confidence: float) -> Estimate:
    """Return the mean of `values` with Student's interval."""
    mean = float(values.mean())
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    half = float(stats.t.ppf((1 + confidence) / 2, len(values) - 1)) * error
    return Estimate(mean, mean - half, mean + half, error)


def _exp_mean(values: npt.NDArray[np.float64], confidence: float) -> Estimate:
    """Return ``exp`` of the mean of `values` with its interval."""
    mean = _mean(values, confidence)
    value = math.exp(mean.value)
    high = math.exp(min(mean.high, LARGEST))
    return Estimate(value, math.exp(mean.low), high, value * mean.stderr)
