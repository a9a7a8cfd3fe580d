"""Tasks -> events, at one place of a cluster: what runs on its nodes. It knows nothing of Ray."""

import socket
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from emotrace import __version__
from emotrace.app import ledger
from emotrace.app.inputs import Job
from emotrace.app.job import Outcome, Task, Wishes, do
from emotrace.app.limits import Limits
from emotrace.app.workers import Begun, Ended, Told, supervise
from emotrace.bundle import Bundle, load_bundle
from emotrace.errors import BundleError, EmotraceError
from emotrace.model_files import cache_folder

Event = Begun | Told | Ended[Outcome]


@dataclass(frozen=True)
class Order:
    """A task on its way to a seat; its wishes are there already.

    Attributes:
        number: of the task.
        job: with absolute paths.
        known: of the task.
        is_seen: whether the process that hands out the work sees the source.
    """

    number: int
    job: Job
    known: str | None
    is_seen: bool


@dataclass(frozen=True)
class Charge:
    """What every seat needs to know.

    Attributes:
        version: of emotrace.
        wishes: of all tasks.
        limits: of each.
        output: folder of the results, absolute.
    """

    version: str
    wishes: Wishes
    limits: Limits
    output: Path


@dataclass(frozen=True)
class News:
    """An event at a seat, and the bytes of every result that was written."""

    event: Event
    sizes: dict[str, int] = field(default_factory=dict)


class Seat:
    """One place of the cluster; runs there, as an actor."""

    def prepare(self, charge: Charge, contents: dict[str, bytes]) -> str | None:
        """Take the charge and the files of the bundle; return why this node cannot be used, None where it can."""
        # The processes that a seat starts would run its main module again, which is Ray's.
        vars(sys.modules["__main__"]).pop("__file__", None)
        if charge.version != __version__:
            return _misfit(f"has emotrace {__version__}, expected {charge.version}: install the same on all nodes")
        if not (charge.output / ledger.NAME).is_file():
            return _misfit(f"does not see {charge.output}: --output must be on a disk that all nodes share")
        try:
            bundle = _at_hand(charge.wishes.bundle, contents)
        except (EmotraceError, OSError) as error:
            return _misfit(f"cannot use the bundle: {error}")
        self._charge = replace(charge, wishes=replace(charge.wishes, bundle=bundle))
        return None

    def begin(self, share: list[Order]) -> News | str | None:
        """Take a share and return the first event; why this node cannot do it; None at its end."""
        for order in share:
            if order.is_seen and not order.job.source.is_file():
                return _misfit(f"does not see {order.job.source}: sources must be on a disk that all nodes share")
        self._numbers = [order.number for order in share]
        tasks = [Task(order.job, self._charge.wishes, order.known) for order in share]
        self._events = supervise(do, tasks, 1, self._charge.limits)
        return self.go_on()

    def go_on(self) -> News | None:
        """Return the next event of the share; None at its end."""
        event = next(self._events, None)
        if event is None:
            return None
        told = replace(event, number=self._numbers[event.number])
        if isinstance(told, Ended) and told.answer is not None:
            return News(told, {name: path.stat().st_size for name, path in told.answer.files.items()})
        return News(told)


def _misfit(words: str) -> str:
    return f"node {socket.gethostname()} {words}"


def _at_hand(bundle: Bundle, contents: dict[str, bytes]) -> Bundle:
    """Return the same bundle from this node's disk: where it lies elsewhere too, or from our cache."""
    with suppress(BundleError):
        found = load_bundle(bundle.folder)
        if found.digest == bundle.digest:
            return found
    folder = cache_folder() / "bundles" / bundle.digest
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            new = Path(scratch) / "new"
            new.mkdir()
            for name, content in contents.items():
                (new / name).write_bytes(content)
            with suppress(OSError):  # another seat was faster
                new.rename(folder)
    found = load_bundle(folder)
    if found.digest != bundle.digest:
        raise BundleError(f"{folder} has another digest than its name: remove it.")
    for name in found.manifest.files:
        found.read(name)
    return found
