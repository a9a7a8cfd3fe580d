"""How far many recordings are, by what is known of their lengths -> how fast it goes and how long it will take."""

from dataclasses import dataclass


@dataclass
class _Running:
    done: float = 0.0
    whole: float | None = None


class Pace:
    """Counts files and seconds of media; the clock is the caller's."""

    def __init__(self, num_files: int, now: float) -> None:
        """Begin.

        Args:
            num_files: in all.
            now: seconds.
        """
        self._left = num_files
        self._begin = now
        self._running: dict[int, _Running] = {}
        self._ended_files = 0
        self._ended_seconds = 0.0
        self._known: list[float] = []

    def skip(self) -> None:
        """Count a file as nothing to do."""
        self._left -= 1

    def begin(self, number: int) -> None:
        """Count a file as running."""
        self._running[number] = _Running()

    def go_on(self, number: int, done: float, whole: float | None) -> None:
        """Note how many seconds of a running file are done, of how many where that is known."""
        self._running[number] = _Running(done, whole)

    def end(self, number: int, seconds: float | None) -> None:
        """Count a file as done; `seconds` is its length, None where it failed."""
        running = self._running.pop(number)
        self._left -= 1
        self._ended_files += 1
        self._ended_seconds += running.done if seconds is None else seconds
        if seconds is not None:
            self._known.append(seconds)

    def speed(self, now: float) -> float:
        """Return seconds of media per second, of all files together."""
        return self._media() / max(now - self._begin, 1e-3)

    def seconds_left(self, now: float) -> float | None:
        """Return an estimate; None while nothing is known.

        It goes by seconds of media where the length of any file is known, and takes the others for as long as those
        are in the mean; else by files.
        """
        elapsed = now - self._begin
        lengths = [*self._known, *(each.whole for each in self._running.values() if each.whole is not None)]
        if lengths and self._media() > 0:
            mean = sum(lengths) / len(lengths)
            begun = sum(max(0.0, (each.whole or mean) - each.done) for each in self._running.values())
            return (begun + (self._left - len(self._running)) * mean) * elapsed / self._media()
        return elapsed / self._ended_files * self._left if self._ended_files else None

    def _media(self) -> float:
        return self._ended_seconds + sum(each.done for each in self._running.values())
