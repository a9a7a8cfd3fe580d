"""Rows of a recording -> `talk.csv.partial`, which grows while it is analysed, and becomes `talk.csv` at the end."""

import os
from contextlib import suppress
from pathlib import Path

from emotrace.app.inputs import rows_kept
from emotrace.timeline import Timeline, TimelineError
from emotrace.timeline_rows import CsvRows


class GrowingCsv:
    """One such file. What the disk refuses meanwhile fails nothing: then the rows are written at the end, in one go."""

    def __init__(self, path: Path, partial: Path) -> None:
        """Write nothing yet: of what cannot be read at all there should be no file.

        Args:
            path: of the finished file.
            partial: of the file that grows, in the same folder.
        """
        self._path = path
        self._partial = partial
        self._rows: CsvRows | None = None
        self._num_rows = 0
        self._is_whole = True

    def append(self, part: Timeline) -> None:
        """Write the rows of the next part."""
        if not self._is_whole:
            return
        try:
            if self._rows is None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._partial.unlink(missing_ok=True)  # a process that was left behind may still write to an older one
                self._rows = CsvRows(self._partial)
            self._rows.append(part.columns)
            self._num_rows += len(part)
        except OSError:
            self._is_whole = False

    def close(self) -> None:
        """Close the file; what is in it stays."""
        if self._rows is not None:
            with suppress(OSError):
                self._rows.close()

    def kept(self) -> str:
        """Return what to say of the rows that are there although the analysis failed."""
        return "" if self._rows is None else rows_kept(self._partial)

    def become(self, timeline: Timeline) -> None:
        """Give the file its name; the content equals that of `Timeline.to_csv` to the byte.

        Raises:
            TimelineError: the folder or the disk does not allow it.
        """
        self.close()
        if self._is_whole and self._num_rows == len(timeline):
            with suppress(OSError):
                os.replace(self._partial, self._path)
                return
        try:
            timeline.to_csv(self._path)
        except TimelineError as error:
            raise TimelineError(f"{error}{self.kept()}") from error
        with suppress(OSError):
            self._partial.unlink(missing_ok=True)
