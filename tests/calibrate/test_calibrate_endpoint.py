"""A live server is measured within bounds; whatever it does, its times are kept, its key is not."""

import json
import signal
import time
from urllib.parse import quote, quote_plus

import jsonschema
import numpy as np
import pytest
from command_line import TRACE, finish, planner, process, refused
from endpoint_server import PROMPT_TOKENS, Server
from hypothesis import given
from hypothesis import strategies as st

from calibrate.endpoint.client import Target, api_url
from calibrate.endpoint.stream import MAX_EVENT, StreamedAnswer, StreamError
from calibrate.importers.recognise import read_measured
from planner.errors import InputError
from planner.report.json import result_schema_text

LENGTHS = ("--prompt-tokens", "5", "--output-tokens", "4")
FEW = ("--rate", "200", "--requests", "12")


def measure(server, out, *args, few=FEW, lengths=LENGTHS):
    return planner("calibrate", "endpoint", server.url, *few, *lengths, "--out", out, *args)


def rows_of(out):
    return read_measured("rows.csv", out).rows


def test_every_request_is_timed_and_counted_by_the_server(tmp_path):
    with Server(gap_s=0.01) as server:
        ran = measure(server, tmp_path)
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path)
    assert len(rows) == 12
    assert rows.ok.all()
    assert set(rows.prompt_tokens) == {PROMPT_TOKENS}
    assert set(rows.output_tokens) == {4}
    assert (rows.ttft_s >= 0.01).all()
    assert (rows.tpot_s > 0.005).all()
    assert "12 measured, 0 failed" in ran.out
    assert ran.out.endswith(
        f"Next: planner calibrate fit {tmp_path}/rows.csv --device DEVICE --engine ENGINE\n"
    )


def test_what_was_measured_as_json_is_as_that_of_an_import(tmp_path):
    with Server() as server:
        ran = measure(server, tmp_path, "--json")
    printed = json.loads(ran.out)
    schema = json.loads(result_schema_text("import"))
    jsonschema.Draft202012Validator(schema).validate(printed)
    assert printed["format"] == "endpoint"
    assert len(printed["rows"]) == printed["runs"][0]["counts"]["measured"] == 12
    assert printed["notices"][-1]["message"].startswith("the client sent 99 %")


def test_what_is_asked_for(tmp_path):
    with Server() as server:
        assert measure(server, tmp_path / "a").code == 0
        assert measure(server, tmp_path / "b", "--api", "chat", "--no-ignore-eos").code == 0
    plain, chat = server.bodies[-13 - 15], server.bodies[-1]
    assert plain["model"] == "small"
    assert (plain["max_tokens"], plain["stream"], plain["ignore_eos"]) == (4, True, True)
    assert len(plain["prompt"].split()) == 5
    assert plain["stream_options"] == {"include_usage": True}
    assert "ignore_eos" not in chat
    assert chat["messages"][0]["role"] == "user"
    prompts = [body["prompt"] for body in server.bodies if "prompt" in body]
    assert len(set(prompts[3:])) > 6, "a cache of prefixes must not help"
    assert rows_of(tmp_path / "b").ok.all()


def test_several_rates_are_runs_with_poisson_arrivals(tmp_path, simulate):
    few = ("--rate", "100", "--rate", "400", "--requests", "100")
    with Server() as server:
        ran = measure(server, tmp_path, few=few)
    assert ran.code == 0, ran.err
    rows = rows_of(tmp_path)
    assert rows.run_names == ("rate 100.0", "rate 400.0")
    for rate, name in zip((100, 400), rows.run_names, strict=True):
        journal = list(map(json.loads, (tmp_path / "requests.jsonl").read_text().splitlines()))
        due = sorted(
            each["scheduled_s"] for each in journal if each.get("run") == name and "ttft_s" in each
        )
        gaps = np.diff([0, *due])
        assert np.mean(gaps) * rate == pytest.approx(1, abs=0.5)
        assert np.std(gaps) * rate == pytest.approx(1, abs=0.6)
    one = planner(
        "import", tmp_path / "rows.csv", "--run", "rate 100.0", "-o", tmp_path / "one.csv"
    )
    assert one.code == 0
    replayed = simulate(TRACE, "traffic.arrivals.path=one.csv", args=("-q", "--json"))
    assert json.loads(replayed.out)["requests"]["arrived"] == 100


def test_lengths_come_from_a_scenario(tmp_path):
    text = (
        "name: lengths\ntraffic:\n  duration: 90 s\n  arrivals: {kind: poisson, rate: 5 req/s}\n"
        "  lengths: {kind: uniform, prompt: {min: 2, max: 9}, output: {min: 1, max: 3}}\n"
        "service: {kind: llm, model: llama-3.1-8b}\nfleet: {device: H100-SXM-80GB}\n"
    )
    (tmp_path / "s.yaml").write_text(text)
    with Server() as server:
        ran = measure(server, tmp_path, lengths=("--scenario", tmp_path / "s.yaml"))
    assert ran.code == 0, ran.err
    sizes = {len(body["prompt"].split()) for body in server.bodies}
    assert sizes <= set(range(2, 10))
    assert len(sizes) > 2
    assert {body["max_tokens"] for body in server.bodies} <= {1, 2, 3}


def test_without_the_servers_count_events_are_counted(tmp_path):
    with Server("no usage") as server:
        ran = measure(server, tmp_path)
    assert "12 answers whose tokens the server did not count" in ran.out
    assert set(rows_of(tmp_path).output_tokens) == {4}
    assert set(rows_of(tmp_path).prompt_tokens) == {0}


SECRET = "sk-very-secret-0123456789"  # noqa: S105 - of nobody


@pytest.mark.parametrize("mood", ["good", "status 500", "echo", "disconnect"])
def test_the_key_is_sent_and_nowhere_else(tmp_path, monkeypatch, mood):
    monkeypatch.setenv("MY_KEY", SECRET)
    with Server(mood, after=5, key=SECRET) as server:
        ran = measure(server, tmp_path, "--key-env", "MY_KEY")
    assert ran.code == (0 if mood == "good" else 2)
    assert all(each["Authorization"] == f"Bearer {SECRET}" for each in server.headers)
    assert SECRET not in ran.out + ran.err
    for file in tmp_path.iterdir():
        assert SECRET not in file.read_text()
    assert "import its rows.csv" in refused(planner("import", tmp_path / "requests.jsonl"))
    assert SECRET not in repr(Target("http://x/v1", "chat", "m", False, 1.0, SECRET))


@pytest.mark.parametrize("padding", range(140, 200, 6))
def test_no_part_of_the_key_is_left_where_a_message_is_cut(tmp_path, monkeypatch, padding):
    monkeypatch.setenv("MY_KEY", SECRET)
    with Server("echo", key=SECRET, padding=padding) as server:
        ran = measure(server, tmp_path, "--key-env", "MY_KEY")
    assert "error in the stream" in refused(ran)
    assert SECRET[:6] not in ran.out + ran.err


@pytest.mark.parametrize("key", ['a"b\\c/d', "x+y=z&w"])
def test_the_key_is_hidden_as_json_and_addresses_write_it(key):
    target = Target("http://x/v1", "chat", "m", False, 1.0, key)
    for form in (key, json.dumps(key), quote(key), quote_plus(key)):
        assert key[-3:] not in target.without_key(f"said {form}")


@pytest.mark.parametrize("model", [(), ("--model", "small")])
def test_a_redirect_does_not_carry_the_key_to_another_host(tmp_path, monkeypatch, model):
    monkeypatch.setenv("MY_KEY", SECRET)
    with Server() as other, Server("redirect", elsewhere=other.url) as server:
        ran = measure(server, tmp_path, "--key-env", "MY_KEY", *model)
    assert "HTTP 307" in refused(ran)
    assert server.paths
    assert not other.paths
    assert SECRET not in ran.out + ran.err


def test_a_silent_server_is_given_up_when_the_time_is_over_whatever_an_answer_may_take(tmp_path):
    few = ("--rate", "100", "--requests", "2", "--timeout", "3600", "--max-seconds", "1")
    with Server("silent") as server:
        assert "no complete answer within" in refused(measure(server, tmp_path, few=few))
    assert len(server.bodies) == 1


def test_a_wrong_key_or_none_ends_it_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_KEY", "wrong-key")
    with Server(key=SECRET) as server:
        said = refused(measure(server, tmp_path))
        assert "must accept the key, got HTTP 401; see --key-env" in said
        said = refused(measure(server, tmp_path, "--key-env", "MY_KEY", "--model", "small"))
        assert "must answer, got HTTP 401: bad key Bearer ***; see --key-env" in said
    assert len(server.bodies) == 1
    said = refused(measure(server, tmp_path, "--key-env", "NO_SUCH_KEY"))
    assert said.startswith("--key-env: must name a variable that is set, got 'NO_SUCH_KEY'")


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("status 500", "HTTP 500: failed"),
        ("status 404", "HTTP 404: failed; None; see --model and --api"),
        ("status 400", "HTTP 400: failed; None; try --no-ignore-eos"),
        ("malformed", "malformed event"),
        ("in-stream error", 'error in the stream: {"message": "out of memory"}'),
        ("disconnect", "ClientPayloadError"),
        ("cut", "the stream ended before the answer"),
        ("no stream", "no token in the answer; is it a stream?"),
        ("redirect", "HTTP 307"),
        ("silent", "no complete answer within 0.5 s"),
        ("stall", "no complete answer within 0.5 s"),
        ("garbage", "malformed event"),
        ("huge", "event of more than 1,048,576 bytes"),
        ("status 429", "HTTP 429: failed; None; the server limits requests: wait, and lower"),
    ],
)
def test_a_server_that_cannot_answer_is_found_out_before_the_sweep(tmp_path, mood, said):
    with Server(mood) as server:
        args = ("--timeout", "0.5", "--model", "small")
        assert said in refused(measure(server, tmp_path, *args))
    assert len(server.bodies) == 1
    assert not (tmp_path / "rows.csv").exists()


@pytest.mark.parametrize(
    "mood",
    ["status 503", "status 429", "disconnect", "malformed", "cut", "silent", "stall", "garbage"],
)
def test_failures_on_the_way_stop_the_sweep_and_what_was_measured_is_kept(tmp_path, mood):
    few = ("--rate", "300", "--requests", "60", "--timeout", "0.5")
    with Server(mood, after=3 + 20) as server:
        ran = measure(server, tmp_path, few=few)
    assert "requests failed, one with: " in refused(ran)
    assert "what was measured is kept" in ran.err
    rows = rows_of(tmp_path)
    assert 15 <= int(rows.ok.sum()) <= 20
    assert 0 < int((~rows.ok).sum()) <= 40


def test_a_few_failures_are_counted_and_do_not_stop_it(tmp_path):
    with Server("status 503", after=3 + 11) as server:
        ran = measure(server, tmp_path, "--max-failures", "0.2")
    assert ran.code == 0, ran.err
    assert "11 measured, 1 failed" in ran.out


def test_a_slow_server_is_given_up_when_too_many_wait(tmp_path):
    few = ("--rate", "300", "--requests", "60", "--max-in-flight", "8")
    with Server("silent", after=3) as server:
        said = refused(measure(server, tmp_path, few=few))
    assert "must keep up with 300 requests/s, got 8 without an answer" in said


def test_time_is_bounded(tmp_path):
    few = ("--rate", "20", "--requests", "10", "--max-seconds", "1.5")
    with Server("silent", after=3 + 2) as server:
        ran = measure(server, tmp_path, few=few)
    assert ran.code == 0, ran.err
    assert "not measured to the end: rate 20.0" in ran.out
    rows = rows_of(tmp_path)
    assert int(rows.ok.sum()) == 2
    assert len(rows) <= 10


def test_a_sweep_beyond_its_bounds_is_refused_before_it_begins(tmp_path):
    with Server() as server:
        said = refused(measure(server, tmp_path, "--max-requests", "11"))
        assert said.startswith("--max-requests: must be at least rates times --requests, 12")
        said = refused(measure(server, tmp_path, few=("--rate", "0.01", "--requests", "200")))
        assert said.startswith("--max-seconds: must be at least the time it takes to send all")
    assert not server.bodies


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--rate", "0"), "--rate: must be > 0"),
        (("--rate", "nan"), "--rate: must be > 0"),
        (("--rate", "5", "--timeout", "-1"), "--timeout: must be > 0"),
        (("--rate", "5", "--prompt-tokens", "5"), "must be given both, or neither"),
        (("--rate", "5"), "must be given both, or neither and --scenario"),
        (("--rate", "5", "--scenario", "no_such"), "no_such"),
        (("--rate", "5", *LENGTHS, "--out", "/dev/null/x"), "--out must be a folder"),
    ],
)
def test_wrong_options_are_refused(args, said):
    assert said in refused(planner("calibrate", "endpoint", "http://127.0.0.1:9", *args))


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://x",
        "http://",
        "http://u:p@x",
        "http://x?key=1",
        "http://x:99999",
        "x",
    ],
)
def test_wrong_addresses_are_refused_without_repeating_secrets(url):
    with pytest.raises(InputError) as caught:
        api_url(url)
    assert str(caught.value).startswith("URL: must be an address as http://localhost:8000")
    assert "u:p" not in str(caught.value)
    assert "key=1" not in str(caught.value)


def test_addresses_may_end_with_the_version_or_not():
    assert api_url("http://x:8/v1/") == api_url("http://x:8") == "http://x:8/v1"


def test_no_server_several_models_or_none(tmp_path):
    said = refused(
        planner("calibrate", "endpoint", "http://127.0.0.1:9", *FEW, *LENGTHS, "--out", tmp_path)
    )
    assert said.startswith("http://127.0.0.1:9/v1: must be a server that answers, got ")
    for models in ((), ("a", "b")):
        with Server(models=models) as server:
            assert "must name one model" in refused(measure(server, tmp_path))


def test_what_was_measured_is_not_measured_again(tmp_path):
    few = ("--rate", "200", "--rate", "300", "--requests", "12")
    with Server("status 503", after=3 + 12 + 3) as server:
        assert measure(server, tmp_path, few=few).code == 2
        first = rows_of(tmp_path).of_run("rate 200.0")
        server.mood, asked = "good", len(server.bodies)
        with (tmp_path / "requests.jsonl").open("a") as journal:
            journal.write('{"kind": "request", "run": "torn')
        ran = measure(server, tmp_path, few=few)
        assert ran.code == 0, ran.err
        assert len(server.bodies) == asked + 3 + 12, "warm-up and the run that failed"
        assert measure(server, tmp_path, few=few).code == 0
        assert len(server.bodies) == asked + 3 + 12, "nothing left to measure"
        said = refused(measure(server, tmp_path, few=(*few, "--seed", "2")))
    assert "requests.jsonl:1: must be continued with the options it was begun with" in said
    rows = rows_of(tmp_path)
    assert rows.ok.all()
    assert len(rows) == 24
    np.testing.assert_array_equal(rows.of_run("rate 200.0").e2e_s, first.e2e_s)


def test_a_journal_that_is_none_is_refused(tmp_path):
    (tmp_path / "requests.jsonl").write_text("something else\n")
    with Server() as server:
        assert "requests.jsonl:1: must be a record of a sweep" in refused(measure(server, tmp_path))


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interrupt_keeps_what_was_measured(tmp_path, name, code):
    with Server("silent", after=3 + 5) as server:
        running = process(
            "calibrate", "endpoint", server.url, "--rate", "50", "--requests", "100", *LENGTHS,
            "--out", tmp_path,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while len(server.bodies) < 12:
            assert time.monotonic() < deadline
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        running.send_signal(getattr(signal, name))
        ran = finish(running)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    rows = rows_of(tmp_path)
    assert int(rows.ok.sum()) == 5


def test_without_aiohttp_the_extra_is_named(tmp_path):
    before = "sys.modules['aiohttp'] = None"
    args = ("calibrate", "endpoint", "http://x", *FEW, *LENGTHS, "--out", tmp_path)
    ran = finish(process(*args, before=before))
    assert ran.code == 2
    assert "this needs the package 'aiohttp'; pip install 'latency-planner[endpoint]'" in ran.err
    assert not list(tmp_path.iterdir())


def test_an_endpoint_is_measured_without_torch(tmp_path):
    with Server() as server:
        ran = finish(
            process(
                "calibrate", "endpoint", server.url, *FEW, *LENGTHS, "--out", tmp_path,
                before="sys.modules['torch'] = None",
            )
        )  # fmt: skip
    assert ran.code == 0, ran.err


KEYS = (
    "choices", "text", "delta", "content", "usage", "error", "finish_reason", "prompt_tokens",
    "completion_tokens",
)  # fmt: skip
events = st.one_of(
    st.sampled_from([b"data: [DONE]\n", b"\n", b": ping\n", b"event: x\n", b"data:\n"]),
    st.binary(max_size=30),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(KEYS), inner
        ),
        max_leaves=6,
    ).map(lambda value: f"data: {json.dumps(value)}\n".encode()),
)  # fmt: skip


@given(stream=st.lists(events, max_size=6).map(b"".join), size=st.integers(1, 40))
def test_any_stream_is_an_answer_or_none_however_it_is_cut(stream, size):
    def read(pieces):
        answer = StreamedAnswer()
        try:
            for piece in pieces:
                answer.feed(piece, 1.0)
        except StreamError as error:
            return str(error)
        return (answer.events, answer.prompt_tokens, answer.output_tokens, answer.done)

    whole = read([stream])
    assert read([stream[k : k + size] for k in range(0, len(stream), size)]) == whole


def test_endless_events_are_cut_short():
    answer = StreamedAnswer()
    answer.feed(b"x" * MAX_EVENT, 0.0)
    with pytest.raises(StreamError, match="event of more than"):
        answer.feed(b"x", 0.0)
    with pytest.raises(StreamError, match="malformed"):
        StreamedAnswer().feed(b"data: " + b"[" * 100_000 + b"\n", 0.0)


def test_a_fault_of_ours_shows_no_key_in_its_traceback(tmp_path, monkeypatch):
    async def broken(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("calibrate.endpoint.drive.ask", broken)
    monkeypatch.setenv("MY_KEY", SECRET)
    monkeypatch.setenv("PLANNER_DEBUG", "1")
    with Server(key=SECRET) as server:
        ran = measure(server, tmp_path, "--key-env", "MY_KEY")
    assert ran.code == 1
    assert "RuntimeError: broken" in ran.err
    assert SECRET not in ran.out + ran.err
