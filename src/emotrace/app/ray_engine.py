"""Tasks -> the events of `workers.supervise`, from the machines of a Ray cluster: who dies costs no result.

A seat (`ray_seat.Seat`) is an actor that takes one processor of some node. It gets a share of the tasks and does them
under `supervise`, so that a file that kills a decoder kills neither the seat nor the other files. Of a seat that dies,
the task that it was at and those that it had not begun are done by others. Every seat has one event on its way at most,
whatever the number of tasks.
"""

import logging
import os
import queue
import signal
import socket
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from emotrace import __version__
from emotrace.app.console import note
from emotrace.app.inputs import Job
from emotrace.app.job import Outcome, Task, result_files
from emotrace.app.limits import Limits, usable_cores
from emotrace.app.ray_seat import Charge, Event, News, Order, Seat
from emotrace.app.workers import Begun, Ended
from emotrace.bundle import MANIFEST
from emotrace.errors import EmotraceError, SettingsError
from emotrace.writing import remove_leftovers

_TRIES = 3
"""Of a task whose seat dies, and of starting seats without one that gets to work."""
_LARGEST_SHARE = 16
"""Tasks: the process that does a share starts in a second or two, and other seats wait for none of them."""
_SHARES_PER_SEAT = 4
_OBJECT_STORE_BYTES = 100 * 10**6
"""Of a cluster of our own: more than the bundle never lies there."""
_PATIENCE_SECONDS = 30.0
_KNOCKING_SECONDS = 10.0
_LONGEST_REASON = 300


@dataclass
class _Place:
    """A seat as it is seen from here.

    Attributes:
        actor: its handle.
        share: numbers of the tasks that it has and that are not over.
        current: the one that it is at.
    """

    actor: Any
    share: list[int] = field(default_factory=list)
    current: int | None = None


def spread(
    tasks: Sequence[Task], num_workers: int | None, limits: Limits, address: str | None, output: Path
) -> Generator[Event, None, None]:
    """Yield what happens to the tasks, in the order of time; closing the iterator ends the work on the cluster.

    Args:
        tasks: with the same wishes.
        num_workers: recordings side by side; None for one per processor of the cluster.
        limits: of each task.
        address: of the cluster; None for RAY_ADDRESS, or a cluster on this machine that ends with the iterator.
        output: folder of the results, with the ledger.

    Raises:
        SettingsError: there is no cluster at the address.
        EmotraceError: no node can be used, or no process started there.
    """
    if not tasks:
        return
    with _cluster(address or os.environ.get("RAY_ADDRESS") or "local", num_workers):
        num_seats = min(len(tasks), num_workers or int(ray.cluster_resources().get("CPU", 1)))
        with closing(_Foreman(tasks, max(1, num_seats), limits, output).events()) as events:
            yield from events


@contextmanager
def _cluster(address: str, num_workers: int | None) -> Iterator[None]:
    own: dict[str, Any] = {}
    if address == "local":
        cores = num_workers or usable_cores()
        own = {"num_cpus": cores, "include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _knock(address)
        ray.init(address=address, logging_level=logging.CRITICAL, log_to_driver=False, **own)
    except (OSError, RuntimeError, ValueError) as error:
        ray.shutdown()
        raise SettingsError(
            f"No Ray cluster at {address}: {_one_line(error)}. Start one, or correct the address."
        ) from error
    finally:
        with suppress(ValueError, TypeError):  # not the main thread, or not Python's: nothing was changed
            for number, handler in handlers.items():
                signal.signal(number, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Connect to a HOST:PORT and leave: Ray itself would try for minutes where nobody answers."""
    host, colon, port = address.rpartition(":")
    if colon and "/" not in address:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCKING_SECONDS).close()


class _Foreman:
    """Hands out the tasks and hears of them."""

    def __init__(self, tasks: Sequence[Task], num_seats: int, limits: Limits, output: Path) -> None:
        bundle = tasks[0].wishes.bundle
        files = {name: bundle.read(name) for name in bundle.manifest.files}
        self._contents = ray.put({**files, MANIFEST: (bundle.folder / MANIFEST).read_bytes()})
        self._charge = ray.put(Charge(__version__, tasks[0].wishes, limits, output.absolute()))
        self._tasks = tasks
        self._num_seats = num_seats
        self._waiting = deque(range(len(tasks)))
        self._calls: dict[Future[Any], _Place] = {}
        self._heard: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        self._idle: list[_Place] = []
        self._begun: set[int] = set()
        self._deaths: Counter[int] = Counter()
        self._in_vain = 0
        self._words = ""

    def events(self) -> Generator[Event, None, None]:
        """Yield them until all tasks are over."""
        try:
            while self._waiting or any(place.share for place in self._calls.values()):
                self._hand_out()
                if not self._calls:
                    raise EmotraceError(f"No worker of the Ray cluster can be used: {self._words}")
                call = self._next()
                yield from self._news(self._calls.pop(call), call)
        finally:
            self._end()

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            place = self._idle.pop()
            largest = len(self._waiting) // (_SHARES_PER_SEAT * self._num_seats)
            count = max(1, min(_LARGEST_SHARE, largest))
            place.share = [self._waiting.popleft() for _ in range(min(count, len(self._waiting)))]
            self._call(place, place.actor.begin.remote([self._order(number) for number in place.share]))
        starting = sum(not place.share for place in self._calls.values())
        missing = min(self._num_seats - len(self._calls) - len(self._idle), len(self._waiting) - starting)
        for _ in range(missing if self._in_vain < _TRIES else 0):
            options = {"num_cpus": 1, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
            place = _Place(ray.remote(**options)(Seat).remote())
            self._call(place, place.actor.prepare.remote(self._charge, self._contents))

    def _order(self, number: int) -> Order:
        task = self._tasks[number]
        job = Job(task.job.source.absolute(), task.job.target.absolute())
        return Order(number, job, task.known, task.job.source.is_file())

    def _call(self, place: _Place, answer: Any) -> None:
        future: Future[Any] = answer.future()
        self._calls[future] = place
        future.add_done_callback(self._heard.put)

    def _next(self) -> "Future[Any]":
        """Wait for an answer. Ray's own waiting would swallow what a handler of signals raises."""
        if not self._begun:
            try:
                return self._heard.get(timeout=_PATIENCE_SECONDS)
            except queue.Empty:
                note("The Ray cluster has given no processor yet: still waiting for one.")
        return self._heard.get()

    def _news(self, place: _Place, call: "Future[Any]") -> Iterator[Event]:
        try:
            answer = call.result()
        except RayError as error:
            yield from self._died(place, _one_line(error))
            return
        if isinstance(answer, str):
            self._dismiss(place, answer)
        elif answer is None:
            self._idle.append(place)
        else:
            self._call(place, place.actor.go_on.remote())
            yield from self._event(place, answer)

    def _event(self, place: _Place, news: News) -> Iterator[Event]:
        event = news.event
        if isinstance(event, Begun):
            place.current = event.number
            self._in_vain = 0
            if event.number in self._begun:  # by a seat that died
                return
            self._begun.add(event.number)
        elif isinstance(event, Ended):
            place.current = None
            place.share.remove(event.number)
            event = self._arrived(event, news.sizes)
        yield event

    def _arrived(self, event: Ended[Outcome], sizes: dict[str, int]) -> Ended[Outcome]:
        """Return the end of a task by the names that it has here, after a look at its results."""
        if event.answer is None:
            return event
        task = self._tasks[event.number]
        named = result_files(task.job, task.wishes)
        files = {name: named[name] for name in event.answer.files}
        for name, path in files.items():
            size = path.stat().st_size if path.is_file() else None
            if size != sizes[name]:
                found = "is not seen here" if size is None else f"has {size} bytes here"
                words = (
                    f"{path} {found}, {sizes[name]} bytes were written: --output must be on a disk that all nodes share"
                )
                return Ended(event.number, None, words)
        return replace(event, answer=replace(event.answer, source=task.job.source, files=files))

    def _dismiss(self, place: _Place, words: str) -> None:
        """Do without a seat on a node that cannot be used."""
        if words != self._words:
            note(f"Not used: {words}.")
        self._words = words
        self._num_seats -= 1
        self._waiting.extendleft(reversed(place.share))
        ray.kill(place.actor)

    def _died(self, place: _Place, words: str) -> Iterator[Event]:
        self._words = words
        share, number = place.share, place.current
        if number is None:
            self._in_vain += 1
        else:
            task = self._tasks[number]
            remove_leftovers(result_files(task.job, task.wishes).values())
            self._deaths[number] += 1
            if self._deaths[number] >= _TRIES:
                share.remove(number)
                yield Ended(number, None, f"the Ray workers that read it died, {_TRIES} times; the last: {words}")
        self._waiting.extendleft(reversed(share))
        with suppress(RayError):  # it may only be out of reach
            ray.kill(place.actor)

    def _end(self) -> None:
        """End all seats, and wait until none of them writes any more."""
        for place in [*self._idle, *self._calls.values()]:
            with suppress(RayError):
                ray.kill(place.actor)
        wait(self._calls, timeout=5)


def _one_line(error: BaseException) -> str:
    """Return the telling one of the lines in which Ray says what happened."""
    lines = str(getattr(error, "cause", None) or error).strip().splitlines() or [type(error).__name__]
    return " ".join(lines[-1].rpartition("Worker exit detail: ")[2].split())[:_LONGEST_REASON]
