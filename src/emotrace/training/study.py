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
from typing import Literal

import torch
from pydantic import Field

from emotrace.bundle import load_bundle
from emotrace.corpora import folder as own_folder
from emotrace.corpora import recola, synthetic
from emotrace.corpora.composed import Conditions, Material
from emotrace.corpora.rated import SPLITS, RatedRecording, of_split
from emotrace.errors import CorpusError, EmotraceError, SettingsError
from emotrace.evaluation import COMPOSED_COUNT, COMPOSED_SEED, composed_material
from emotrace.inference.session import Branches
from emotrace.ratings import shift_labels
from emotrace.training.default import RECIPE, TRAINING_CONDITIONS
from emotrace.training.extraction import ComposedRecording, FrontEnd, Item, extract_all, origin
from emotrace.training.settings import Settings, read
from emotrace.training.tracks import Track, encode_faces, load_track
from emotrace.writing import write_text

CORPORA = ("recola", "synthetic", "composed", "folder")
ROLES = ("train", "validation", "test")
"""Learnt from, stopped by, judged on."""
SHORTEST_SECONDS = 1.0
_COMPOSED_COUNTS: Mapping[str, int] = {"train": 300, "validation": 60, "test": COMPOSED_COUNT}
_SMALL_COMPOSED_COUNTS: Mapping[str, int] = {"train": 12, "validation": 4, "test": 4}
_COMPOSED_SEEDS: Mapping[str, int] = {"train": 30_000, "validation": 10_000, "test": COMPOSED_SEED}
_SYNTHETIC_SECONDS, _SMALL_SYNTHETIC_SECONDS = 300.0, 12.0


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
    """

    corpus: str
    root: Path
    items: Mapping[str, tuple[Item, ...]]
    note: str
    folder: Path
    label_delay_ticks: int = 0
    is_comparable: bool = False

    @property
    def all_items(self) -> list[Item]:
        """Return the recordings of all roles."""
        return [item for role in ROLES for item in self.items[role]]

    def prepare(self, front_ends: Sequence[FrontEnd], progress: Callable[[int, int], None]) -> None:
        """Make the features of every recording that are not there yet."""
        splits = {item.split for item in self.all_items if isinstance(item, ComposedRecording)}
        if splits:
            _claim_features(self.folder, self.root)

        def materials() -> dict[str, Material]:
            return {split: composed_material(self.root, split) for split in sorted(splits)}

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
        loaded = [load_track(self.folder, item, front_end, regions, rate_hz) for item in items]
        for track in loaded:
            if len(track) < SHORTEST_SECONDS * rate_hz:
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
    def digest(self) -> str:
        """16 hex digits of everything that a result depends on beside system and seed; looks at every file once."""
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


class ChallengeSettings(Settings):
    """How RECOLA is split and rated; see `corpora/recola.py`."""

    protocol: Literal["avec2016", "liu2021"] = "avec2016"
    gold: Literal["official", "mean", "centred"] = "official"
    train: tuple[str, ...] | None = Field(None, description="names to train on, for liu2021; drawn without them")
    test: tuple[str, ...] | None = None
    seed: int = Field(0, ge=0, description="of what liu2021 draws")


def challenge_settings(text: str) -> ChallengeSettings:
    """Return the settings that a protocol's name, or a YAML file of their shape, stands for.

    Raises:
        SettingsError: it is neither, or the file holds something else.
    """
    if text in recola.PROTOCOLS:
        return ChallengeSettings.model_validate({"protocol": text})
    if not Path(text).is_file():
        raise SettingsError(f"--protocol {text}: expected one of {', '.join(recola.PROTOCOLS)}, or a YAML file.")
    return read(ChallengeSettings, Path(text))


def open_study(
    corpus: str,
    root: Path | None,
    output: Path,
    *,
    small: bool = False,
    challenge: ChallengeSettings | None = None,
) -> Study:
    """Return a corpus by its name, with its roles.

    Args:
        corpus: one of `CORPORA`.
        root: its folder in the official layout; of "composed" the folder with `ferplus`, `ravdess` and `nemo`. For
            "synthetic" the place where it is, or is generated; None for a folder inside `output`.
        output: where the features go.
        small: few or short recordings, for a try.
        challenge: of RECOLA and what is generated like it; None for the protocol of AVEC 2016.

    Raises:
        SettingsError: there is no such corpus, or it needs a root.
        CorpusError: the corpus is not as it should be.
    """
    chosen = challenge or ChallengeSettings()
    root = _root(corpus, root, output, small)
    folder = output / "features"
    if corpus == "composed":
        return Study(corpus, root, _composed(small), _COMPOSED, folder)
    recordings = _rated(corpus, root, chosen)
    if corpus == "folder":
        return Study(corpus, root, {role: tuple(of_split(recordings, role)) for role in ROLES}, _OWN, folder)
    protocol = recola.PROTOCOLS[chosen.protocol]
    note = f"{_GENERATED if corpus == 'synthetic' else protocol.note} Gold standard: {chosen.gold}."
    roles = (
        _challenge(recordings)
        if chosen.protocol == "avec2016"
        else {role: tuple(of_split(recordings, role)) for role in ROLES}
    )
    comparable = corpus == "recola" and protocol.comparable
    return Study(corpus, root, roles, note, folder, is_comparable=comparable)


def open_split(
    corpus: str,
    root: Path | None,
    output: Path,
    split: str,
    *,
    small: bool = False,
    challenge: ChallengeSettings | None = None,
) -> Study:
    """Return one split of a corpus, by the corpus's own name for it, to be judged on: nothing is learnt.

    Arguments and errors as of `open_study`.
    """
    if split not in SPLITS:
        raise SettingsError(f"--split {split}: expected one of {', '.join(SPLITS)}.")
    root = _root(corpus, root, output, small)
    if corpus == "composed":
        judged: tuple[Item, ...] = _composed(small)[split]
    else:
        judged = tuple(of_split(_rated(corpus, root, challenge or ChallengeSettings()), split))
    return Study(
        corpus, root, {"train": (), "validation": (), "test": judged}, f"The {split} split.", output / "features"
    )


def _root(corpus: str, root: Path | None, output: Path, small: bool) -> Path:
    if corpus not in CORPORA:
        raise SettingsError(f"--corpus {corpus}: expected one of {', '.join(CORPORA)}.")
    if corpus == "synthetic":
        place = root or output / "synthetic"
        synthetic.generate(place, seconds=_SMALL_SYNTHETIC_SECONDS if small else _SYNTHETIC_SECONDS)
        return place
    if root is None:
        raise SettingsError(f"--corpus {corpus} needs --root, the folder of the corpus.")
    return root


def _rated(corpus: str, root: Path, chosen: ChallengeSettings) -> list[RatedRecording]:
    if corpus == "folder":
        return own_folder.read(root)
    subjects = None if chosen.train is None or chosen.test is None else (chosen.train, chosen.test)
    return recola.read(root, protocol=chosen.protocol, gold=chosen.gold, subjects=subjects, seed=chosen.seed)


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
                conditions=TRAINING_CONDITIONS if role == "train" else Conditions(),
            )
            for number in range(count)
        )
        for role, count in counts.items()
    }
