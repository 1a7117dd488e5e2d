"""Where evaluations run: in this process, on all cores, or on a Dask cluster."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from planner.errors import InputError
from planner.planning.evaluation import Evaluator
from planner.planning.processes import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from planner.catalog.profile import Profile
    from planner.planning.candidate import Candidate
    from planner.planning.store import Store
    from planner.planning.workload import Workload

#: How long to wait for a scheduler to answer [s].
PATIENCE_S = 5.0
#: Where evaluations can run.
Backend = Literal["loky", "dask"]


@dataclass(frozen=True)
class Setup:
    """What every process has to know: traffic, objectives and profile.

    Parameters
    ----------
    workload : Workload
        Traffic and objectives.
    profile : Profile or None
        Of the scenario; None for the one that is fitted to each device.
    digest : str
        Identifies both.
    """

    workload: Workload
    profile: Profile | None
    digest: str


@dataclass(frozen=True)
class Done:
    """What came of a piece of work.

    Parameters
    ----------
    result : object
        What the function returned.
    new : mapping
        Evaluations that it made, for the store.
    """

    result: Any
    new: Mapping[str, Any]


#: The evaluator of this process.
_EVALUATORS: dict[str, Evaluator] = {}


def _work(
    setup: Setup, known: Mapping[str, Any], function: Callable[..., Any], args: tuple[Any, ...]
) -> Done:
    """Run ``function(evaluator, *args)`` in whatever process this is."""
    if setup.digest not in _EVALUATORS:
        _EVALUATORS.clear()
        _EVALUATORS[setup.digest] = Evaluator(setup.workload, setup.profile)
    evaluator = _EVALUATORS[setup.digest]
    evaluator.known.update(known)
    evaluator.new = {}
    result = function(evaluator, *args)
    return Done(result, evaluator.new)


class Runner:
    """Runs pieces of work and keeps what they evaluated.

    Parameters
    ----------
    setup : Setup
        For every process.
    store : Store
        Keeps the evaluations.
    jobs : int
        Processes; 1 works in this one.
    backend : {"loky", "dask"}
        Processes of this machine, or a cluster.
    scheduler : str, optional
        Address of the cluster, ``tcp://host:port``.
    """

    def __init__(
        self,
        setup: Setup,
        store: Store,
        *,
        jobs: int = 1,
        backend: Backend = "loky",
        scheduler: str | None = None,
    ) -> None:
        self.setup, self.store = setup, store
        self._jobs, self._backend, self._scheduler = jobs, backend, scheduler
        self._parallel: Any = None

    @contextlib.contextmanager
    def started(self) -> Iterator[Runner]:
        """Start the processes, or connect to the cluster, and let go of them at the end.

        Raises
        ------
        InputError
            If the cluster cannot be reached.
        """
        with contextlib.ExitStack() as stack:
            if self._backend == "dask":
                import joblib  # noqa: PLC0415 - not needed in one process

                stack.enter_context(_cluster(self._scheduler))
                self._parallel = stack.enter_context(
                    joblib.Parallel(n_jobs=-1, return_as="generator")
                )
            elif self._jobs > 1:
                self._parallel = stack.enter_context(processes(self._jobs, "generator"))
            yield self
        self._parallel = None

    def with_setup(self, setup: Setup) -> Runner:
        """Return a runner for other objectives that shares processes and store."""
        other = Runner(setup, self.store, jobs=self._jobs, backend=self._backend)
        other._parallel = self._parallel
        return other

    def map(
        self, function: Callable[..., Any], rows: Sequence[tuple[Candidate | None, tuple[Any, ...]]]
    ) -> Iterator[Any]:
        """Yield what `function` returns for each row, in order; keeps each as it comes.

        Parameters
        ----------
        function : callable
            Called with the evaluator of the process and the arguments of the row; from a module.
        rows : sequence of (Candidate or None, tuple)
            Whose earlier evaluations to send along, and the arguments.
        """
        # copies: what comes back is added to the store while later rows are still being sent, by
        # a thread of the backend's own
        calls = [
            (self.setup, dict(self.store.known(each.key)) if each else {}, function, args)
            for each, args in rows
        ]
        for done in self._run(calls):
            self.store.add(done.new)
            yield done.result

    def _run(self, calls: Sequence[tuple[Any, ...]]) -> Iterable[Done]:
        if self._parallel is None or len(calls) < 2:
            return (_work(*each) for each in calls)
        from joblib import delayed  # noqa: PLC0415 - not needed in one process

        done: Iterable[Done] = self._parallel(delayed(_work)(*each) for each in calls)
        return done


@contextlib.contextmanager
def _cluster(address: str | None) -> Iterator[None]:
    """Let joblib use the Dask cluster at `address`."""
    if not address:
        raise InputError(
            "--scheduler: must be the address of a Dask scheduler with --backend dask, as "
            "tcp://10.0.0.5:8786, got none; start one with `dask scheduler`"
        )
    _answers(address)
    import joblib  # noqa: PLC0415 - not needed in one process
    from distributed import Client  # noqa: PLC0415 - an extra

    try:
        client = Client(address, timeout=PATIENCE_S)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise _unreachable(address, error) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise InputError(
                f"--scheduler: must be a scheduler with workers, got {address!r} with none; start "
                "them with `dask worker`"
            )
        with joblib.parallel_config(backend="dask"):
            yield


def _answers(address: str) -> None:
    """Refuse an address that nothing listens at, at once and not after many tries."""
    try:
        parts = urlsplit(address if "://" in address else f"tcp://{address}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _unreachable(address, error) from error
    if not host or not port:
        raise _unreachable(address, ValueError("no host and port"))
    try:
        socket.create_connection((host, port), timeout=PATIENCE_S).close()
    except OSError as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> InputError:
    said = str(getattr(error, "strerror", None) or error).rstrip(".")
    return InputError(
        f"--scheduler: must be the address of a running Dask scheduler, as tcp://10.0.0.5:8786, "
        f"got {address!r}: {said}; start one with `dask scheduler`, or leave out --backend dask"
    )
