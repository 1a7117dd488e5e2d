"""What is measured: the window, finished requests, latencies, time blocks, classes."""

import math

import numpy as np
from records_factory import make_records

from planner.results.measured import MAX_BLOCKS, Measured
from planner.results.records import FINISHED, REJECTED, RUNNING, WAITING


def test_only_requests_that_arrived_in_the_window_count():
    arrival = [0.0, 4.9, 5.0, 9.9, 10.0]
    records = make_records(arrival, 0.0, 0.01, 0.1, window=(5.0, 10.0), blocks=5)
    measured = Measured(records)
    assert measured.rows == slice(2, 4)
    assert measured.sample("ttft").counts().tolist() == [1, 0, 0, 0, 1]


def test_rejected_requests_are_neither_measured_nor_unfinished():
    status = [FINISHED, REJECTED, WAITING, RUNNING, FINISHED]
    arrival = [0.0, 1.0, 2.0, 3.0, 4.0]
    measured = Measured(make_records(arrival, 0.0, 0.01, 0.1, status=status, blocks=5))
    assert list(measured.rows) == [0, 4]
    assert measured.sample("e2e").unfinished.tolist() == [0, 0, 1, 1, 0]


def test_latencies_are_the_terms_of_the_field():
    records = make_records([1.0, 2.0], wait=0.5, prefill=0.25, decode=2.0, output_tokens=[5, 1])
    measured = Measured(records)
    everyone = slice(None)
    assert measured.latency("wait", everyone).tolist() == [0.5, 0.5]
    assert measured.latency("ttft", everyone).tolist() == [0.75, 0.75]
    assert measured.latency("e2e", everyone).tolist() == [2.75, 2.75]
    assert measured.latency("tpot", everyone)[0] == 0.5
    assert math.isnan(measured.latency("tpot", everyone)[1])


def test_tpot_leaves_out_answers_of_one_token_unfinished_ones_too():
    status = [FINISHED, FINISHED, WAITING, WAITING]
    records = make_records([0.0, 1, 2, 3], output_tokens=[3, 1, 1, 3], status=status)
    sample = Measured(records).sample("tpot")
    assert sample.values.tolist() == [0.5]
    assert sample.unfinished.sum() == 1


def test_blocks_last_at_least_five_lifetimes_of_a_request():
    """A minute in blocks of a second, requests of two seconds: blocks of ten, to a power of two."""
    records = make_records(np.arange(64.0), 0.0, 0.5, 1.5, window=(0.0, 64.0), blocks=64)
    assert np.diff(Measured(records).blocks).tolist() == [16.0] * 3
    short = make_records(np.arange(64.0), 0.0, 0.05, 0.1, window=(0.0, 64.0), blocks=64)
    assert len(Measured(short).blocks) == 64


def test_fine_blocks_are_merged_and_keep_their_requests_and_gaps():
    arrival = np.linspace(0, 99.9, 1000)
    gaps = [(k, 0, 0.01, 1) for k in range(1, 1001)]
    records = make_records(arrival, window=(0.0, 100.0), blocks=1000, gaps=gaps)
    measured = Measured(records)
    assert len(measured.blocks) <= MAX_BLOCKS
    assert len(measured.sample("itl").counts()) == len(measured.blocks)
    assert measured.sample("ttft").counts().sum() == 1000
    assert measured.sample("itl").counts().sum() == 1000


def test_classes_divide_the_requests_and_the_gaps():
    gaps = [(1, 0, 0.01, 3), (1, 1, 0.1, 2)]
    records = make_records(
        [0.0, 1, 2], class_id=[0, 1, 0], class_names=("chat", "batch"), gaps=gaps
    )
    sizes = [Measured(records, k).sample("ttft").size for k in (None, 0, 1)]
    assert sizes == [3, 2, 1]
    assert [Measured(records, k).sample("itl").size for k in (None, 0, 1)] == [5, 3, 2]
