"""Model shapes from the ``config.json`` of a Hugging Face repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from planner.catalog.files import problems_of, read_json
from planner.catalog.models import MAX_SIZE, ModelShape
from planner.errors import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fields = dict[str, Any]


class _Config:
    """A configuration whose keys are read with a check; collects what is wrong with them."""

    def __init__(self, content: Mapping[str, Any], file: str) -> None:
        self._content = content
        self._file = file
        self.problems: list[Problem] = []

    def get(self, key: str) -> Any:  # noqa: ANN401 - a value of JSON
        """Return the value of `key`, or None."""
        return self._content.get(key)

    def refuse(self, key: str, message: str) -> None:
        """Note what is wrong with `key`."""
        self.problems.append(Problem(message, key, self._file))

    def size(self, *keys: str, default: int | None = None, least: int = 1) -> int:
        """Return the whole number under the first of `keys` that is there, or `default`."""
        for key in keys:
            value = self._content.get(key)
            if value is None:
                continue
            if type(value) is int and least <= value <= MAX_SIZE:
                return value
            self.refuse(
                key, f"must be a whole number from {least} to {MAX_SIZE}, got {value!r:.60}"
            )
            return least
        if default is None:
            self.refuse(keys[0], "must be given")
            return least
        return default

    def flag(self, key: str, *, default: bool) -> bool:
        """Return the boolean under `key`, or `default`."""
        value = self._content.get(key)
        if value is not None and not isinstance(value, bool):
            self.refuse(key, f"must be true or false, got {value!r:.60}")
        return value if isinstance(value, bool) else default


def from_hf_config(path: str | Path) -> ModelShape:
    """Return the shape that a Hugging Face ``config.json`` describes.

    Parameters
    ----------
    path : str or Path
        File of at most 1 MB, JSON; nothing in it is run.

    Raises
    ------
    InputError
        If it is not such a file, a key is missing or unusable (all are named), or its
        ``model_type`` is not among :data:`MODEL_TYPES`.
    """
    path = Path(path)
    return shape_from_config(read_json(path, "a Hugging Face config.json"), path)


def shape_from_config(content: Mapping[str, Any], path: Path) -> ModelShape:
    """Return the shape that the `content` of a ``config.json`` describes.

    Parameters
    ----------
    content : mapping
        Configuration as transformers writes it.
    path : Path
        Where it comes from, for messages and the shape's origin; its folder names the shape.

    Raises
    ------
    InputError
        As :func:`from_hf_config`.
    """
    file = str(path)
    model_type = content.get("model_type")
    nested = content.get("text_config")
    if model_type == "gemma3" and isinstance(nested, dict):
        content, model_type = nested, "gemma3_text"
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        known = ", ".join(sorted(MODEL_TYPES))
        near = did_you_mean(model_type, MODEL_TYPES) if isinstance(model_type, str) else ""
        message = f"must be one of {known}, got {model_type!r:.60}{near}; or write the shape inline"
        raise InputError(Problem(message, "model_type", file))
    config = _Config(content, file)
    fields = MODEL_TYPES[model_type](config)
    if config.problems:
        raise InputError(config.problems)
    return _shape(fields, config, path)


def _shape(fields: Fields, config: _Config, path: Path) -> ModelShape:
    """Return the shape with `fields`; the name is that of the file's folder."""
    quantised = config.get("quantization_config")
    native = quantised.get("quant_method") if isinstance(quantised, dict) else None
    native = native or config.get("torch_dtype") or config.get("dtype")
    if isinstance(native, str) and native:
        fields["native_dtype"] = native
    fields["name"] = path.resolve().parent.name or path.name
    fields["origin"] = {"provenance": "given", "source": str(path)}
    try:
        return ModelShape.model_validate(fields)
    except ValidationError as error:
        raise InputError(problems_of(error, str(path))) from None


def _decoder(config: _Config, *, tied: bool = False) -> Fields:
    """Return what the families after Llama name alike."""
    heads = config.size("num_attention_heads")
    hidden = config.size("hidden_size")
    return {
        "hidden_size": hidden,
        "n_layers": config.size("num_hidden_layers"),
        "n_heads": heads,
        "n_kv_heads": config.size("num_key_value_heads", default=heads),
        "head_dim": config.size("head_dim", default=hidden // heads if hidden % heads == 0 else 0),
        "ffn_size": config.size("intermediate_size"),
        "vocab_size": config.size("vocab_size"),
        "max_position": config.size("max_position_embeddings"),
        "tied_embeddings": config.flag("tie_word_embeddings", default=tied),
    }


def _windowed(config: _Config, fields: Fields, layers: int) -> Fields:
    """Return `fields` with the sliding window of `layers` layers, or of those ``layer_types`` says.

    A window that the longest context fits into is none.
    """
    window = config.size("sliding_window", default=0)
    types = config.get("layer_types")
    if isinstance(types, list):
        layers = sum(1 for each in types if each == "sliding_attention")
    if layers and 0 < window < fields["max_position"]:
        fields |= {"sliding_window": window, "n_windowed_layers": layers}
    return fields


def _llama(config: _Config) -> Fields:
    return _decoder(config)


def _mistral(config: _Config) -> Fields:
    fields = _decoder(config)
    return _windowed(config, fields, fields["n_layers"])


def _qwen(config: _Config) -> Fields:
    fields = _decoder(config)
    if not config.flag("use_sliding_window", default=False):
        return fields
    first = config.size("max_window_layers", default=fields["n_layers"], least=0)
    return _windowed(config, fields, max(0, fields["n_layers"] - first))


def _gemma2(config: _Config) -> Fields:
    fields = _decoder(config, tied=True)
    return _windowed(config, fields, (fields["n_layers"] + 1) // 2)


def _gemma3(config: _Config) -> Fields:
    fields = _decoder(config, tied=True)
    pattern = config.size("sliding_window_pattern", default=6)
    return _windowed(config, fields, fields["n_layers"] - fields["n_layers"] // pattern)


def _mixtral(config: _Config) -> Fields:
    fields = _decoder(config)
    experts = {
        "n_experts": config.size("num_local_experts"),
        "experts_per_token": config.size("num_experts_per_tok", "experts_per_token"),
        "moe_ffn_size": fields["ffn_size"],
    }
    return _windowed(config, fields | experts, fields["n_layers"])


def _gpt_oss(config: _Config) -> Fields:
    fields = _mixtral(config)
    for key in ("sliding_window", "n_windowed_layers"):
        fields.pop(key, None)
    return _windowed(config, fields, fields["n_layers"] // 2)


def _qwen3_moe(config: _Config) -> Fields:
    fields = _qwen(config)
    layers = fields["n_layers"]
    every = config.size("decoder_sparse_step", default=1)
    only = config.get("mlp_only_layers")
    dense = {each for each in only if type(each) is int} if isinstance(only, list) else set()
    sparse = range(every - 1, layers, every)
    return fields | {
        "n_experts": config.size("num_experts"),
        "experts_per_token": config.size("num_experts_per_tok"),
        "moe_ffn_size": config.size("moe_intermediate_size"),
        "n_dense_layers": layers - len(sparse) + len(dense.intersection(sparse)),
    }


def _deepseek(config: _Config) -> Fields:
    fields = _decoder(config)
    rope, nope = config.size("qk_rope_head_dim"), config.size("qk_nope_head_dim")
    return fields | {
        "n_kv_heads": fields["n_heads"],
        "head_dim": rope + nope,
        "n_experts": config.size("n_routed_experts"),
        "experts_per_token": config.size("num_experts_per_tok"),
        "moe_ffn_size": config.size("moe_intermediate_size"),
        "n_shared_experts": config.size("n_shared_experts", default=0, least=0),
        "n_dense_layers": config.size("first_k_dense_replace", default=0, least=0),
        "kv_lora_rank": config.size("kv_lora_rank"),
        "q_lora_rank": config.size("q_lora_rank", default=0),
        "qk_rope_dim": rope,
        "qk_nope_dim": nope,
        "v_head_dim": config.size("v_head_dim"),
    }


def _gpt2(config: _Config) -> Fields:
    hidden = config.size("n_embd")
    return {
        "hidden_size": hidden,
        "n_layers": config.size("n_layer"),
        "n_heads": config.size("n_head"),
        "ffn_size": config.size("n_inner", default=4 * hidden),
        "ffn_gated": False,
        "vocab_size": config.size("vocab_size"),
        "max_position": config.size("n_positions"),
        "tied_embeddings": config.flag("tie_word_embeddings", default=True),
    }


def _opt(config: _Config) -> Fields:
    return {
        "hidden_size": config.size("hidden_size"),
        "n_layers": config.size("num_hidden_layers"),
        "n_heads": config.size("num_attention_heads"),
        "ffn_size": config.size("ffn_dim"),
        "ffn_gated": False,
        "vocab_size": config.size("vocab_size"),
        "max_position": config.size("max_position_embeddings"),
        "tied_embeddings": config.flag("tie_word_embeddings", default=True),
    }


def _bert(config: _Config) -> Fields:
    return _decoder(config, tied=True) | {"arch": "encoder", "ffn_gated": False}


#: Readers by ``model_type``.
MODEL_TYPES: Mapping[str, Callable[[_Config], Fields]] = {
    "llama": _llama,
    "mistral": _mistral,
    "phi3": _mistral,
    "qwen2": _qwen,
    "qwen3": _qwen,
    "qwen3_moe": _qwen3_moe,
    "mixtral": _mixtral,
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "gpt2": _gpt2,
    "opt": _opt,
    "gpt_oss": _gpt_oss,
    "bert": _bert,
}
