"""Families of models: what each calls its sizes in its ``config.json``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.catalog.dimensions import MAX_SIZE
from planner.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fields = dict[str, Any]


class Config:
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


def _decoder(config: Config, *, tied: bool = False, ffn: str = "intermediate_size") -> Fields:
    """Return what the families after Llama name alike."""
    heads = config.size("num_attention_heads")
    hidden = config.size("hidden_size")
    return {
        "hidden_size": hidden,
        "n_layers": config.size("num_hidden_layers"),
        "n_heads": heads,
        "n_kv_heads": config.size("num_key_value_heads", default=heads),
        "head_dim": config.size("head_dim", default=hidden // heads if hidden % heads == 0 else 0),
        "ffn_size": config.size("intermediate_size", ffn),
        "vocab_size": config.size("vocab_size"),
        "max_position": config.size("max_position_embeddings"),
        "tied_embeddings": config.flag("tie_word_embeddings", default=tied),
    }


def _windowed(config: Config, fields: Fields, layers: int) -> Fields:
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


def _llama(config: Config) -> Fields:
    return _decoder(config)


def _mistral(config: Config) -> Fields:
    fields = _decoder(config)
    return _windowed(config, fields, fields["n_layers"])


def _qwen(config: Config) -> Fields:
    fields = _decoder(config)
    if not config.flag("use_sliding_window", default=False):
        return fields
    first = config.size("max_window_layers", default=fields["n_layers"], least=0)
    return _windowed(config, fields, max(0, fields["n_layers"] - first))


def _gemma2(config: Config) -> Fields:
    fields = _decoder(config, tied=True)
    return _windowed(config, fields, (fields["n_layers"] + 1) // 2)


def _gemma3(config: Config) -> Fields:
    fields = _decoder(config, tied=True)
    pattern = config.size("sliding_window_pattern", default=6)
    return _windowed(config, fields, fields["n_layers"] - fields["n_layers"] // pattern)


def _mixtral(config: Config) -> Fields:
    fields = _decoder(config)
    experts = {
        "n_experts": config.size("num_local_experts"),
        "experts_per_token": config.size("num_experts_per_tok", "experts_per_token"),
        "moe_ffn_size": fields["ffn_size"],
    }
    return _windowed(config, fields | experts, fields["n_layers"])


def _gpt_oss(config: Config) -> Fields:
    fields = _mixtral(config)
    for key in ("sliding_window", "n_windowed_layers"):
        fields.pop(key, None)
    return _windowed(config, fields, fields["n_layers"] // 2)


def _qwen3_moe(config: Config) -> Fields:
    return _sparse(config, _qwen(config))


def _sparse(config: Config, fields: Fields) -> Fields:
    """Return `fields` with the experts of Qwen's models."""
    layers = fields["n_layers"]
    every = config.size("decoder_sparse_step", default=1)
    only = config.get("mlp_only_layers")
    dense = {each for each in only if type(each) is int} if isinstance(only, list) else set()
    sparse = range(every - 1, layers, every)
    return fields | {
        "n_experts": config.size("num_experts"),
        "experts_per_token": config.size("num_experts_per_tok"),
        "moe_ffn_size": config.size("moe_intermediate_size"),
        "n_dense_layers": layers - len(sparse) + sum(each in sparse for each in dense),
    }


def _linear_layers(config: Config, types: object, layers: int) -> int:
    """Return how many of the `layers` have linear attention, by the list of their `types`."""
    kinds = ("linear_attention", "full_attention")
    listed = types if isinstance(types, list) else []
    if len(listed) != layers or any(each not in kinds for each in listed):
        rule = f"must list {kinds[0]!r} or {kinds[1]!r} for each of the {layers} layers"
        config.refuse("layer_types", f"{rule}, got {types!r:.60} of {len(listed)}")
    return listed.count("linear_attention")


def _hybrid(config: Config, *, ffn: str = "intermediate_size") -> Fields:
    """Return a decoder with layers of linear attention: all but every fourth, or as told."""
    fields = _decoder(config, ffn=ffn)
    every = config.size("full_attention_interval", default=4)
    linear = fields["n_layers"] - fields["n_layers"] // every
    types = config.get("layer_types")
    if types is not None:
        linear = _linear_layers(config, types, fields["n_layers"])
    if linear:
        fields["linear_attention"] = {
            "n_layers": linear,
            "key_heads": config.size("linear_num_key_heads"),
            "value_heads": config.size("linear_num_value_heads"),
            "key_head_dim": config.size("linear_key_head_dim"),
            "value_head_dim": config.size("linear_value_head_dim"),
            "conv_kernel": config.size("linear_conv_kernel_dim", default=4),
        }
    return fields | {"gated_attention": config.flag("attn_output_gate", default=True)}


def _hybrid_moe(config: Config) -> Fields:
    fields = _sparse(config, _hybrid(config, ffn="moe_intermediate_size"))
    shared = config.size("shared_expert_intermediate_size", default=0, least=0)
    expert = max(1, fields["moe_ffn_size"])
    if shared % expert:
        config.refuse(
            "shared_expert_intermediate_size",
            f"must be a multiple of moe_intermediate_size ({expert}), got {shared}",
        )
    return fields | {"n_shared_experts": shared // expert}


def _deepseek(config: Config) -> Fields:
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


def _gpt2(config: Config) -> Fields:
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


def _opt(config: Config) -> Fields:
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


def _bert(config: Config) -> Fields:
    return _decoder(config, tied=True) | {"arch": "encoder", "ffn_gated": False}


#: Readers by ``model_type``.
MODEL_TYPES: Mapping[str, Callable[[Config], Fields]] = {
    "llama": _llama,
    "mistral": _mistral,
    "phi3": _mistral,
    "qwen2": _qwen,
    "qwen3": _qwen,
    "qwen3_moe": _qwen3_moe,
    "qwen3_next": _hybrid_moe,
    "qwen3_5_text": _hybrid,
    "qwen3_5_moe_text": _hybrid_moe,
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
