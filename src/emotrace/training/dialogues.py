"""Recordings -> batches of whole dialogues, for systems that hear a turn in the context of those before it.

Of clips with one class each a dialogue is the clips that its corpus says are its turns; a clip of none is a dialogue of
one turn. Of recordings whose class changes it is a run of windows of one recording, as analysis slides them.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from emotrace.layers.clips import Clips
from emotrace.training.clip_batches import ClipReading, Span, ending_at
from emotrace.training.run import seeded
from emotrace.training.settings import SystemSettings
from emotrace.training.tracks import Track

_LONGEST = 64
"""Turns that are drawn from one recording at most."""


def of_dialogues(tracks: Sequence[Track]) -> list[list[int]]:
    """Return the places of the turns of each dialogue, in their order."""
    found: dict[object, list[int]] = {}
    for place, track in enumerate(tracks):
        found.setdefault(place if track.dialogue is None else track.dialogue, []).append(place)
    return list(found.values())


def sliding(length: int, step: int, window: int) -> list[Span]:
    """Return windows of so many ticks that end every so many ticks; of less than a step, all of it."""
    return [ending_at(stop, window) for stop in range(step, length + 1, step)] or [(0, length)]


class DrawnDialogues:
    """Batches of dialogues, drawn anew every epoch, the same for the same seed and epoch.

    A batch holds whole dialogues, about as many turns as the batch size says.
    """

    def __init__(self, tracks: Sequence[Track], how: ClipReading, settings: SystemSettings, *, whole: bool) -> None:
        self.tracks = tracks
        self.how = how
        self.settings = settings
        self.epoch = 0
        rate_hz = tracks[0].ticks_per_second
        self.step = max(1, round(settings.step_seconds * rate_hz))
        self.window = round(settings.window_seconds * rate_hz)
        self.turns = of_dialogues(tracks) if whole else None

    def __len__(self) -> int:
        if self.turns is None:
            return max(1, self.settings.stretches_per_epoch // self.settings.batch_size)
        return min(len(self.turns), max(1, len(self.tracks) // self.settings.batch_size))

    def set_epoch(self, epoch: int) -> None:
        """Draw the dialogues of this epoch from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Clips]:
        generator = seeded(self.settings.seed, self.epoch)
        for dialogues in self._whole(generator) if self.turns is not None else self._runs(generator):
            chosen = [turn for dialogue in dialogues for turn in dialogue]
            numbers = [number for number, dialogue in enumerate(dialogues) for _ in dialogue]
            seeds = torch.randint(2**31, (len(chosen),), generator=generator).tolist()
            tracks, spans = [self.tracks[place] for place, _ in chosen], [span for _, span in chosen]
            yield self.how.batch(tracks, spans, [np.random.default_rng(each) for each in seeds], numbers)

    def _whole(self, generator: torch.Generator) -> Iterator[list[list[tuple[int, Span]]]]:
        """Yield the dialogues of a batch, each a list of places and spans; all of them once an epoch."""
        assert self.turns is not None
        order = torch.randperm(len(self.turns), generator=generator)
        for batch in torch.tensor_split(order, len(self)):
            yield [[(turn, (0, len(self.tracks[turn]))) for turn in self.turns[place]] for place in batch.tolist()]

    def _runs(self, generator: torch.Generator) -> Iterator[list[list[tuple[int, Span]]]]:
        """Yield runs of windows, each of a recording that is drawn, up to the batch size."""
        for _ in range(len(self)):
            dialogues: list[list[tuple[int, Span]]] = []
            room = self.settings.batch_size
            while room > 0:
                place = int(torch.randint(len(self.tracks), (), generator=generator))
                spans = sliding(len(self.tracks[place]), self.step, self.window)
                count = min(len(spans), room, _LONGEST)
                first = int(torch.randint(len(spans) - count + 1, (), generator=generator))
                dialogues.append([(place, span) for span in spans[first : first + count]])
                room -= count
            yield dialogues
