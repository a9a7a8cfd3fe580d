"""A recording and its timeline -> what is made of it beside: answers for its turns, and what the system looked at."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from emotrace.errors import SettingsError

if TYPE_CHECKING:
    from emotrace.app.job import Wishes
    from emotrace.bundle import Bundle
    from emotrace.inference.dialogue import Dialogue
    from emotrace.timeline import Timeline
    from emotrace.turns import Turn

Writers = Mapping[str, Callable[[Path], None]]
"""What writes the result of each name."""
TURN_SUFFIXES = {"turns": ".turns.csv", "turns.json": ".turns.json"}
EXPLAINED_SUFFIXES = {"explained": ".explained.html", "explained.json": ".explained.json"}


def check_turns(path: Path | None, num_jobs: int, *, dialogue: bool) -> "tuple[Turn, ...] | None":
    """Return the turns of a file; None without one.

    Raises:
        SettingsError: the file is none of turns, or it is not known of which recording they are.
    """
    if path is None:
        return None
    if not dialogue or num_jobs != 1:
        found = f"{num_jobs} inputs" if dialogue else "no --dialogue"
        raise SettingsError(
            f"--turns {path}: there are {found}; expected --dialogue and the one recording that it is of."
        )
    from emotrace.turns import read_turns

    return read_turns(path)


def check_explain(bundle: "Bundle", *, explain: bool, dialogue: bool) -> bool:
    """Return whether to explain.

    Raises:
        SettingsError: the bundle shows nothing of what is asked for.
    """
    if explain:
        from emotrace.inference.explaining import check_shows

        check_shows(bundle, dialogue=dialogue)
    return explain


class Further:
    """Makes it when it is asked for; the turns are remembered, as they may be what the system looked at."""

    def __init__(self, source: Path, timeline: "Timeline", wishes: "Wishes") -> None:
        self._source = source
        self._timeline = timeline
        self._wishes = wishes
        self._dialogue: Dialogue | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong with the turns, as far as they are answered."""
        return () if self._dialogue is None else self._dialogue.problems

    def turns(self) -> Writers:
        """Answer for every turn."""
        from emotrace.inference.dialogue import answer_turns
        from emotrace.turn_table import write_turns_csv, write_turns_json

        wishes = self._wishes
        found = answer_turns(self._source, self._timeline, wishes.bundle, wishes.turns, wishes.detector)
        self._dialogue = found
        about = self._timeline.metadata
        recording = asdict(replace(about, problems=(*about.problems, *found.problems)))
        return {
            "turns": lambda path: write_turns_csv(path, found.answers, found.classes),
            "turns.json": lambda path: write_turns_json(path, found.answers, recording),
        }

    def explained(self) -> Writers:
        """Show what the system looked at; of turns only what they were answered by."""
        from emotrace.explanation import write_explanations_json
        from emotrace.explanation_page import write_explanations
        from emotrace.inference.explaining import explain, shows_clips

        wishes, name = self._wishes, self._source.name
        shown = () if self._dialogue is None else self._dialogue.shown
        if shows_clips(wishes.bundle):
            shown = (*explain(self._source, wishes.bundle, only=wishes.only, detector=wishes.detector), *shown)
        elif self._dialogue is None:
            return {}  # why there are no turns was told
        classes = self._timeline.metadata.clip_probabilities
        return {
            "explained": lambda path: write_explanations(path, shown, source_name=name, clip_probabilities=classes),
            "explained.json": lambda path: write_explanations_json(
                path, shown, source_name=name, clip_probabilities=classes
            ),
        }
