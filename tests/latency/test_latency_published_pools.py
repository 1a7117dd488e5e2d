"""Published start logs against the memory arithmetic, and the table that shows both."""

from __future__ import annotations

from pathlib import Path

from published_pools import PARTS, published, table

VALIDATION = Path(__file__).parents[2] / "docs" / "validation.md"


def errors(quantities, parts=()):
    return {each.case: each.error for each in published(parts) if each.quantity in quantities}


def test_published_pools_are_met_within_two_per_cent_but_for_six():
    found = errors({"kv_tokens", "kv_pool_gib"})
    assert len(found) == 17
    off = {case for case, error in found.items() if abs(error) > 0.02}
    # vLLM V0 (C01, C03) took other amounts beside weights and activations; in C10.8 weights take
    # nearly all, so that 0.1 GiB is 4 % of the pool; C04 has buffers that its log does not state,
    # and the parts of L2 are not published: it took 0.2 GiB less beside the weights than others
    assert off == {"C01.5", "C01.9", "C03.5", "C04.2", "C10.8", "L2"}
    assert max(map(abs, found.values())) < 0.08


def test_published_pools_are_met_within_two_per_cent_given_the_parts_that_their_logs_state():
    found = errors({"kv_tokens", "kv_pool_gib"}, PARTS)
    assert {case for case, error in found.items() if abs(error) > 0.02} == {"C04.2", "L2"}


def test_published_weights_are_met_within_two_per_cent_but_for_a_mixed_checkpoint():
    found = errors({"weights_gib"})
    assert len(found) == 9
    assert {case for case, error in found.items() if abs(error) > 0.02} == {"C06.1"}


def test_the_table_of_the_documentation_is_what_the_arithmetic_gives():
    shown = VALIDATION.read_text(encoding="utf-8").splitlines()
    assert [row for row in shown if row in set(table())] == table()
