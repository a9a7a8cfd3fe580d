"""A bundle and a corpus in its official layout -> figures of merit, as `emotrace evaluate` prints them. No torch."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from emotrace import metrics
from emotrace.bundle import Bundle
from emotrace.corpora import emogator, ferplus, nemo, ravdess
from emotrace.corpora.base import Utterance
from emotrace.corpora.composed import Composition, Conditions, KnownFace, Material, compose
from emotrace.errors import CorpusError, SettingsError
from emotrace.features.extract import extract
from emotrace.inference.recordings import face_material, speech_corpora, voice_material
from emotrace.inference.session import Estimates, Session, Voice
from emotrace.inference.system_session import SystemSession, open_session
from emotrace.labels import EMOTIONS, VOICE_CLASSES
from emotrace.media import open_clip
from emotrace.recipe import Recipe
from emotrace.types import FloatArray, IntArray

Figures = dict[str, object]
Only = Literal["voice", "face"] | None

COMPOSED_COUNT = 40
COMPOSED_SEED = 20_000
_VOICE_CORPORA: Mapping[str, tuple[Callable[[Path], list[Utterance]], tuple[str, ...]]] = MappingProxyType(
    {
        "ravdess": (ravdess.read, ravdess.LABELS),
        "nemo": (nemo.read, nemo.LABELS),
        "emogator": (emogator.read, emogator.LABELS),
    }
)
CORPORA = ("ferplus", *_VOICE_CORPORA, "composed")
CONDITIONS: Mapping[str, Conditions] = MappingProxyType(
    {
        "usual": Conditions(),
        "half the faces missing": Conditions(face_missing=0.5),
        "half the voices missing": Conditions(voice_missing=0.5),
    }
)
"""How the composed recordings of an evaluation are made hard; the same recordings, with more of them missing."""


def evaluate(bundle: Bundle, corpus: str, root: Path, split: str, *, only: Only = None) -> Figures:
    """Return the figures of a bundle on one split of a corpus.

    Args:
        bundle: what is judged.
        corpus: "ferplus" (face branch), "ravdess", "nemo", "emogator" (voice branch), or "composed".
        root: the corpus in its official layout; for "composed" a folder with `ferplus`, `ravdess` and `nemo`.
        split: "train", "validation" or "test".
        only: "face" or "voice"; a corpus of one modality implies it.

    Raises:
        SettingsError: corpus, split and modality do not go together.
        CorpusError: the corpus is not there as its makers lay it out.
    """
    if split not in ferplus.FOLDERS:
        raise SettingsError(f"--split {split}: expected one of {', '.join(ferplus.FOLDERS)}.")
    base: Figures = {"bundle": bundle.manifest.name, "bundle_digest": bundle.digest, "corpus": corpus, "split": split}
    if corpus == "composed":
        return base | {"only": only} | composed_figures(open_session(bundle), root, split, only)
    if bundle.manifest.system is not None:
        raise SettingsError(
            f"Bundle {bundle.manifest.name} is one graph without branches, and {corpus} judges branches: choose "
            "composed, or evaluate the folder of the trained system, which holds system.json."
        )
    session = Session(bundle)
    if corpus == "ferplus":
        _refuse(only, "voice", corpus)
        return base | {"only": "face"} | face_figures(session, ferplus.read(root, split))
    if corpus in _VOICE_CORPORA:
        _refuse(only, "face", corpus)
        read, labels = _VOICE_CORPORA[corpus]
        utterances = [utterance for utterance in read(root) if utterance.split == split]
        if not utterances:
            raise CorpusError(f"{root} holds no {corpus} recording of the {split} split: copy the whole corpus.")
        return base | {"only": "voice"} | voice_figures(session.branches.voice, bundle.recipe, utterances, labels)
    raise SettingsError(f"--corpus {corpus}: expected one of {', '.join(CORPORA)}.")


def _refuse(only: Only, other: str, corpus: str) -> None:
    if only == other:
        raise SettingsError(f"--only {other}: {corpus} has none; leave the option out.")


def face_figures(session: Session, faces: ferplus.FaceImages) -> Figures:
    """Return figures of the face branch on FER+ images by the protocol of its paper (majority label).

    "accuracy" is with the corpus's own prior, as the branch of a FER+ paper has it; "equal_prior" figures are
    with none, as an analysis uses the branch.
    """
    truth = faces.majority()
    kept = truth >= 0
    logits = session.branches.see(faces.pixels[kept])[1]
    truth = truth[kept]
    informed = (logits + np.log(session.bundle.manifest.face_prior)).argmax(axis=1)
    equal = logits.argmax(axis=1)
    return {
        "images": int(kept.sum()),
        "left_out_without_majority": int((~kept).sum()),
        "accuracy": metrics.accuracy(truth, informed),
        "unweighted_average_recall": metrics.unweighted_average_recall(truth, informed),
        "macro_f1": metrics.macro_f1(truth, informed),
        "equal_prior_accuracy": metrics.accuracy(truth, equal),
        "equal_prior_unweighted_average_recall": metrics.unweighted_average_recall(truth, equal),
        "labels": list(EMOTIONS),
        "confusion_matrix": metrics.confusion_matrix(truth, informed, len(EMOTIONS)).tolist(),
    }


def voice_scores(voice: Voice, recipe: Recipe, path: Path) -> FloatArray:
    """Return [C]: the mean log-probability of every voice class over the ticks of a file.

    A tick counts by the square of how much speech its window holds: what is said of the first syllable, or of the
    silence after the last, counts little. (The square was chosen on the validation speakers of RAVDESS and nEMO.)
    """
    scores, speech = [], []
    with open_clip(path) as clip:
        for features in extract(clip, recipe, None):
            logits = voice.hear(features.voice_inputs)[1]
            by_window = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
            known = features.voice_valid & (features.voice_index >= 0)
            padded = np.concatenate([by_window, np.zeros((1, len(VOICE_CLASSES)), dtype=np.float32)])
            scores.append(padded[np.where(known, features.voice_index, -1)])
            speech.append(features.speech & (features.voice_index >= 0))
    if not scores:
        return np.zeros(len(VOICE_CLASSES), dtype=np.float32)
    heard = np.convolve(np.concatenate(speech), np.ones(round(recipe.audio.window_seconds * recipe.label_rate_hz)))
    weight = heard[: sum(map(len, speech))] ** 2
    total = (np.concatenate(scores) * weight[:, None]).sum(axis=0)
    return np.asarray(total / max(weight.sum(), 1e-9), dtype=np.float32)


def voice_figures(voice: Voice, recipe: Recipe, utterances: Sequence[Utterance], labels: tuple[str, ...]) -> Figures:
    """Return figures of the voice branch on utterances of these labels, choosing among them."""
    columns = [VOICE_CLASSES.index(label) for label in labels]
    scores = np.stack([voice_scores(voice, recipe, utterance.path)[columns] for utterance in utterances])
    truth = np.array([labels.index(utterance.label) for utterance in utterances])
    return {"utterances": len(utterances)} | _class_figures(truth, scores.argmax(axis=1), labels)


def _class_figures(truth: np.ndarray, said: np.ndarray, labels: tuple[str, ...]) -> Figures:
    return {
        "unweighted_average_recall": metrics.unweighted_average_recall(truth, said),
        "accuracy": metrics.accuracy(truth, said),
        "macro_f1": metrics.macro_f1(truth, said),
        "labels": list(labels),
        "confusion_matrix": metrics.confusion_matrix(truth, said, len(labels)).tolist(),
    }


def composed_material(root: Path, split: str) -> Material:
    """Return the faces and voices of one split."""
    voices = voice_material([each for each in speech_corpora(root) if each.split == split])
    return Material(voices, face_material(root, split))


def composed_figures(
    session: Session | SystemSession,
    root: Path,
    split: str,
    only: Only,
    *,
    count: int | None = None,
    under: Mapping[str, Conditions] | None = None,
) -> Figures:
    """Return figures on composed recordings under each of the conditions; the same recordings every time.

    Args:
        session: of the bundle.
        root: folder of the corpora.
        split: whose faces and voices are put together.
        only: one modality alone.
        count: of recordings; `COMPOSED_COUNT` if not given.
        under: the conditions; all of `CONDITIONS` if not given.
    """
    count = COMPOSED_COUNT if count is None else count
    material = composed_material(root, split)
    recipe = session.bundle.recipe
    figures: Figures = {"recordings": count}
    for name, conditions in (CONDITIONS if under is None else under).items():
        compositions = [
            compose(material, recipe, np.random.default_rng((COMPOSED_SEED, number)), conditions)
            for number in range(count)
        ]
        figures[name] = _trace_figures(session, compositions, only)
    return figures


def _trace_figures(session: Session | SystemSession, compositions: Sequence[Composition], only: Only) -> Figures:
    """Ticks at which nothing is known count as arousal 0, valence 0 and neutral: an unknown answer is no way out."""
    said, truth, emotion, true_emotion = [], [], [], []
    for composition in compositions:
        estimates = _estimates(session, composition, only)
        ticks = min(len(composition.emotion), len(estimates.arousal))
        said.append(np.nan_to_num(np.stack([estimates.arousal, estimates.valence], axis=1))[:ticks])
        truth.append(composition.arousal_valence()[:ticks])
        known = ~np.isnan(estimates.arousal)
        likeliest = np.nan_to_num(estimates.emotions).argmax(axis=1)
        emotion.append(np.where(known, likeliest, EMOTIONS.index("neutral"))[:ticks])
        true_emotion.append(composition.emotion[:ticks])
    return dict(trace_scores(truth, said, true_emotion, emotion))


def trace_scores(
    truth: Sequence[FloatArray],
    said: Sequence[FloatArray],
    true_emotion: Sequence[IntArray],
    emotion: Sequence[IntArray],
) -> dict[str, float]:
    """Return figures over the ticks of all recordings together.

    Args:
        truth: per recording [T, 2], arousal and valence.
        said: likewise.
        true_emotion: per recording [T], index into `labels.EMOTIONS`.
        emotion: likewise.
    """
    wanted, told = np.concatenate(truth), np.concatenate(said)
    return {
        "ccc_arousal": metrics.ccc(wanted[:, 0], told[:, 0]),
        "ccc_valence": metrics.ccc(wanted[:, 1], told[:, 1]),
        "unweighted_average_recall": metrics.unweighted_average_recall(
            np.concatenate(true_emotion), np.concatenate(emotion)
        ),
    }


def _estimates(session: Session | SystemSession, composition: Composition, only: Only) -> Estimates:
    finder = None if only == "voice" else KnownFace(session.bundle.recipe)
    state: Any = session.initial_state()  # each kind of session has its own
    parts = []
    for features in extract(composition, session.bundle.recipe, finder, hear=only != "face"):
        found, state = session.run(features, state)
        parts.append(found)
    return Estimates(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Estimates.__dataclass_fields__}
    )
