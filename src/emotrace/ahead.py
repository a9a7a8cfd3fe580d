"""An iterator -> the same items, made in a thread that works ahead of whoever takes them."""

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar, cast

Item = TypeVar("Item")
_WAIT_SECONDS = 0.1
"""How often a thread that nobody takes from looks whether it is still wanted."""


class _Failure:
    """An error that the items ended with."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def ahead(items: Iterator[Item], num_items: int) -> Generator[Item, None, None]:
    """Yield the items in their order, up to `num_items` of them made before they are taken.

    The thread starts with the call, not when the first item is taken. Worth it where making and taking both leave
    Python's lock alone, as decoders and networks do. An error of the items is raised where it stands among them. When
    the taker stops early, the thread ends and the items are closed before this returns.

    Args:
        items: are advanced in the thread alone.
        num_items: at least 1; they wait in memory.
    """
    waiting: queue.Queue[object] = queue.Queue(num_items)
    taken = _taken(items, waiting)
    next(taken)
    return taken


def _taken(items: Iterator[Item], waiting: "queue.Queue[object]") -> Generator[Item, None, None]:
    """Start the thread, yield something that is no item, then the items."""
    unwanted = threading.Event()
    thread = threading.Thread(target=_make, args=(items, waiting, unwanted), name="emotrace-ahead", daemon=True)
    thread.start()
    try:
        yield cast(Item, None)
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield cast(Item, item)
    finally:
        unwanted.set()
        thread.join()


def _make(items: Iterator[object], waiting: "queue.Queue[object]", unwanted: threading.Event) -> None:
    last: object = _END
    try:
        for item in items:
            if not _put(item, waiting, unwanted):
                break
        getattr(items, "close", lambda: None)()  # of a generator; others have nothing to close
    except BaseException as error:  # whatever it is, it belongs to the thread that takes
        last = _Failure(error)
    _put(last, waiting, unwanted)


def _put(item: object, waiting: "queue.Queue[object]", unwanted: threading.Event) -> bool:
    while not unwanted.is_set():
        try:
            waiting.put(item, timeout=_WAIT_SECONDS)
        except queue.Full:
            continue
        return True
    return False
