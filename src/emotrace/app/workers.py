"""Tasks -> answers, each made in a worker process: what kills a worker costs one task and nothing else."""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection, get_context
from typing import Any, Generic, TypeVar

from emotrace.app.limits import DEFAULT, Limits, words_of_death
from emotrace.app.serving import READY, Answer, Sign, Tell, serve
from emotrace.errors import EmotraceError

TaskT = TypeVar("TaskT")
AnswerT = TypeVar("AnswerT")
_TASKS_PER_WORKER = 100
"""Then it is replaced, so that leaks of decoders do not add up."""
_STARTS_IN_VAIN = 3
_HEARD_BYTES = 4096
_LONGEST_WAIT_SECONDS = 3600.0


@dataclass(frozen=True)
class Begun:
    """A worker has taken the task of this number."""

    number: int


@dataclass(frozen=True)
class Told:
    """The task of this number goes on."""

    number: int
    sign: Sign


@dataclass(frozen=True)
class Ended(Generic[AnswerT]):
    """The task of this number is over.

    Attributes:
        number: of the task.
        answer: what the function returned; None where it did not.
        failure: why there is no answer; None where there is.
    """

    number: int
    answer: AnswerT | None
    failure: str | None = None


def supervise(
    function: Callable[[TaskT, Tell], AnswerT],
    tasks: Sequence[TaskT],
    num_workers: int,
    limits: Limits,
    early: "Worker | None" = None,
    prepare: Callable[[], None] | None = None,
) -> Generator[Begun | Told | Ended[AnswerT], None, None]:
    """Yield what happens to the tasks, in the order of time; closing the iterator ends the workers.

    Args:
        function: of a module, as the workers import it by its name; it gets a task and what to tell its progress.
        tasks: picklable, as are the answers.
        num_workers: processes side by side.
        limits: of each task.
        early: a worker of the same function and preparation that was started before.
        prepare: of a module; called in every worker before its first task.

    Raises:
        EmotraceError: workers cannot be started.
    """
    waiting = deque(enumerate(tasks))
    workers = []
    if early is not None:
        early.limit(limits)
        workers.append(early)
    in_vain = 0
    try:
        while waiting or any(worker.number is not None for worker in workers):
            for worker in workers:
                if waiting and worker.is_free:
                    number, task = waiting.popleft()
                    worker.give(number, task)
                    yield Begun(number)
            idle = sum(worker.number is None for worker in workers)
            wanted = min(num_workers - len(workers), len(waiting) - idle) if in_vain < _STARTS_IN_VAIN else 0
            workers += [Worker(function, limits, prepare) for _ in range(wanted)]
            connection.wait([each for worker in workers for each in worker.watched], _next_look(workers))
            for worker in workers:
                yield from worker.events()
            for worker in [each for each in workers if each.is_over]:
                workers.remove(worker)
                worker.end()
                in_vain += not worker.is_ready
                if in_vain >= _STARTS_IN_VAIN and not workers:
                    raise EmotraceError(f"No worker can be started: {worker.words}.")
    finally:
        for worker in workers:
            worker.end()


def _next_look(workers: "Sequence[Worker]") -> float:
    """Return the seconds until a limit may be reached."""
    return min(_LONGEST_WAIT_SECONDS, max(0.0, min(worker.deadline for worker in workers) - time.monotonic()))


class Worker:
    """One process as the parent sees it; who starts one early ends it.

    Attributes:
        number: of the task that it has; None while it has none.
        is_ready: whether it has started.
        is_over: whether it is dead, or has done its share.
        deadline: monotonic seconds after which it is taken to hang, or its task to take too long.
    """

    def __init__(
        self, function: Callable[[Any, Tell], Any], limits: Limits = DEFAULT, prepare: Callable[[], None] | None = None
    ) -> None:
        """Start it.

        Args:
            function: of a module; does a task.
            limits: of each task, unless `limit` says otherwise later.
            prepare: of a module; called before the first task is taken.
        """
        context = get_context("spawn")
        self._line, theirs = context.Pipe()
        self._stderr, their_stderr = context.Pipe(duplex=False)
        self._process = context.Process(target=serve, args=(theirs, their_stderr, function, limits, prepare))
        with _interrupts_held():
            self._process.start()
        theirs.close()
        their_stderr.close()
        self._limits = limits
        self._said = b""
        self._taken = 0
        self._ends = float("inf")
        self.number: int | None = None
        self.is_ready = False
        self.is_over = False
        self._heard(Sign())

    @property
    def is_free(self) -> bool:
        """Whether it waits for a task."""
        return self.is_ready and not self.is_over and self.number is None

    @property
    def watched(self) -> list[Any]:
        """What to wait on."""
        stderr = [] if self._stderr.closed else [self._stderr]
        return [self._line, self._process.sentinel, *stderr]

    @property
    def words(self) -> str:
        """Why it died."""
        return words_of_death(self._process.exitcode, self._said.decode(errors="replace"), self._limits)

    def limit(self, limits: Limits) -> None:
        """Bound the tasks that it has not yet got in another way."""
        self._limits = limits
        self._heard(Sign())
        with suppress(OSError):  # it has died, which the next look tells
            self._line.send(limits)

    def give(self, number: int, task: object) -> None:
        """Have it do a task."""
        self.number = number
        self._taken += 1
        self._said = b""
        self._heard(Sign())
        self._ends = float("inf") if self._limits.minutes is None else time.monotonic() + 60 * self._limits.minutes
        with suppress(OSError):  # it has died, which the next look tells
            self._line.send(task)

    def events(self) -> Iterator[Told | Ended[Any]]:
        """Yield what it has told since, and its death or its hanging."""
        self._listen()
        try:
            while not self.is_over and self._line.poll():
                yield from self._understood(self._line.recv())
        except (EOFError, OSError):
            yield from self._buried()
        if not self.is_over and time.monotonic() >= self.deadline:
            yield from self._given_up()

    @property
    def deadline(self) -> float:
        """When to look at it even if it says nothing."""
        return min(self._silent_until, self._ends) if self.number is not None or not self.is_ready else float("inf")

    def _understood(self, message: Any) -> Iterator[Told | Ended[Any]]:
        if message == READY:
            self.is_ready = True
        elif isinstance(message, Sign) and self.number is not None:
            self._heard(message)
            yield Told(self.number, message)
        elif isinstance(message, Answer) and self.number is not None:
            number, self.number = self.number, None
            self.is_over = message.is_crowded or self._taken >= _TASKS_PER_WORKER
            yield Ended(number, message.answer, message.failure)

    def _heard(self, sign: Sign) -> None:
        self._silent_until = time.monotonic() + self._limits.silence_seconds + sign.patience

    def _listen(self) -> None:
        """Keep the last of what the libraries in it wrote on stderr."""
        with suppress(OSError):
            while not self._stderr.closed and self._stderr.poll():
                chunk = os.read(self._stderr.fileno(), _HEARD_BYTES)
                if not chunk:
                    self._stderr.close()
                    return
                self._said = (self._said + chunk)[-_HEARD_BYTES:]

    def _buried(self) -> Iterator[Ended[Any]]:
        self._process.join(timeout=5)
        self._listen()
        self.is_over = True
        if self._process.exitcode is None:  # it has closed its line and lives
            self._process.kill()
            self._process.join()
        if self.number is not None:
            number, self.number = self.number, None
            yield Ended(number, None, self.words)

    def _given_up(self) -> Iterator[Ended[Any]]:
        too_long = time.monotonic() >= self._ends
        self.end()
        if self.number is not None:
            number, self.number = self.number, None
            if too_long:
                words = f"it took more than the {self._limits.minutes:g} minutes that --max-minutes allows"
            else:
                words = f"nothing of it was read for {self._limits.silence_seconds / 60:.3g} minutes: the decoder hangs"
            yield Ended(number, None, words)

    def end(self) -> None:
        """Kill it; an idle one has nothing to lose."""
        self.is_over = True
        self._process.kill()
        self._process.join()
        self._line.close()
        self._stderr.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block SIGINT meanwhile: a process that is started now never gets any, although the terminal sends it to all."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
