"""The runner against transformers' own generation: the same tokens, whatever shares a batch."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the runner needs the extra 'calibrate'")
transformers = pytest.importorskip("transformers", reason="the runner needs the extra 'calibrate'")

from hypothesis import given, settings  # noqa: E402 - after the skip
from hypothesis import strategies as st  # noqa: E402

from calibrate.engine import Engine  # noqa: E402
from calibrate.models.runner import Chunk, Runner  # noqa: E402
from calibrate.scheduling import Limits  # noqa: E402
from planner.errors import InputError  # noqa: E402

VOCABULARY, LONGEST, SLOTS = 97, 64, 6
PLAIN = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
LLAMA = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": VOCABULARY, "max_position_embeddings": 128,
}  # fmt: skip
CONFIGS = {
    "llama": lambda: transformers.LlamaConfig(**LLAMA, **PLAIN),
    "all heads with keys": lambda: transformers.LlamaConfig(
        **LLAMA | {"num_key_value_heads": 4}, **PLAIN
    ),
    "sliding window": lambda: transformers.MistralConfig(**LLAMA, sliding_window=7, **PLAIN),
    "gpt2": lambda: transformers.GPT2Config(
        n_embd=32, n_layer=2, n_head=4, n_positions=128, vocab_size=VOCABULARY, **PLAIN
    ),
}
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    ),
]


def make_model(kind, device="cpu"):
    torch.manual_seed(1)
    model = transformers.AutoModelForCausalLM.from_config(CONFIGS[kind]())
    for each in model.parameters():
        if each.dim() > 1:  # far enough from zero that the likeliest token is no near tie
            torch.nn.init.normal_(each, std=0.4)
    return model.to(device).eval()


pytestmark = pytest.mark.usefixtures("one_thread")


def generate(model, prompt, n):
    """The tokens that transformers itself adds to a prompt."""
    out = model.generate(
        torch.tensor([prompt], device=model.device),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=model.device),
        max_new_tokens=n,
        min_new_tokens=n,
        do_sample=False,
        pad_token_id=0,
    )
    return out[0, len(prompt) :].tolist()


@pytest.fixture(scope="module", params=CONFIGS)
def answered(request):
    """A model, prompts of many lengths, and the 12 tokens it adds to each."""
    model, rng = make_model(request.param), np.random.default_rng(2)
    prompts = [rng.integers(0, VOCABULARY, n).tolist() for n in (1, 2, 3, 5, 8, 13, 17, 21, 26, 30)]
    return model, [(prompt, generate(model, prompt, 12)) for prompt in prompts]


@given(
    requests=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 12)), min_size=1, max_size=12),
    budget=st.integers(SLOTS, 40),
    blocks=st.integers(14, 60),
    scheduler=st.sampled_from(["chunked", "prefill_first", "static"]),
)
@settings(max_examples=15, deadline=None)
def test_served_tokens_are_those_of_generate(answered, requests, budget, blocks, scheduler):
    """Through chunks, mixed batches, slots used again, preemptions, and padding."""
    model, answers = answered
    runner = Runner(model, SLOTS, 2 * LONGEST)
    limits = Limits(
        scheduler, SLOTS, budget, block_size=3, blocks=blocks, max_model_len=42, batch_size=3
    )
    engine = Engine(runner.step, limits)
    sequences = [engine.submit(answers[k][0], n) for k, n in requests]
    while not all(each.finished for each in sequences):
        engine.step_or_wait()
    served = [each.token_ids[each.prompt_tokens :] for each in sequences]
    assert served == [answers[k][1][:n] for k, n in requests]


def test_answers_stream_and_share_their_batches(answered):
    model, answers = answered
    runner, batches = Runner(model, SLOTS, LONGEST), []

    def run(chunks):
        batches.append(len(chunks))
        return runner.step(chunks)

    engine = Engine(run, Limits("chunked", SLOTS, 64, block_size=4, blocks=40, max_model_len=42))
    streams = [engine.respond(prompt, 12) for prompt, _ in answers[:4]]
    first = [next(each) for each in streams]
    rest = [list(each) for each in streams]
    assert [[a, *b] for a, b in zip(first, rest, strict=True)] == [x for _, x in answers[:4]]
    assert max(batches) == 4
    assert sum(batches) == 4 * 12


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_logits_are_those_of_the_model_alone(device, dtype):
    model = make_model("llama", device).to(dtype)
    rng = np.random.default_rng(3)
    texts = [rng.integers(0, VOCABULARY, n).tolist() for n in (5, 17, 1, 9)]
    runner = Runner(model, 4, 32)
    runner.step([Chunk(k, text[: len(text) // 2], 0) for k, text in enumerate(texts) if k != 2])
    work = [
        Chunk(k, text[start:], start)
        for k, text in enumerate(texts)
        for start in [0 if k == 2 else len(text) // 2]
    ]
    logits = runner.logits(work).float()
    with torch.no_grad():
        alone = [model(torch.tensor([text], device=device)).logits[0, -1] for text in texts]
    spread = float(logits.std())
    tolerance = 1e-4 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(
        logits / spread, torch.stack(alone).float() / spread, rtol=0, atol=tolerance
    )


def test_the_model_itself_is_left_as_it_was():
    model = make_model("llama")
    before = generate(model, [1, 2, 3], 5)
    Runner(model, 2, 16).step([Chunk(0, [5, 6], 0)])
    assert generate(model, [1, 2, 3], 5) == before


def test_amid_a_prefill_no_token_comes_out():
    runner = Runner(make_model("llama"), 2, 16)
    assert runner.step([Chunk(0, [1, 2], 0, sample=False)]) == [-1]
    mixed = runner.step([Chunk(1, [3], 0), Chunk(0, [4], 2, sample=False)])
    assert mixed[0] >= 0
    assert mixed[1] == -1


def test_a_filled_slot_goes_on_as_if_it_had_been_read():
    runner = Runner(make_model("llama"), 2, 16)
    runner.fill(1, 10)
    assert 0 <= runner.step([Chunk(1, [3], 10)])[0] < VOCABULARY
    assert torch.isfinite(runner.logits([Chunk(1, [3], 11)])).all()


@pytest.mark.parametrize(
    "chunk",
    [
        Chunk(2, [1], 0),  # no such slot
        Chunk(0, [1] * 17, 0),  # longer than a slot
        Chunk(0, [1], 1),  # after nothing
        Chunk(0, [], 0),  # nothing
        Chunk(-1, [1], 0),
    ],
)
def test_chunks_that_cannot_be_are_refused(chunk):
    runner = Runner(make_model("llama"), 2, 16)
    runner.fill(0, 0)
    with pytest.raises(ValueError, match="do not follow what slot"):
        runner.step([chunk])


def test_a_slot_has_no_room_beyond_its_length():
    runner = Runner(make_model("llama"), 2, 16)
    with pytest.raises(ValueError, match="no room for 17 tokens"):
        runner.fill(0, 17)


def test_a_cache_that_does_not_fit_says_what_to_lower():
    with pytest.raises(InputError, match="lower max_num_seqs or max_model_len"):
        Runner(make_model("llama"), 10**7, 10**7)


def test_a_cache_is_refused_before_a_cpu_gives_memory_that_it_has_not(monkeypatch):
    model, layers = make_model("llama"), []
    of_one_layer = Runner(model, 3, 16).kv_bytes / model.config.num_hidden_layers
    monkeypatch.setattr("calibrate.models.attention.free_memory", lambda _: 1.5 * of_one_layer)
    monkeypatch.setattr(torch.Tensor, "new_zeros", lambda *_: layers.append(_))
    with pytest.raises(InputError, match="3 sequences of 16 tokens must fit into the free memory"):
        Runner(model, 3, 16)
    assert not layers


def test_a_cache_of_another_size_holds_longer_sequences():
    runner = Runner(make_model("llama"), 3, 16)
    before, first = runner.kv_bytes, runner.step([Chunk(0, [5, 6, 7], 0)])
    runner.resize(32)
    assert runner.kv_bytes == 2 * before
    assert runner.step([Chunk(0, [5, 6, 7], 0)]) == first
    runner.fill(1, 32)


def test_an_attention_that_cannot_be_run_is_refused():
    config = transformers.Gemma2Config(**LLAMA, head_dim=8, **PLAIN)
    model = transformers.AutoModelForCausalLM.from_config(config)
    with pytest.raises(InputError, match="cannot run attention with softcap"):
        Runner(model, 2, 16)


def test_the_cache_takes_two_numbers_per_layer_head_and_token():
    runner = Runner(make_model("llama"), 3, 16)
    assert runner.kv_bytes == 3 * 16 * 2 * 2 * 2 * 8 * 4  # slots, tokens, K V, layers, heads, dim
