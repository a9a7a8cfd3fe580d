"""Files of features -> recordings in memory, and batches of their steps. See `extraction.py` for the files.

Axes as in `layers/steps.py`; T ticks of the label clock, W voice inputs, F face crops.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from emotrace.clock import tick_times
from emotrace.corpora.labelled import LabelledClip, class_at
from emotrace.labels import EMOTIONS
from emotrace.layers.heads import class_points
from emotrace.layers.steps import Need, Sizes, Steps
from emotrace.recipe import SAMPLE_RATE, Recipe
from emotrace.training.arrays import origin_of, read_tensors, write_arrays
from emotrace.training.extraction import FrontEnd, Item, origin, stored, stored_voice

_FACES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Track:
    """One recording as any system may read it, with its labels.

    Attributes:
        name: of the recording.
        subject: who speaks.
        voice: [W, ...] inputs of the front end.
        voice_index: [T] row of `voice` that is the latest at each tick; -1 where nothing was heard yet.
        audio_valid: [T] bool.
        speech_energy: [T] m of eq. 31.
        waveform: [N] int16 at 16 kHz.
        crops: [F, H, W] uint8.
        regions: [F, K, D] float16, of the frozen face encoder.
        face_index: [T] row of `crops` at each tick; -1 without a face.
        emotion: [T] index into `classes`; -1 unknown.
        arousal_valence: [T, 2]; NaN where withheld.
        reliability: [T, 2] in 0..1, of voice and face, where it is known; else NaN.
        ticks_per_second: of the label clock.
        classes: of the corpus.
        label: index of the class of the clip as a whole; -1 for a recording whose class changes.
        person: number of the subject among those that are learnt; -1 where that is not learnt.
        num_persons: how many these are.
        dialogue: of which the recording is a turn, its turns in order of time; None where it is none.
    """

    name: str
    subject: str
    voice: Tensor
    voice_index: Tensor
    audio_valid: Tensor
    speech_energy: Tensor
    waveform: Tensor
    crops: Tensor
    regions: Tensor
    face_index: Tensor
    emotion: Tensor
    arousal_valence: Tensor
    reliability: Tensor
    ticks_per_second: float
    classes: tuple[str, ...] = EMOTIONS
    label: int = -1
    person: int = -1
    num_persons: int = 0
    dialogue: str | None = None

    def __len__(self) -> int:
        return len(self.emotion)

    @property
    def clip_class(self) -> int:
        """Index of the class of a recording that is one clip of one class."""
        return self.label if self.label >= 0 else int(self.emotion[0])

    @property
    def video_valid(self) -> Tensor:
        """Whether there is a face, [T]: n of eq. 31."""
        return self.face_index >= 0

    def without(self, only: str | None) -> "Track":
        """Return the same with one modality left out."""
        track = self
        if only == "face":
            no_voice = torch.zeros_like(self.audio_valid)
            track = replace(track, audio_valid=no_voice, speech_energy=torch.zeros_like(self.speech_energy))
        if only == "voice":
            track = replace(track, face_index=torch.full_like(self.face_index, -1))
        return track


def load_track(
    folder: Path,
    item: Item,
    front_end: FrontEnd,
    regions: Path,
    rate_hz: float,
    classes: tuple[str, ...] = EMOTIONS,
) -> Track:
    """Return a recording; its large parts stay on disk until they are used.

    Args:
        folder: that `extract_all` filled.
        item: the recording.
        front_end: whose voice inputs.
        regions: folder that `encode_faces` filled.
        rate_hz: of the label clock.
        classes: of the corpus.
    """
    base = read_tensors(stored(folder, item))
    heard = read_tensors(stored_voice(folder, item, front_end))
    ticks = len(base["speech"])
    emotion, arousal_valence = _labels(item, base, ticks, classes, rate_hz)
    label, dialogue = (classes.index(item.label), item.dialogue) if isinstance(item, LabelledClip) else (-1, None)
    return Track(
        name=item.name,
        subject=item.subject,
        voice=heard["voice"],
        voice_index=heard["voice_index"],
        audio_valid=heard["voice_index"] >= 0 if _is_scene(item) else heard["audio_valid"],
        speech_energy=base["speech_energy"],
        waveform=base["waveform"],
        crops=base["crops"],
        regions=read_tensors(_regions_file(regions, item))["regions"],
        face_index=base["face_index"],
        emotion=emotion,
        arousal_valence=arousal_valence,
        reliability=torch.full((ticks, 2), torch.nan),
        ticks_per_second=rate_hz,
        classes=classes,
        label=label,
        dialogue=dialogue,
    )


def _labels(
    item: Item, base: Mapping[str, Tensor], ticks: int, classes: tuple[str, ...], rate_hz: float
) -> tuple[Tensor, Tensor]:
    """Return classes [T] and arousal and valence [T, 2]; those of a clip's class are its circumplex coordinates."""
    if not isinstance(item, LabelledClip):
        return base["emotion"], base["arousal_valence"]
    if item.event_start_seconds is not None:
        named = class_at(item, tick_times(0, ticks, rate_hz))
        found = torch.tensor([classes.index(each) for each in named])
        return found, class_points(classes)[found].nan_to_num()
    place = classes.index(item.label)
    # A class without coordinates stands at the origin: systems that learn both find numbers there.
    return torch.full((ticks,), place), class_points(classes)[place].nan_to_num().expand(ticks, 2).clone()


def _is_scene(item: Item) -> bool:
    """Tell whether any sound counts, and not speech alone."""
    return isinstance(item, LabelledClip) and item.whole_picture


def encode_faces(
    items: Sequence[Item], recipe: Recipe, folder: Path, encode: Callable[[Tensor], Tensor], regions: Path, digest: str
) -> None:
    """Run a frozen face encoder over the crops of all recordings; what is there and of the same origin is kept.

    Args:
        items: the recordings.
        recipe: of the crops.
        folder: that `extract_all` filled.
        encode: crops [F, 1, H, W] in 0..1 -> regions [F, K, D].
        regions: folder of the results.
        digest: of the encoder.
    """
    for item in items:
        path, told = _regions_file(regions, item), f"{digest} {origin(item, recipe)}"
        if origin_of(path) == told:
            continue
        crops = read_tensors(stored(folder, item))["crops"]
        shown = crops if len(crops) else torch.zeros((1, *crops.shape[1:]), dtype=torch.uint8)
        parts = [encode(part[:, None].float() / 255).half() for part in torch.split(shown, _FACES_AT_ONCE)]
        write_arrays(path, {"regions": torch.cat(parts)[: len(crops)].numpy()}, told)


def _regions_file(folder: Path, item: Item) -> Path:
    return folder / f"{item.name}.safetensors"


@dataclass(frozen=True)
class Reading:
    """How a system reads a recording.

    Attributes:
        needs: inputs that it asks for.
        pictures: P of `Steps.crops`.
        step_ticks: ticks of the label clock per step.
        heard: how many of the newest voice inputs are joined along their first axis; 1 for the newest alone.
    """

    needs: frozenset[Need]
    pictures: int
    step_ticks: int
    heard: int = 1

    def num_steps(self, track: Track) -> int:
        """Return how many whole steps a recording has; of one that is shorter than a step, one."""
        return max(1, len(track) // self.step_ticks)

    def sizes(self, track: Track) -> Sizes:
        """Return the shapes that follow from a recording."""
        return Sizes(
            voice_shape=(self.heard * track.voice.shape[1], *track.voice.shape[2:]),
            num_regions=track.regions.shape[1],
            region_dim=track.regions.shape[2],
            crop_side=track.crops.shape[1],
            step_samples=round(self.step_ticks / track.ticks_per_second * SAMPLE_RATE),
            steps_per_second=track.ticks_per_second / self.step_ticks,
            classes=track.classes,
        )

    def whole(self, track: Track) -> Steps:
        """Return a whole recording, B = 1."""
        return self.batch([track], [0], self.num_steps(track))

    def batch(self, tracks: Sequence[Track], first: Sequence[int], count: int) -> Steps:
        """Return `count` steps of each recording, from its step `first` on; after its end nothing is known."""
        rows = [self._rows(track, start, count) for track, start in zip(tracks, first, strict=True)]
        return Steps(*(torch.stack(parts) for parts in zip(*rows, strict=True)))

    def _rows(self, track: Track, first: int, count: int) -> Steps:
        ends = (torch.arange(first, first + count) + 1) * self.step_ticks - 1
        inside, ticks = ends < len(track), ends.clamp(max=len(track) - 1)
        heard, seen = track.audio_valid[ticks] & inside, track.video_valid[ticks] & inside
        face_row = torch.where(inside, track.face_index[ticks], -1)
        return Steps(
            voice=self._voice(track, ticks, heard) if "voice" in self.needs else ticks[:, None][:, :0],
            regions=taken(track.regions, face_row, seen) if "regions" in self.needs else ticks[:, None][:, :0],
            crops=self._pictures(track, face_row) if "crops" in self.needs else ticks[:, None][:, :0],
            waveform=self._sound(track, ticks, heard) if "waveform" in self.needs else ticks[:, None][:, :0],
            audio_valid=heard,
            video_valid=seen,
            speech_energy=track.speech_energy[ticks] * inside,
            emotion=torch.where(inside, track.emotion[ticks], -1),
            arousal_valence=torch.where(inside[:, None], track.arousal_valence[ticks], torch.nan),
        )

    def _voice(self, track: Track, ticks: Tensor, heard: Tensor) -> Tensor:
        """Return [S, ...]: the newest input, or the slices of the last ticks joined to one stretch of a spectrogram."""
        if self.heard == 1:
            return taken(track.voice, track.voice_index[ticks].clamp(min=0), heard)
        back = ticks[:, None] - torch.arange(self.heard - 1, -1, -1)
        now = back.clamp(min=0)
        known = (back >= 0) & (track.voice_index[now] >= 0) & heard[:, None]
        return taken(track.voice, track.voice_index[now], known).flatten(1, 2)

    def _pictures(self, track: Track, newest: Tensor) -> Tensor:
        back = torch.arange(self.pictures - 1, -1, -1)
        rows = (newest[:, None] - back).clamp(min=0)
        return taken(track.crops, rows, (newest >= 0)[:, None].expand_as(rows)) / 255

    def _sound(self, track: Track, ticks: Tensor, heard: Tensor) -> Tensor:
        length = round(self.step_ticks / track.ticks_per_second * SAMPLE_RATE)
        ends = (ticks / track.ticks_per_second * SAMPLE_RATE).round().long()
        places = ends[:, None] + torch.arange(-length, 0)
        inside = (places >= 0) & (places < len(track.waveform))
        inside &= heard[:, None]
        return taken(track.waveform, places, inside) / 32768


def voice_moments(tracks: Sequence[Track], *, pooled: bool) -> tuple[Tensor, Tensor] | None:
    """Return mean and standard deviation of the voice inputs that recordings use; None where there are none.

    Args:
        tracks: read one by one, so that memory does not grow with their number.
        pooled: one mean and deviation [1] for all values of an input, as for the cells of a spectrum; else [D] each.
    """
    count, total, squares = 0, torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for track in tracks:
        rows = track.voice[torch.unique(track.voice_index[track.audio_valid]).clamp(min=0)].double()
        rows = rows.reshape(-1, 1) if pooled else rows
        count += len(rows)
        total, squares = total + rows.sum(dim=0), squares + rows.square().sum(dim=0)
    if not count:
        return None
    mean = total / count
    return mean, (squares / count - mean.square()).clamp(min=1e-12).sqrt()


def taken(table: Tensor, rows: Tensor, known: Tensor) -> Tensor:
    """Return table[rows] as float, zeros where not known."""
    if not len(table):
        return torch.zeros((*rows.shape, *table.shape[1:]))
    taken = table[rows.clamp(0, len(table) - 1)].float()
    return taken * known.reshape(*known.shape, *(1,) * (table.ndim - 1))


def on_ticks(answers: Tensor, ticks: int, step_ticks: int) -> Tensor:
    """Return what holds at every tick, [T, ...], of answers at steps [S, ...]: the latest; the first before it."""
    step = ((torch.arange(ticks) + 1) // step_ticks - 1).clamp(0, len(answers) - 1)
    return answers[step]
