"""Devices and models by name."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from planner.catalog.devices import Device
from planner.catalog.files import packaged
from planner.catalog.models import ModelShape
from planner.catalog.provenance import Origin
from planner.errors import InputError, did_you_mean
from planner.units import FROM_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Endings of a model's name that leave its shape as it is.
_SAME_SHAPE = ("instruct", "chat", "it", "hf", "base", "bf16", "fp8", "awq", "gptq", "int4")


def device_names() -> list[str]:
    """Return the names of all devices in the catalogue."""
    return list(_devices())


def model_names() -> list[str]:
    """Return the names of all models in the catalogue."""
    return list(_models())


@functools.cache
def find_device(name: str) -> Device:
    """Return the device called `name`, without regard to case or punctuation.

    Aliases count, and first words that only one device has: ``H200`` is ``H200-SXM-141GB``.

    Raises
    ------
    InputError
        If no device or several are called so; says what would supply it.
    """
    entries = _devices()
    names = {key: [key, *entry["aliases"]] for key, entry in entries.items()}
    found = _find(name, names, "device", "write the device inline: {bandwidth, memory, peaks, ...}")
    return _device(found)


@functools.cache
def find_model(name: str) -> ModelShape:
    """Return the model called `name`, by catalogue name, alias or Hugging Face repository.

    Endings that leave the shape as it is, such as ``-Instruct``, may be there or not. Several
    models of one shape share an entry, so that `hf_id` is the repository of the one that was asked
    for: `name` itself where it is a repository, and empty where only the entry's own is known.

    Raises
    ------
    InputError
        If no model or several are called so; says what would supply it.
    """
    names = {
        key: [key, *entry.get("aliases", ()), *_repository(entry.get("hf_id", ""))]
        for key, entry in _models().items()
    }
    hint = "write the shape inline, or {config: path/to/config.json} of Hugging Face"
    key = _find(_plain(name, names), names, "model", hint, asked=name)
    return _model(key).model_copy(update={"hf_id": _asked_for(name, key, names[key])})


def _asked_for(name: str, key: str, aliases: list[str]) -> str:
    """Return the repository of the model called `name`, one of those in the entry `key`."""
    own = _models()[key].get("hf_id", "")
    if "/" in name:
        return name
    words = _words(name)
    if own and any(_words(each)[: len(words)] == words for each in (key, *_repository(own))):
        return str(own)
    begin = (each for each in aliases if _words(each.partition("/")[2])[: len(words)] == words)
    return next(begin, "")


def _repository(hf_id: str) -> tuple[str, ...]:
    return (hf_id, hf_id.rpartition("/")[2]) if hf_id else ()


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", name.lower())


def _plain(name: str, names: Mapping[str, Iterable[str]]) -> str:
    """Return `name` without its repository's owner and endings that leave the shape as it is."""
    known = {"".join(_words(alias)) for aliases in names.values() for alias in aliases}
    words = _words(name)
    while "".join(words) not in known and len(words) > 1 and words[-1] in _SAME_SHAPE:
        words = words[:-1]
    if "".join(words) not in known and "/" in name:
        return _plain(name.rpartition("/")[2], names)
    return "-".join(words)


def _find(
    name: str, names: Mapping[str, list[str]], what: str, hint: str, *, asked: str = ""
) -> str:
    """Return the key of the entry called `name`; `names` has the aliases of each."""
    words = _words(name)
    for key, aliases in names.items():
        if any(_words(alias) and "".join(_words(alias)) == "".join(words) for alias in aliases):
            return key
    begins = [
        key
        for key, aliases in names.items()
        if words and any(_words(alias)[: len(words)] == words for alias in aliases)
    ]
    if len(begins) == 1:
        return begins[0]
    asked = asked or name
    if begins:
        listed = ", ".join(repr(key) for key in begins)
        raise InputError(f"must be one {what}, got {asked!r}, which may be {listed}")
    near = did_you_mean(name, [alias for aliases in names.values() for alias in aliases])
    raise InputError(f"must be a {what} of the catalogue, got {asked!r}{near or ';'} {hint}")


@functools.cache
def _devices() -> dict[str, dict[str, Any]]:
    devices: dict[str, dict[str, Any]] = packaged("data/devices.json")["devices"]
    return devices


@functools.cache
def _models() -> dict[str, dict[str, Any]]:
    models: dict[str, dict[str, Any]] = packaged("data/models.json")["models"]
    return models


@functools.cache
def _model(name: str) -> ModelShape:
    entry = dict(_models()[name])
    for key in ("aliases", "notes", "check"):
        entry.pop(key, None)
    entry["origin"] = {key: entry.pop(key) for key in ("provenance", "source")}
    return ModelShape.model_validate({"name": name, **entry}, context=FROM_FILE)


@functools.cache
def _device(name: str) -> Device:
    entry = dict(_devices()[name])
    prices = entry.pop("price_source", "none")
    origins: dict[str, Origin] = {}
    default = Origin(provenance=entry.pop("provenance"), source=entry.pop("source"))
    listed = Origin(provenance="datasheet", source=prices)
    for key in ("aliases", "notes"):
        entry.pop(key, None)
    fields = {
        key: _sourced(value, key, listed if key == "prices" else default, origins)
        for key, value in entry.items()
    }
    return Device.model_validate({"name": name, **fields, "origins": origins}, context=FROM_FILE)


def _sourced(value: Any, path: str, default: Origin, origins: dict[str, Origin]) -> Any:  # noqa: ANN401 - JSON
    """Return `value` without its provenance and source, which go to `origins` under `path`."""
    if isinstance(value, dict) and "value" in value:
        origins[path] = Origin(provenance=value["provenance"], source=value["source"])
        return value["value"]
    if isinstance(value, dict):
        return {
            key: _sourced(each, f"{path}.{key}", default, origins) for key, each in value.items()
        }
    if path not in {"kind", "link.name"}:
        origins[path] = default
    return value
