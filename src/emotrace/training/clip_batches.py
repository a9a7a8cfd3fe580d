"""Recordings in memory -> batches of clips for clip-level systems: whole recordings, or windows of them.

Axes as in `layers/clips.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from emotrace.layers.clips import Backbone, Clips, ClipSizes, Modality
from emotrace.recipe import VideoRecipe
from emotrace.training.tracks import Track, taken
from emotrace.windows import Sampling, glance

Span = tuple[int, int]
"""First tick of a window, and the tick after its last."""


@dataclass(frozen=True)
class ClipReading:
    """How a clip-level system reads a recording.

    Attributes:
        sampling: what it looks at.
        modalities: that it reads.
        backbone: "own" reads pictures, "frozen" the regions that an encoder made of them before.
        picture_ticks: ticks of the label clock from one picture to the next.
    """

    sampling: Sampling
    modalities: frozenset[Modality]
    backbone: Backbone
    picture_ticks: int

    def sizes(self, track: Track) -> ClipSizes:
        """Return the shapes that follow from a recording."""
        return ClipSizes(
            classes=track.classes,
            bands=track.voice.shape[-1],
            crop_side=track.crops.shape[1],
            num_regions=track.regions.shape[1],
            region_dim=track.regions.shape[2],
            num_persons=track.num_persons,
        )

    def batch(
        self,
        tracks: Sequence[Track],
        spans: Sequence[Span],
        generators: Sequence[np.random.Generator] | None = None,
        dialogues: Sequence[int] | None = None,
    ) -> Clips:
        """Return a window of each recording, labelled by its last tick.

        Args:
            tracks: the recordings.
            spans: the windows.
            generators: draw the runs within each window; None takes the middle ones.
            dialogues: number of the dialogue of each, whose clips stand together in order of time; None for clips by
                themselves.
        """
        drawn: Sequence[np.random.Generator | None] = generators or [None] * len(tracks)
        rows = [self._row(track, span, rng) for track, span, rng in zip(tracks, spans, drawn, strict=True)]
        clips = Clips(*(torch.stack(parts) for parts in zip(*rows, strict=True)))
        if dialogues is None:
            return clips
        speakers = speaker_numbers([track.subject for track in tracks], dialogues)
        return clips._replace(dialogue=torch.tensor(dialogues), speaker=torch.tensor(speakers))

    def blank(self, sizes: ClipSizes) -> Clips:
        """Return one clip in which nothing is known: enough to see the shapes within a network."""
        chosen, side = self.sampling, sizes.crop_side
        views, frames = (1, chosen.snippets, chosen.pictures), (1, chosen.segments, chosen.frames)
        unknown = torch.full((1,), -1)
        own, seen = self.backbone == "own", "face" in self.modalities
        return Clips(
            pictures=torch.zeros(*views, side, side if own and seen else 0),
            regions=torch.zeros(*views, sizes.num_regions, sizes.region_dim if seen and not own else 0),
            pictures_valid=torch.zeros(*views, dtype=torch.bool),
            sound=torch.zeros(*frames, sizes.bands if "voice" in self.modalities else 0),
            sound_valid=torch.zeros(*frames, dtype=torch.bool),
            label=unknown,
            part_label=unknown[:, None].expand(-1, chosen.snippets),
            person=unknown,
            dialogue=unknown,
            speaker=unknown,
        )

    def _row(self, track: Track, span: Span, rng: np.random.Generator | None) -> Clips:
        ticks = slice(*span)
        heard = torch.where(track.audio_valid[ticks], track.voice_index[ticks], -1)
        looked = glance(
            track.face_index[ticks].numpy(),
            heard.numpy(),
            self.sampling,
            picture_ticks=self.picture_ticks,
            slice_frames=track.voice.shape[1],
            rng=rng,
        )
        pictures, sound, frames = map(torch.from_numpy, (looked.pictures, looked.sound, looked.frames))
        nothing, unknown = torch.zeros(*pictures.shape, 0, 0), torch.tensor(-1)
        parts = span[0] + ((torch.arange(len(pictures)) + 0.5) / len(pictures) * (span[1] - span[0])).long()
        seen = "face" in self.modalities
        return Clips(
            pictures=taken(track.crops, pictures, pictures >= 0) / 255 if seen and self.backbone == "own" else nothing,
            regions=taken(track.regions, pictures, pictures >= 0) if seen and self.backbone == "frozen" else nothing,
            pictures_valid=pictures >= 0,
            sound=_sound(track, sound, frames) if "voice" in self.modalities else torch.zeros(*sound.shape, 0),
            sound_valid=sound >= 0,
            label=torch.tensor(track.label) if track.label >= 0 else track.emotion[span[1] - 1],
            part_label=track.emotion[parts],
            person=torch.tensor(track.person),
            dialogue=unknown,
            speaker=unknown,
        )


def _sound(track: Track, rows: Tensor, frames: Tensor) -> Tensor:
    if not len(track.voice):
        return torch.zeros(*rows.shape, track.voice.shape[-1])
    chosen = track.voice[rows.clamp(min=0), frames].float()
    return chosen * (rows >= 0)[..., None]


def speaker_numbers(subjects: Sequence[str], dialogues: Sequence[int]) -> list[int]:
    """Return for each clip how many others had spoken in its dialogue before its speaker first did."""
    met: dict[int, list[str]] = {}
    numbers = []
    for subject, dialogue in zip(subjects, dialogues, strict=True):
        so_far = met.setdefault(dialogue, [])
        if subject not in so_far:
            so_far.append(subject)
        numbers.append(so_far.index(subject))
    return numbers


def picture_ticks(video: VideoRecipe, ticks_per_second: float) -> int:
    """Return how many ticks pass from one picture to the next."""
    return max(1, round(ticks_per_second / video.rate_hz))


def ending_at(stop: int, window_ticks: int) -> Span:
    """Return the window that ends before a tick; shorter at the start of a recording."""
    return max(0, stop - window_ticks), stop
