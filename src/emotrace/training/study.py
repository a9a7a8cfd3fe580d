"""A corpus by name -> the recordings to learn from, to stop by and to be judged on, as files of features.

The split that is judged plays no part in any choice. AVEC 2016 withholds the labels of its test split: its development
split is judged instead, and two recordings to learn from decide when to stop.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from emotrace.bundle import load_bundle
from emotrace.corpora import folder as own_folder
from emotrace.corpora import recola, synthetic
from emotrace.corpora.composed import Conditions, Material
from emotrace.corpora.rated import RatedRecording, of_split
from emotrace.errors import CorpusError, SettingsError
from emotrace.evaluation import COMPOSED_COUNT, COMPOSED_SEED, composed_material
from emotrace.inference.session import Branches
from emotrace.ratings import shift_labels
from emotrace.recipe import Recipe
from emotrace.training.extraction import ComposedRecording, FrontEnd, Item, extract_all, is_missing, origin
from emotrace.training.tracks import Track, encode_faces, load_track

CORPORA = ("recola", "synthetic", "composed", "folder")
ROLES = ("train", "validation", "test")
"""Learnt from, stopped by, judged on."""
RECIPE = Recipe()
_COMPOSED_COUNTS: Mapping[str, int] = {"train": 300, "validation": 60, "test": COMPOSED_COUNT}
_SMALL_COMPOSED_COUNTS: Mapping[str, int] = {"train": 12, "validation": 4, "test": 4}
_COMPOSED_SEEDS: Mapping[str, int] = {"train": 30_000, "validation": 10_000, "test": COMPOSED_SEED}
_TRAINING_CONDITIONS = Conditions(face_disturbed=0.6, voice_disturbed=0.5)
_SYNTHETIC_SECONDS, _SMALL_SYNTHETIC_SECONDS = 300.0, 12.0


@dataclass(frozen=True, eq=False)
class Study:
    """A corpus, ready for every system.

    Attributes:
        corpus: its name.
        root: of the corpus; None for one that is generated elsewhere.
        items: recordings by role.
        note: what to say with every result.
        label_delay_ticks: by which the labels to learn from are moved forward.
        folder: of the features.
    """

    corpus: str
    root: Path | None
    items: Mapping[str, tuple[Item, ...]]
    note: str
    folder: Path
    label_delay_ticks: int = 0

    @property
    def all_items(self) -> list[Item]:
        """Return the recordings of all roles."""
        return [item for role in ROLES for item in self.items[role]]

    def prepare(self, front_ends: Sequence[FrontEnd], progress: Callable[[int, int], None]) -> None:
        """Make the features of every recording that are not there yet."""
        splits = {item.split for item in self.all_items if isinstance(item, ComposedRecording)}
        materials: dict[str, Material] = {}
        if splits and any(is_missing(item, RECIPE, front_ends, self.folder) for item in self.all_items):
            assert self.root is not None
            materials = {split: composed_material(self.root, split) for split in sorted(splits)}
        extract_all(self.all_items, RECIPE, front_ends, self.folder, materials, progress)

    def encode(self, name: str, digest: str, encode: Callable[[torch.Tensor], torch.Tensor]) -> None:
        """Run a frozen face encoder over all recordings.

        Args:
            name: of the encoder, as `tracks` takes it.
            digest: of its weights.
            encode: crops [F, 1, H, W] in 0..1 -> regions [F, K, D].
        """
        encode_faces(self.all_items, RECIPE, self.folder, encode, self._regions(name), digest)

    def tracks(self, role: str, front_end: FrontEnd, faces: str) -> list[Track]:
        """Return the recordings of a role; those to learn from with their labels moved by the delay."""
        loaded = self.unmoved(self.items[role], front_end, faces)
        if role != "test" and self.label_delay_ticks:
            return [_earlier(track, self.label_delay_ticks) for track in loaded]
        return loaded

    def unmoved(self, items: Sequence[Item], front_end: FrontEnd, faces: str) -> list[Track]:
        """Return recordings with their labels as they are."""
        regions, rate_hz = self._regions(faces), RECIPE.label_rate_hz
        loaded = [load_track(self.folder, item, front_end, regions, rate_hz) for item in items]
        return [self._with_truth(track) for track in loaded] if self.corpus == "synthetic" else loaded

    def _with_truth(self, track: Track) -> Track:
        assert self.root is not None
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

    def digest(self) -> str:
        """Return 16 hex digits of everything that a result depends on beside system and seed."""
        roles = {role: [origin(item, RECIPE) for item in items] for role, items in self.items.items()}
        told = repr([self.corpus, self.note, self.label_delay_ticks, roles])
        return hashlib.sha256(f"{RECIPE.digest()} {load_bundle().digest} {told}".encode()).hexdigest()[:16]


def _earlier(track: Track, ticks: int) -> Track:
    moved = shift_labels(track.arousal_valence.numpy(), min(ticks, len(track) - 1))
    return replace(track, arousal_valence=torch.from_numpy(moved))


def bundle_faces() -> tuple[str, Callable[[torch.Tensor], torch.Tensor]]:
    """Return the digest and the face encoder of the default bundle."""
    bundle = load_bundle()
    branches = Branches(bundle.read("face.onnx"), bundle.read("voice.onnx"), num_threads=os.cpu_count() or 1)

    def encode(crops: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(branches.see((crops[:, 0] * 255).round().byte().numpy())[0])

    return bundle.digest, encode


def open_study(
    corpus: str, root: Path | None, output: Path, *, small: bool = False, protocol: str = "avec2016"
) -> Study:
    """Return a corpus by its name.

    Args:
        corpus: one of `CORPORA`.
        root: its folder in the official layout; of "composed" the folder with `ferplus`, `ravdess` and `nemo`. For
            "synthetic" the place where it is, or is generated; None for a folder inside `output`.
        output: where the features go.
        small: few or short recordings, for a try.
        protocol: of RECOLA, see `corpora/recola.py`.

    Raises:
        SettingsError: there is no such corpus, or it needs a root.
        CorpusError: the corpus is not as it should be.
    """
    if corpus not in CORPORA:
        raise SettingsError(f"--corpus {corpus}: expected one of {', '.join(CORPORA)}.")
    folder = output / "features"
    if corpus == "synthetic":
        root = root or output / "synthetic"
        synthetic.generate(root, seconds=_SMALL_SYNTHETIC_SECONDS if small else _SYNTHETIC_SECONDS)
        return Study(corpus, root, _challenge(recola.read(root)), _GENERATED, folder)
    if root is None:
        raise SettingsError(f"--corpus {corpus} needs --root, the folder of the corpus.")
    if corpus == "composed":
        return Study(corpus, root, _composed(small), _COMPOSED, folder)
    if corpus == "folder":
        recordings = own_folder.read(root)
        return Study(corpus, root, {role: tuple(of_split(recordings, role)) for role in ROLES}, _OWN, folder)
    recordings = recola.read(root, protocol=protocol)
    if protocol == "avec2016":
        return Study(corpus, root, _challenge(recordings), recola.PROTOCOLS[protocol].note, folder)
    roles = {role: tuple(of_split(recordings, role)) for role in ROLES}
    return Study(corpus, root, roles, recola.PROTOCOLS[protocol].note, folder)


_GENERATED = "Generated faces and voices: what holds here need not hold for people. Judged on the development split."
_COMPOSED = "Real faces and real utterances put together; arousal and valence are coordinates of the emotion labels."
_OWN = "A folder of own recordings."


def _challenge(recordings: Sequence[RatedRecording]) -> dict[str, tuple[Item, ...]]:
    """Return the roles under AVEC 2016: judged on its development split, stopped by two of its training split."""
    learnt = of_split(recordings, "train")
    if len(learnt) < 4:
        raise CorpusError(f"{len(learnt)} training recordings found; four at least are needed, two of them to stop by.")
    return {
        "train": tuple(learnt[:-2]),
        "validation": tuple(learnt[-2:]),
        "test": tuple(of_split(recordings, "validation")),
    }


def _composed(small: bool) -> dict[str, tuple[Item, ...]]:
    counts = _SMALL_COMPOSED_COUNTS if small else _COMPOSED_COUNTS
    return {
        role: tuple(
            ComposedRecording(
                name=f"{role}_{number}",
                split=role,
                seed=_COMPOSED_SEEDS[role],
                number=number,
                conditions=_TRAINING_CONDITIONS if role == "train" else Conditions(),
            )
            for number in range(count)
        )
        for role, count in counts.items()
    }
