"""Lines of measurements that cannot be: each is refused where it is read, none fails in the fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import synthetic_steps as synthetic

from calibrate.fit.device import device_of
from calibrate.fit.profile import calibration_of
from calibrate.measure.catalogue_names import CATALOGUE_NAMES
from calibrate.measure.header import same_machine
from calibrate.measure.journal import Measurements, read_measurements
from calibrate.measure.records import LeftOut, StepRecord
from planner.catalog.catalogue import find_device
from planner.errors import InputError

EVERYTHING = synthetic.SHARED | synthetic.REREAD | synthetic.SPEEDUPS
SAMPLES = {"seconds": 0.1, "spread": 0.0, "samples": [0.1]}
STEP = {"kind": "step", "variant": "fp32", "decode": [8], **SAMPLES}
STRETCH = {"steps": [{"decode": [8]}], "seconds": 0.1}
MEMORY = {"kind": "memory", "variant": "fp32", "weights": 1, "kv_cache": 1, "peak": None}
SERVED = {"kind": "served", "variant": "fp32", "clients": 1, "reference": 0.1}


def written(folder, *lines, **header):
    """Return a file of a header and `lines`."""
    first = {**json.loads(synthetic.HEADER.model_dump_json()), **header}
    path = folder / "m.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in (first, *lines)))
    return path


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ({**STEP, "decode": []}, "step: must have a sequence in prefill or decode"),
        ({**STEP, "decode": [10**18]}, "step.decode.0"),
        ({**STEP, "prefill": [[0, 0]]}, "step.prefill.0.0"),
        ({**STEP, "seconds": 1e-320}, "step.seconds"),
        ({**STEP, "seconds": 1e308}, "step.seconds"),
        ({**STEP, "seconds": float("nan")}, "step.seconds"),
        ({**STEP, "reference": 1e-320}, "step.reference"),
        ({**STEP, "spread": float("inf")}, "step.spread"),
        ({**STEP, "decode": [True]}, "step.decode.0: must be valid, got True"),
        ({**STEP, "seconds": True}, "step.seconds: must be valid, got True"),
        ({**SERVED, "stretches": [], "clients": True}, "served.clients: must be valid, got True"),
        ({**MEMORY, "weights": True}, "memory.weights: must be valid, got True"),
        ({**SERVED, "stretches": [{**STRETCH, "steps": []}]}, "served.stretches.0.steps"),
        ({**SERVED, "stretches": [{**STRETCH, "steps": [{}]}]}, "served.stretches.0.steps"),
        ({**SERVED, "stretches": [{**STRETCH, "seconds": 0}]}, "served.stretches.0.seconds"),
        ({"kind": "matmul", "dtype": "bf16", "size": 10**200, **SAMPLES}, "matmul.size"),
        ({"kind": "bytes", "what": "memory", "size": 10**18, **SAMPLES}, "bytes.size"),
    ],
)
def test_what_no_step_can_be_is_refused_with_its_line_and_key(tmp_path, line, key):
    with pytest.raises(InputError) as error:
        read_measurements(written(tmp_path, line))
    assert f"m.jsonl:2: {key}" in str(error.value)


def test_a_machine_is_the_same_whatever_its_clock_and_with_other_threads_if_these_are_chosen():
    one = synthetic.FINGERPRINT
    clock, threads, torch = (
        one.model_copy(update=change).text
        for change in ({"clocks": "1 MHz"}, {"threads": 1}, {"torch": "2.5"})
    )
    assert same_machine(one.text, clock, threads=True)
    assert same_machine(one.text, threads, threads=False)
    assert not same_machine(one.text, threads, threads=True)
    assert not same_machine(one.text, torch, threads=False)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(InputError, match="must be measurements, got a device or pipe"):
            read_measurements(path)


@pytest.mark.parametrize("created", ["yesterday", "2026-13-45", ""])
def test_a_file_begun_at_no_time_is_refused(tmp_path, created):
    with pytest.raises(InputError, match=r"m\.jsonl:1: header\.created: must be a date and time"):
        read_measurements(written(tmp_path, created=created))


def test_the_day_is_that_of_the_moment_however_it_is_written(tmp_path):
    found = read_measurements(written(tmp_path, created="20261120T100000Z"))
    assert found.header.date == synthetic.HEADER.date


def test_serving_in_which_no_step_ran_is_a_record_of_none(tmp_path):
    found = read_measurements(written(tmp_path, {**SERVED, "stretches": []}))
    assert [each.stretches for each in found.records.values()] == [()]


@pytest.mark.parametrize("name", CATALOGUE_NAMES)
def test_an_accelerator_by_its_drivers_name_is_the_catalogues(name):
    fingerprint = synthetic.FINGERPRINT.model_copy(update={"device": name, "kind": "gpu"})
    header = synthetic.HEADER.model_copy(update={"fingerprint": fingerprint})
    assert device_of(Measurements(header)) == find_device(CATALOGUE_NAMES[name])


def test_links_sent_over_but_not_reduced_over_still_make_a_device(tmp_path):
    link = {"kind": "bytes", "what": "point_to_point", "size": 1024, "processes": 2, **SAMPLES}
    peaks = [
        {"kind": "matmul", "dtype": "fp32", "size": 1024, **SAMPLES},
        {"kind": "bytes", "what": "memory", "size": 2**20, **SAMPLES},
    ]
    device = device_of(read_measurements(written(tmp_path, {**link, "backend": "gloo"}, *peaks)))
    assert device.link.devices == 2


def test_too_few_steps_say_what_was_left_out_and_why(tmp_path):
    path = synthetic.write(
        tmp_path / "m.jsonl", synthetic.records(EVERYTHING, 0.0, np.random.default_rng(0))
    )
    found = read_measurements(path)
    for each in found.of(StepRecord):
        del found.records[each.key]
        left = LeftOut(what=each.key, reason="out of memory: of 3 GiB")
        found.records[left.key] = left
    with pytest.raises(InputError, match=r"left out, the first, step .* for: out of memory: of 3"):
        calibration_of(found, "x")
