"""Shapes with linear attention against transformers' own models, parameter by parameter."""

import pytest

from planner.catalog.catalogue import find_model

torch = pytest.importorskip("torch", reason="transformers' models need the extra 'calibrate'")
transformers = pytest.importorskip("transformers", reason="needs the extra 'calibrate'")

NEXT = {"intermediate_size": 5120}
LARGE = {
    "hidden_size": 4096, "num_hidden_layers": 60, "num_attention_heads": 32, "num_experts": 512,
    "linear_num_value_heads": 64, "num_experts_per_tok": 10, "moe_intermediate_size": 1024,
    "shared_expert_intermediate_size": 1024,
}  # fmt: skip
MODELS = {
    "qwen3-next-80b-a3b": ("Qwen3NextForCausalLM", "Qwen3NextConfig", NEXT),
    "qwen3.5-9b": ("Qwen3_5ForCausalLM", "Qwen3_5TextConfig", {}),
    "qwen3.5-35b-a3b": ("Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextConfig", {}),
    "qwen3.5-397b-a17b": ("Qwen3_5MoeForCausalLM", "Qwen3_5MoeTextConfig", LARGE),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_matrices_are_those_of_the_model_itself(name):
    model, config, sizes = MODELS[name]
    if not hasattr(transformers, model):
        pytest.skip(f"this transformers has no {model}")
    with torch.device("meta"):
        built = getattr(transformers, model)(getattr(transformers, config)(**sizes))
    # norms, the convolution, and the one number that gates the shared expert are not counted
    left_out = ("conv1d", "shared_expert_gate")
    matrices = sum(
        each.numel()
        for key, each in built.named_parameters()
        if each.ndim > 1 and not any(part in key for part in left_out)
    )
    assert find_model(name).parameters == matrices
