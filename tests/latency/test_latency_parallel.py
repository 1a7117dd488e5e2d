"""Which divisions over devices are accepted."""

from __future__ import annotations

import pytest

from planner.catalog.catalogue import find_device, find_model
from planner.errors import InputError
from planner.latency.parallel import check_parallel, kv_share, possible_degrees

H100 = find_device("H100")


def refused(model, tensor_parallel, pipeline_parallel=1, device=H100):
    with pytest.raises(InputError) as error:
        check_parallel(find_model(model), device, tensor_parallel, pipeline_parallel)
    return [str(problem) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("model", "degrees"),
    [
        ("llama-3.1-8b", [1, 2, 4, 8, 16, 32]),
        ("llama-3.2-3b", [1, 2, 4, 8]),  # 24 heads, but 3 divides neither KV heads nor width
        ("qwen2.5-7b", [1, 2, 4]),  # 28 heads; 7 divides neither 4 KV heads nor the width
        ("gpt2", [1, 2, 3, 4, 6, 12]),  # the vocabulary of 50257 is padded to 50304
        ("deepseek-v3", [1, 2, 4, 8, 16, 32, 64]),
        ("qwen3.5-397b-a17b", [1, 2, 4, 8, 16]),  # 32 heads, but 16 key heads of linear attention
    ],
)
def test_degrees_divide_heads_vocabulary_and_widths(model, degrees):
    assert possible_degrees(find_model(model)) == degrees
    for degree in degrees:
        if degree <= 8:
            check_parallel(find_model(model), H100, degree, 1)


def test_a_degree_that_does_not_divide_is_refused_with_those_that_do():
    rules = [
        "must divide the 32 attention heads",
        "must divide the 8 KV heads or be a multiple of them",
        "must divide the feed-forward width 14336",
    ]
    assert refused("llama-3.1-8b", 3) == [
        f"fleet.tensor_parallel: {rule}, got 3; possible: 1, 2, 4, 8" for rule in rules
    ]
    assert "must divide the vocabulary, padded to 128,256" in str(refused("llama-3.1-8b", 5))


def test_experts_are_divided_by_their_own_width():
    assert any("experts' width 768" in each for each in refused("qwen3-30b-a3b", 5))


def test_there_are_no_more_stages_than_layers():
    check_parallel(find_model("gpt2"), H100, 1, 12)
    assert refused("gpt2", 1, 13) == [
        "fleet.pipeline_parallel: must be at most the 12 layers, got 13"
    ]


def test_devices_that_share_work_need_a_link_that_joins_them():
    assert "has none; use one device per replica" in str(
        refused("gpt2", 2, 1, find_device("EPYC-9654"))
    )
    (message,) = refused("llama-3.1-8b", 16)
    assert message == (
        "fleet.tensor_parallel: must be at most the 8 devices that NVLink4 joins, got 16; "
        "use pipeline_parallel between nodes"
    )
    check_parallel(find_model("llama-3.1-8b"), find_device("GB200"), 16, 1)


def test_every_device_keeps_the_whole_latent_of_mla():
    assert kv_share(find_model("deepseek-v3"), 8) == 1
