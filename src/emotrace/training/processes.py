"""Work -> the same work in several processes that can talk to each other, on one machine or on several.

On one machine they meet in a file. On several, every machine runs the same command, and the environment says where they
meet and which machine this is: MASTER_ADDR, MASTER_PORT and NODE_RANK, as for `torchrun`.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing.spawn import ProcessContext, ProcessException, start_processes

from emotrace.errors import EmotraceError
from emotrace.writing import atomic_path

_PLACE = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
_LONGEST_WAIT = timedelta(minutes=30)
"""For the other processes: some may still make features that others have made."""
_GRACE_SECONDS = 5
"""In which the others may end by themselves when one has failed."""


@dataclass(frozen=True)
class Group:
    """How many processes work together.

    Attributes:
        processes: on each machine.
        nodes: machines.
    """

    processes: int
    nodes: int = 1

    @property
    def world(self) -> int:
        """Number of all processes."""
        return self.processes * self.nodes

    @property
    def backend(self) -> str:
        """By which they talk: nccl where each has a GPU of its own, else gloo on the CPU."""
        return "nccl" if self.has_gpus else "gloo"

    @property
    def has_gpus(self) -> bool:
        """Whether each process of this machine has a GPU of its own."""
        return torch.cuda.device_count() >= self.processes


def why_no_group(group: Group) -> str | None:
    """Return why the environment does not fit several machines; None where it does."""
    if group.nodes == 1:
        return None
    missing = [name for name in _PLACE if not os.environ.get(name)]
    if missing:
        return (
            f"nodes={group.nodes} needs {', '.join(missing)} in the environment: address and port of the first "
            "machine, and the number of this one, from 0."
        )
    if not os.environ["NODE_RANK"].isdigit() or int(os.environ["NODE_RANK"]) >= group.nodes:
        return f"NODE_RANK={os.environ['NODE_RANK']}: expected a number from 0 to {group.nodes - 1}."
    if not os.environ["MASTER_PORT"].isdigit():
        return f"MASTER_PORT={os.environ['MASTER_PORT']}: expected the number of a port that is free."
    if os.environ.get("WORLD_SIZE", str(group.world)) != str(group.world):
        return (
            f"WORLD_SIZE={os.environ['WORLD_SIZE']}, but the settings say {group.world}: let them agree, or unset it."
        )
    return None


def current_group() -> Group | None:
    """Return the group that this process is one of; None where it works alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return None
    processes = int(os.environ["LOCAL_WORLD_SIZE"])
    return Group(processes, distributed.get_world_size() // processes)


def is_first_of_node() -> bool:
    """Tell whether this process writes what its machine keeps: the first of a machine does, and one that is alone."""
    return current_group() is None or os.environ["LOCAL_RANK"] == "0"


def run_together(work: Callable[..., None], arguments: tuple[Any, ...], group: Group) -> None:
    """Run `work(*arguments)` in every process of this machine's part of a group, and wait for all.

    Args:
        work: a function of a module; it and its arguments travel to new processes.
        arguments: small: files are read by each process for itself.
        group: all of them; the other machines start their own part.

    Raises:
        EmotraceError: a process failed or was killed; the others have ended too.
    """
    with TemporaryDirectory(prefix="emotrace-") as meeting:
        shared = (group, str(Path(meeting) / "meeting"), work, arguments)
        # What a batch leaves out is looked for in all of them; torch would tell of it where it finds nothing.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        # Spawned, not forked: a forked one could wait for ever for a lock that a thread of this process holds.
        start: Callable[..., Any] = start_processes  # torch has no types for it
        context = start(_join, shared, group.processes, join=False, start_method="spawn")
        assert isinstance(context, ProcessContext)
        try:
            while not context.join(grace_period=_GRACE_SECONDS):
                pass
        except ProcessException as error:
            raise EmotraceError(_told(error, context, group)) from error
        finally:
            _end(context)


def _end(context: ProcessContext) -> None:
    """End what still runs, which is nothing unless this process was interrupted."""
    for process in context.processes:
        if process.is_alive():
            process.kill()
        process.join()


def _told(error: ProcessException, context: ProcessContext, group: Group) -> str:
    codes = [process.exitcode or 0 for process in context.processes]
    # What is ended because of another's failure gets SIGTERM, or fails as the other does not answer.
    killed = [place for place, code in enumerate(codes) if code < 0 and code != -signal.SIGTERM]
    again = "The same command goes on from the last whole epoch, also with another number of processes."
    if killed:
        name = signal.Signals(-codes[killed[0]]).name
        return (
            f"Process {killed[0] + 1} of the {group.processes} that trained together was ended by {name}, perhaps for "
            f"want of memory, and so the others were ended too. {again}"
        )
    # What a process raises arrives as the text of its traceback, its last line being the error.
    last = str(error).strip().splitlines()[-1].strip()
    name, _, reason = last.partition(": ")
    if name.startswith("emotrace."):
        return reason
    lost = "contact to another process was lost, or " if "gloo" in last or "onnection" in last else ""
    return (
        f"Process {error.error_index + 1} of the {group.processes} that trained together failed: {lost}{last} {again}"
    )


def _join(place: int, group: Group, meeting: str, work: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Be one process of a group."""
    node = int(os.environ["NODE_RANK"]) if group.nodes > 1 else 0
    rank = node * group.processes + place
    os.environ |= {
        "LOCAL_RANK": str(place),
        "LOCAL_WORLD_SIZE": str(group.processes),
        "NODE_RANK": str(node),
        "RANK": str(rank),
        "WORLD_SIZE": str(group.world),
    }
    if group.nodes == 1:  # by the machine's own name they would not find each other where it has no address
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    if group.has_gpus:
        torch.cuda.set_device(place)
    distributed.init_process_group(
        group.backend,
        init_method=f"file://{meeting}" if group.nodes == 1 else "env://",
        rank=rank,
        world_size=group.world,
        timeout=_LONGEST_WAIT,
    )
    with ExitStack() as stack:
        if place:  # all would say the same
            stack.enter_context(redirect_stderr(stack.enter_context(Path(os.devnull).open("w"))))
        work(*arguments)
        # One that has ended must not take those that still write with it.
        distributed.barrier()
    distributed.destroy_process_group()


def give_to_all_nodes(path: Path) -> bool:
    """Copy a file of the first process to the same place on the other machines; return whether there is one.

    Where they share a disk, it is written over by itself.
    """
    group = current_group()
    assert group is not None
    device = torch.device("cuda", torch.cuda.current_device()) if group.has_gpus else torch.device("cpu")
    is_giver = distributed.get_rank() == 0
    content = bytearray(path.read_bytes()) if is_giver and path.is_file() else bytearray()
    size = torch.tensor(len(content), device=device)
    distributed.broadcast(size, src=0)
    if size == 0:
        return False
    if group.nodes > 1:
        given = torch.frombuffer(content, dtype=torch.uint8) if is_giver else torch.empty(int(size), dtype=torch.uint8)
        given = given.to(device)
        distributed.broadcast(given, src=0)
        if is_first_of_node() and not is_giver:
            with atomic_path(path) as temporary:
                temporary.write_bytes(given.cpu().numpy().tobytes())
        distributed.barrier()
    return True
