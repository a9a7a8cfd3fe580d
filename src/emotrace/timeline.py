"""Rows of the analysis -> a table with a meaning for every column, its files and its summary."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emotrace.labels import EMOTIONS
from emotrace.timeline_people import foremost_rows, mean_known, people_of
from emotrace.timeline_rows import CsvRows, plain, slices
from emotrace.timeline_schema import (
    COLUMNS,
    NO_AUDIO_TRACK,
    NO_FACE,
    NO_SPEECH,
    NO_VIDEO_TRACK,
    NOTICES,
    Column,
    Gap,
    Metadata,
    Settings,
    Summary,
    TimelineError,
    find_gaps,
    join_gaps,
)
from emotrace.types import BoolArray
from emotrace.writing import atomic_path

if TYPE_CHECKING:
    import pandas

__all__ = [
    "COLUMNS",
    "NOTICES",
    "NO_AUDIO_TRACK",
    "NO_FACE",
    "NO_SPEECH",
    "NO_VIDEO_TRACK",
    "Column",
    "Gap",
    "Metadata",
    "Settings",
    "Summary",
    "Timeline",
    "TimelineError",
    "find_gaps",
]

_DTYPES: Mapping[str, type[np.generic]] = {
    "number": np.float32,
    "time": np.float64,
    "count": np.int64,
    "flag": np.bool_,
}


_FORMAT = "emotrace-timeline"
_FORMAT_VERSION = 1
_MAX_JSON_BYTES = 1 << 30
"""A recording of 24 h makes about 0.3 GB."""


@dataclass(frozen=True, eq=False)
class Timeline:
    """One row per tick and person, in order of time.

    Attributes:
        columns: [T] per name of `COLUMNS`; any array-like is taken and held read-only in the column's type.
        metadata: where the rows come from.

    Raises:
        TimelineError: a column is missing, unknown, of another length or infinite, or the time falls or is
            unknown.
    """

    columns: Mapping[str, NDArray[Any]]
    metadata: Metadata

    def __post_init__(self) -> None:
        """Bring the columns into their order and types."""
        object.__setattr__(self, "columns", _checked(self.columns))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.columns["time"])

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return one column, [T]."""
        return self.columns[name]

    @classmethod
    def concatenate(cls, parts: Sequence["Timeline"]) -> "Timeline":
        """Join consecutive parts of one analysis; gaps that touch become one, the longest duration counts.

        Raises:
            TimelineError: there is no part, or parts differ in source, bundle or settings, or overlap.
        """
        if not parts:
            raise TimelineError("No part of a timeline was given to join; at least one is needed.")
        first = parts[0].metadata
        for part in parts[1:]:
            other = part.metadata
            for name in ("source", "bundle", "bundle_digest", "emotrace_version", "settings"):
                if getattr(other, name) != getattr(first, name):
                    raise TimelineError(f"Parts of a timeline differ in {name}; join parts of one analysis only.")
        metadata = replace(
            first,
            duration_seconds=max(part.metadata.duration_seconds for part in parts),
            problems=_unique(problem for part in parts for problem in part.metadata.problems),
            gaps=join_gaps([gap for part in parts for gap in part.metadata.gaps]),
            notices=_unique(notice for part in parts for notice in part.metadata.notices),
        )
        columns = {column.name: np.concatenate([part[column.name] for part in parts]) for column in COLUMNS}
        return cls(columns, metadata)

    def summary(self) -> Summary:
        """Return plain Python numbers for the whole recording.

        Shares of voice and face are means of the weights; `face_share` and `speech_share` are shares of the
        ticks. A tick counts as speech unless it lies in a gap "no speech" or "no audio track". The dominant
        emotion has the highest mean probability over the ticks whose probabilities are known. The class of the clip
        is told by bundles that look at a recording as a whole. What was left out with `only` is unknown. Of several
        people every row counts; `people` has what is known of each.
        """
        means = {emotion: mean_known(self[emotion]) for emotion in EMOTIONS}
        known = {emotion: mean for emotion, mean in means.items() if mean is not None}
        settings, only = self.metadata.settings, self.metadata.settings.only
        arousal, valence = self._extremes("arousal"), self._extremes("valence")
        return Summary(
            duration_seconds=round(self.metadata.duration_seconds, 3),
            mean_arousal=mean_known(self["arousal"]),
            peak_arousal=arousal[0],
            peak_arousal_seconds=arousal[1],
            lowest_arousal=arousal[2],
            lowest_arousal_seconds=arousal[3],
            mean_valence=mean_known(self["valence"]),
            peak_valence=valence[0],
            peak_valence_seconds=valence[1],
            lowest_valence=valence[2],
            lowest_valence_seconds=valence[3],
            mean_probability=means,
            dominant_emotion=max(known, key=known.__getitem__) if known else None,
            clip_class=self.metadata.clip_class,
            clip_probabilities=dict(self.metadata.clip_probabilities),
            audio_share=mean_known(self["audio_weight"]),
            video_share=mean_known(self["video_weight"]),
            face_share=None if only == "voice" else self._share_of_time(self["face_detected"]),
            speech_share=None if only == "face" else self._share_of_time(~self.inside(NO_SPEECH, NO_AUDIO_TRACK)),
            people=people_of(self.columns, settings.label_rate_hz) if settings.people == "all" else [],
        )

    def foremost(self) -> "Timeline":
        """Return one row for each tick: where several people are followed, of whoever speaks or did so last."""
        if (np.diff(self["time"]) > 0).all():
            return self
        rows = foremost_rows(self.columns)
        return Timeline({name: column[rows] for name, column in self.columns.items()}, self.metadata)

    def inside(self, *kinds: str) -> BoolArray:
        """Return [T]: whether the row lies in a gap of one of these kinds."""
        time = self["time"]
        found = np.zeros(len(self), dtype=np.bool_)
        for gap in self.metadata.gaps:
            if gap.kind in kinds:
                first, stop = np.searchsorted(time, (gap.start_seconds - 1e-6, gap.end_seconds - 1e-6))
                found[first:stop] = True
        return found

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a data frame with the columns of `COLUMNS`."""
        import pandas  # a third of a second to import: only who asks for a frame pays

        return pandas.DataFrame(dict(self.columns))

    def to_csv(self, path: Path) -> None:
        """Write a header row and the rows; what is unknown is an empty field. JSON has the metadata."""
        with atomic_path(path) as temporary, closing(CsvRows(temporary)) as rows:
            rows.append(self.columns)

    def to_json(self, path: Path) -> None:
        """Write metadata and columns; what is unknown is null."""
        head = {"format": _FORMAT, "version": _FORMAT_VERSION, "metadata": asdict(self.metadata)}
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, allow_nan=False)[:-1] + ', "columns": {')
            for place, column in enumerate(COLUMNS):
                file.write((", " if place else "") + json.dumps(column.name) + ": [")
                for rows in slices(len(self)):
                    file.write(", " if rows.start else "")
                    file.write(json.dumps(plain(column, self[column.name][rows]), allow_nan=False)[1:-1])
                file.write("]")
            file.write("}}")

    def to_parquet(self, path: Path) -> None:
        """Write unrounded columns, with the metadata as JSON under "emotrace" in the schema."""
        import pyarrow
        import pyarrow.parquet

        arrays = {name: pyarrow.array(column, from_pandas=True) for name, column in self.columns.items()}
        metadata = json.dumps(asdict(self.metadata), allow_nan=False)
        table = pyarrow.table(arrays).replace_schema_metadata({"emotrace": metadata})
        with atomic_path(path) as temporary:
            pyarrow.parquet.write_table(table, temporary)

    @classmethod
    def from_json(cls, path: Path) -> "Timeline":
        """Read what `to_json` wrote.

        Raises:
            TimelineError: the file cannot be read or is not a timeline of this version.
        """
        try:
            if path.stat().st_size > _MAX_JSON_BYTES:
                raise TimelineError(f"{path} is larger than {_MAX_JSON_BYTES >> 20} MiB; use Parquet.")
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise TimelineError(f"{path} cannot be read as a timeline in JSON: {error}.") from error
        header = (document.get("format"), document.get("version")) if isinstance(document, dict) else None
        if header != (_FORMAT, _FORMAT_VERSION) or not isinstance(document.get("columns"), dict):
            raise TimelineError(
                f"{path} holds {header}, not ('{_FORMAT}', {_FORMAT_VERSION}): analyse the recording again."
            )
        return cls(document["columns"], _metadata(document.get("metadata"), path))

    @classmethod
    def from_parquet(cls, path: Path) -> "Timeline":
        """Read what `to_parquet` wrote.

        Raises:
            TimelineError: the file cannot be read or is not a timeline.
        """
        import pyarrow
        import pyarrow.parquet

        try:
            table = pyarrow.parquet.read_table(path)
            metadata = json.loads((table.schema.metadata or {})[b"emotrace"])
            columns = {name: table[name].to_numpy() for name in table.column_names}
        except (OSError, ValueError, KeyError, RecursionError, pyarrow.ArrowException) as error:
            raise TimelineError(f"{path} cannot be read as a timeline in Parquet: {error}.") from error
        return cls(columns, _metadata(metadata, path))

    def _extremes(self, name: str) -> tuple[float | None, float | None, float | None, float | None]:
        """Return the largest value and its time, the smallest value and its time."""
        values = self[name]
        if np.isnan(values).all():
            return None, None, None, None
        high, low = int(np.nanargmax(values)), int(np.nanargmin(values))
        time = self["time"]
        return (
            round(float(values[high]), 4),
            round(float(time[high]), 3),
            round(float(values[low]), 4),
            round(float(time[low]), 3),
        )

    def _share_of_time(self, present: BoolArray) -> float | None:
        """Return the share of ticks at which any row is present; several people share a tick."""
        if not len(self):
            return None
        starts = np.flatnonzero(np.diff(self["time"], prepend=-np.inf))
        return round(float(np.logical_or.reduceat(present, starts).mean()), 4)


def _checked(columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return read-only columns in the order and types of `COLUMNS`."""
    names = [column.name for column in COLUMNS]
    if set(columns) != set(names):
        missing, unknown = sorted(set(names) - set(columns)), sorted(map(str, set(columns) - set(names)))
        raise TimelineError(f"The table lacks the columns {missing} and has the unknown columns {unknown}.")
    checked = {column.name: _typed(column, columns[column.name]) for column in COLUMNS}
    lengths = {name: len(values) for name, values in checked.items()}
    if len(set(lengths.values())) > 1:
        raise TimelineError(f"All columns must be of the same length; these lengths were found: {lengths}.")
    time = checked["time"]
    if not np.isfinite(time).all() or (np.diff(time) < 0).any():
        raise TimelineError("The column time must hold known, never falling seconds.")
    return checked


def _typed(column: Column, values: ArrayLike) -> NDArray[Any]:
    try:
        with np.errstate(over="raise"):
            typed = np.asarray(values, dtype=_DTYPES[column.kind]).view()
    except (TypeError, ValueError, OverflowError, FloatingPointError) as error:
        raise TimelineError(f"The column {column.name} does not hold numbers: {error}.") from error
    if typed.ndim != 1 or np.isinf(typed).any():
        raise TimelineError(f"The column {column.name} must be a list of finite numbers; unknown ones are NaN or null.")
    typed.setflags(write=False)
    return typed


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _metadata(data: object, path: Path) -> Metadata:
    from pydantic import TypeAdapter, ValidationError  # needed to read only

    try:
        return TypeAdapter(Metadata).validate_python(data)
    except ValidationError as error:
        raise TimelineError(f"{path} has metadata that this version cannot read: {error}.") from error
