"""Model shapes from the ``config.json`` of a Hugging Face repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from planner.catalog.files import problems_of, read_json
from planner.catalog.hf_families import MODEL_TYPES, Config, Fields
from planner.catalog.models import ModelShape
from planner.errors import InputError, Problem, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Kinds with a language model inside, under ``text_config``, and what of the outside is its own.
_NESTED = ("gemma3", "qwen3_5", "qwen3_5_moe")
_OF_ALL = ("tie_word_embeddings", "quantization_config", "torch_dtype", "dtype")


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
    if isinstance(model_type, str) and model_type in _NESTED:
        if not isinstance(nested, dict):
            message = f"must be a mapping where model_type is {model_type!r}, got {nested!r:.60}"
            raise InputError(Problem(message, "text_config", file))
        content = {key: content.get(key) for key in _OF_ALL} | nested
        model_type = f"{model_type}_text"
    if not isinstance(model_type, str) or model_type not in MODEL_TYPES:
        known = ", ".join(sorted(MODEL_TYPES))
        near = did_you_mean(model_type, MODEL_TYPES) if isinstance(model_type, str) else ""
        message = f"must be one of {known}, got {model_type!r:.60}{near}; or write the shape inline"
        raise InputError(Problem(message, "model_type", file))
    config = Config(content, file)
    fields = MODEL_TYPES[model_type](config)
    if config.problems:
        raise InputError(config.problems)
    return _shape(fields, config, path)


def _shape(fields: Fields, config: Config, path: Path) -> ModelShape:
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
