"""A corpus by name -> the recordings to learn from, to stop by and to be judged on, as files of features.

The split that is judged plays no part in any choice. AVEC 2016 withholds the labels of its test split: its development
split is judged instead, and two recordings to learn from decide when to stop.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from emotrace.bundle import load_bundle
from emotrace.corpora import synthetic
from emotrace.corpora.composed import Material
from emotrace.corpora.feature_tables import TabledClip
from emotrace.corpora.labelled import LabelledClip
from emotrace.errors import CorpusError, EmotraceError
from emotrace.evaluation import composed_material
from emotrace.inference.session import FaceEncoder
from emotrace.labels import EMOTIONS
from emotrace.ratings import shift_labels
from emotrace.recipe import SLICE_FRONT_ENDS
from emotrace.training.default import RECIPE
from emotrace.training.extraction import ComposedRecording, FrontEnd, Item, extract_all, origin
from emotrace.training.table_features import load_table, prepare_tables
from emotrace.training.tracks import Track, encode_faces, load_track
from emotrace.writing import write_text

TRACE_CORPORA = ("recola", "synthetic", "composed", "folder", "affwild2")
TABLES = "features"
"""Files of features without media, with a class per clip or with arousal and valence over time."""
CLASS_CORPORA = (
    *("ravdess", "cremad", "iemocap", "iemocap-improvised", "iemocap-6", "afew", "videoemotion8", "ekman6"),
    "ave",
)
CORPORA = (*TRACE_CORPORA, *CLASS_CORPORA, TABLES)
FOLDED_CORPORA = ("affwild2", "ravdess", "cremad", "iemocap", "iemocap-improvised", "iemocap-6", "videoemotion8")
"""With a usual cross-validation."""
EMOTION_CORPORA = ("composed", *CLASS_CORPORA, TABLES)
"""Whose recordings have labels of emotions, or of other classes; of feature tables they may."""
EVENT_CORPORA = ("ave",)
"""Whose classes are events in scenes, which hold for a part of a clip."""
WITHOUT_PERSONS = ("composed", "afew", "videoemotion8", "ekman6", "ave")
"""Which do not say who speaks."""
ROLES = ("train", "validation", "test")
"""Learnt from, stopped by, judged on."""
SHORTEST_SECONDS = 1.0


@dataclass(frozen=True, eq=False)
class Study:
    """A corpus, ready for every system.

    Attributes:
        corpus: its name.
        root: of the corpus.
        items: recordings by role.
        note: what to say with every result.
        folder: of the features.
        label_delay_ticks: by which the labels to learn from are moved forward.
        is_comparable: whether published figures are of the same recordings, split and task.
        classes: of emotion.
        fold: which one of a cross-validation this is; None where there is none.
    """

    corpus: str
    root: Path
    items: Mapping[str, tuple[Item, ...]]
    note: str
    folder: Path
    label_delay_ticks: int = 0
    is_comparable: bool = False
    classes: tuple[str, ...] = EMOTIONS
    fold: int | None = None

    @property
    def tells_classes(self) -> bool:
        """Whether each recording is one clip of one class: a discrete task."""
        if self.corpus == TABLES:
            return all(isinstance(item, TabledClip) and item.label is not None for item in self.all_items)
        return self.corpus in CLASS_CORPORA

    @property
    def has_emotions(self) -> bool:
        """Whether its recordings have labels of emotions, or of other classes."""
        return self.tells_classes if self.corpus == TABLES else self.corpus in EMOTION_CORPORA

    @property
    def names_persons(self) -> bool:
        """Whether it says who speaks: of tables, as far as their speakers are not the clips themselves."""
        if self.corpus == TABLES:
            return any(item.subject != item.name for item in self.all_items)
        return self.corpus not in WITHOUT_PERSONS

    @property
    def all_items(self) -> list[Item]:
        """Return the recordings of all roles."""
        return [item for role in ROLES for item in self.items[role]]

    def prepare(self, front_ends: Sequence[FrontEnd], progress: Callable[[int, int], None]) -> None:
        """Make the features of every recording that are not there yet."""
        if self.corpus == TABLES:
            tabled = {role: [item for item in self.items[role] if isinstance(item, TabledClip)] for role in ROLES}
            prepare_tables([clip for role in ROLES for clip in tabled[role]], tabled["train"], self.folder, progress)
            return
        media = [item for item in self.all_items if not isinstance(item, TabledClip)]
        splits = {item.split for item in media if isinstance(item, ComposedRecording)}
        if splits:
            _claim_features(self.folder, self.root)

        def materials() -> dict[str, Material]:
            return {split: composed_material(self.root, split) for split in sorted(splits)}

        extract_all(media, RECIPE, front_ends, self.folder, materials, progress)

    def encode(self, name: str, digest: str, encode: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Run a frozen face encoder over all recordings; feature tables have no pictures to be encoded.

        Args:
            name: of the encoder, as `tracks` takes it.
            digest: of its weights.
            encode: crops [F, 1, H, W] in 0..1 -> regions [F, K, D].
        """
        if self.corpus != TABLES:
            encode_faces(self.all_items, RECIPE, self.folder, encode, self._regions(name), digest)

    def tracks(self, role: str, front_end: FrontEnd, faces: str) -> list[Track]:
        """Return the recordings of a role with their labels moved by the delay: as something learns them."""
        loaded = self.unmoved(self.items[role], front_end, faces)
        if self.label_delay_ticks:
            return [_earlier(track, self.label_delay_ticks) for track in loaded]
        return loaded

    def unmoved(self, items: Sequence[Item], front_end: FrontEnd, faces: str) -> list[Track]:
        """Return recordings with their labels as they are: as something is judged by them.

        Raises:
            CorpusError: a recording is shorter than `SHORTEST_SECONDS`.
        """
        regions, rate_hz = self._regions(faces), RECIPE.label_rate_hz
        loaded = [
            load_table(self.folder, item, self.classes, slices=front_end in SLICE_FRONT_ENDS)
            if isinstance(item, TabledClip)
            else load_track(self.folder, item, front_end, regions, rate_hz, self.classes)
            for item in items
        ]
        for track in loaded:
            if len(track) < SHORTEST_SECONDS * rate_hz and not self.tells_classes:
                raise CorpusError(
                    f"{track.name} lasts {len(track) / rate_hz:.2f} s, expected {SHORTEST_SECONDS:g} s at least: "
                    "leave it out."
                )
        return [self._with_truth(track) for track in loaded] if self.corpus == "synthetic" else loaded

    def _with_truth(self, track: Track) -> Track:
        truth = synthetic.read_truth(self.root, track.name)
        known = torch.stack([torch.from_numpy(truth.voice_reliability), torch.from_numpy(truth.face_reliability)], 1)
        reliability = torch.full((len(track), 2), torch.nan)
        reliability[: len(known)] = known[: len(track)].float()
        return replace(track, reliability=reliability)

    def _regions(self, faces: str) -> Path:
        return self.folder / f"regions-{faces}"

    def delayed(self, seconds: float) -> "Study":
        """Return the same, the labels to learn from moved forward by the delay of annotation (P-38)."""
        return replace(self, label_delay_ticks=round(seconds * RECIPE.label_rate_hz))

    @cached_property
    def dialogues(self) -> str:
        """16 hex digits of who speaks when in dialogues, of use to systems that hear them; "" where there are none."""
        clips = [item for item in self.all_items if isinstance(item, LabelledClip | TabledClip)]
        told = [(clip.name, clip.dialogue, clip.subject) for clip in clips if clip.dialogue]
        return hashlib.sha256(repr(told).encode()).hexdigest()[:16] if told else ""

    def _told_of_some(self) -> str:
        """Return what only some corpora have: speakers of tables, events of clips."""
        speakers = [item.subject for item in self.all_items if isinstance(item, TabledClip)]
        events = [
            (item.event_start_seconds, item.event_end_seconds)
            for item in self.all_items
            if isinstance(item, LabelledClip) and item.event_start_seconds is not None
        ]
        return "".join(repr(each) for each in (speakers, events) if each)

    @cached_property
    def digest(self) -> str:
        """16 hex digits of everything that a result depends on beside system and seed; looks at every file once."""
        roles = {role: [origin(item, RECIPE) for item in items] for role, items in self.items.items()}
        told = repr([self.corpus, self.note, self.label_delay_ticks, roles])
        if self.tells_classes:
            clips = [item for item in self.all_items if isinstance(item, LabelledClip | TabledClip)]
            told += repr([self.classes, [clip.label for clip in clips]])
        told += self._told_of_some()
        return hashlib.sha256(f"{RECIPE.digest()} {load_bundle().digest} {told}".encode()).hexdigest()[:16]


def _earlier(track: Track, ticks: int) -> Track:
    moved = shift_labels(track.arousal_valence.numpy(), min(ticks, len(track) - 1))
    return replace(track, arousal_valence=torch.from_numpy(moved))


def bundle_faces() -> tuple[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the digest and the face encoder of the default bundle."""
    bundle = load_bundle()
    faces = FaceEncoder(bundle.read("face.onnx"), num_threads=os.cpu_count() or 1)

    def encode(crops: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(faces.see((crops[:, 0] * 255).round().byte().numpy())[0])

    return bundle.digest, encode


def claim(note: Path, wanted: str, refusal: EmotraceError) -> None:
    """Write down whose a folder is, or refuse it where it is somebody else's.

    Args:
        note: the file in it that tells.
        wanted: what it should say, one line.
        refusal: raised where it says something else.
    """
    if not note.exists():
        write_text(note, wanted + "\n")
    elif note.read_text(encoding="utf-8").strip() != wanted:
        raise refusal


def _claim_features(folder: Path, root: Path) -> None:
    """Refuse features that were composed of other corpora: the recordings' names do not tell.

    Raises:
        CorpusError: the folder holds such.
    """
    digest = hashlib.sha256()
    for corpus in ("ferplus", "ravdess", "nemo"):
        for path in sorted((root / corpus).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(root)} {path.stat().st_size}\n".encode())
    refusal = f"{folder} holds features of other files than those in {root}: choose another --output."
    claim(folder / "material.txt", digest.hexdigest(), CorpusError(refusal))
