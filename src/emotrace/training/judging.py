"""A trained system and recordings it has never met -> every figure that a comparison reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from emotrace import metrics, postprocessing
from emotrace.corpora.rated import DIMENSIONS
from emotrace.errors import CorpusError
from emotrace.significance import bootstrap_interval
from emotrace.training.clip_system import StandardisedClipSystem
from emotrace.training.comparison_rows import SHARES
from emotrace.training.hardship import KINDS, MODALITIES, Hardship, Kind, Modality, endure, mixed
from emotrace.training.identity_probe import probe, probe_of_known
from emotrace.training.prediction import answer_clips, predict, predict_classes
from emotrace.training.segments import segment_accuracy
from emotrace.training.settings import SystemSettings
from emotrace.training.systems import AnySystem
from emotrace.training.tracks import Track
from emotrace.types import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a system reached.

    Attributes:
        figures: by name; NaN where not defined.
        intervals: 95 % bootstrap intervals over recordings of some of them.
        curves: kind and modality -> percent -> CCC of arousal and valence.
        weight_points: (what the voice should weigh, what it weighed on average), where voices or faces are missing
            or contradict; empty without an audio weight.
        confusion: counts by true emotion (row) and told one; empty where the corpus has no emotions.
        predictions: per recording [T, 2], at the ticks that have a label; of a discrete task [1, C] probabilities.
        truths: likewise.
    """

    figures: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    curves: Mapping[str, Mapping[int, tuple[float, float]]]
    weight_points: Mapping[str, Sequence[tuple[float, float]]]
    confusion: Sequence[Sequence[int]]
    predictions: Mapping[str, FloatArray]
    truths: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class _Said:
    """Answers to several recordings, each [T, 2], [T] and so on, without the ticks that have no label."""

    truth: list[FloatArray]
    answer: list[FloatArray]
    emotion: list[np.ndarray]
    told_emotion: list[np.ndarray]
    weight: list[FloatArray]
    reliability: list[FloatArray]


@dataclass(frozen=True)
class _Judged:
    """What is judged, and how its answers are moved in time."""

    system: AnySystem
    settings: SystemSettings
    delay_ticks: int

    def answers(self, tracks: Sequence[Track]) -> _Said:
        said = _Said([], [], [], [], [], [])
        for track in tracks:
            output = predict(self.system, self.settings, track)
            known = track.arousal_valence.isfinite().all(dim=1)
            answer = output.arousal_valence
            if self.delay_ticks:
                answer = torch.cat([answer[:1].expand(self.delay_ticks, -1), answer])[: len(track)]
            said.truth.append(track.arousal_valence[known].numpy())
            said.answer.append(answer[known].float().numpy())
            said.emotion.append(track.emotion[known].numpy())
            said.told_emotion.append(output.emotion_logits[known].argmax(dim=1).numpy())
            # One modality alone has nothing to weigh.
            weight = output.audio_weight if self.settings.only is None else torch.full_like(known.float(), torch.nan)
            said.weight.append(weight[known].float().numpy())
            said.reliability.append(track.reliability[known].numpy())
        return said


def judge_classes(
    system: AnySystem, settings: SystemSettings, test: Sequence[Track], training: Sequence[Track] = ()
) -> Judgement:
    """Return the figures of a system on clips of one class each.

    Args:
        system: trained.
        settings: of the system.
        test: the clips; two at least.
        training: clips that it learnt from: where the same people are judged, the identity probe learns from these.
    """
    classes = test[0].classes
    shares = predict_classes(system, settings, test)
    truth = np.array([track.clip_class for track in test])
    told = shares.argmax(dim=1).numpy()
    figures: dict[str, float] = {
        "unweighted_average_recall": metrics.unweighted_average_recall(truth, told),
        "accuracy": metrics.accuracy(truth, told),
        "macro_f1": metrics.macro_f1(truth, told),
        "clips": float(len(test)),
    }
    if isinstance(system, StandardisedClipSystem):
        figures |= _identity_figures(system, settings, training, test) | _segment_figures(system, settings, test)
    # Clips of one speaker are alike: speakers are drawn, not clips.
    speakers = sorted({track.subject for track in test})
    places = [np.array([k for k, track in enumerate(test) if track.subject == speaker]) for speaker in speakers]
    intervals = {}
    if len(places) > 1:
        drawn = bootstrap_interval([truth[each] for each in places], [told[each] for each in places], _recall)
        intervals = {"unweighted_average_recall": (drawn.low, drawn.high)}
    return Judgement(
        figures,
        intervals,
        {},
        {},
        metrics.confusion_matrix(truth, told, len(classes)).tolist(),
        {track.name: share[None].numpy() for track, share in zip(test, shares, strict=True)},
        {track.name: np.eye(len(classes), dtype=np.float32)[[track.clip_class]] for track in test},
    )


def _identity_figures(
    system: StandardisedClipSystem, settings: SystemSettings, training: Sequence[Track], test: Sequence[Track]
) -> dict[str, float]:
    """Return how well a fresh classifier tells from the embeddings who speaks; empty where the corpus does not say.

    It learns from the training clips where all who are judged are among them, and otherwise from other judged clips.
    """
    subjects = sorted({track.subject for track in (*training, *test)})

    def told(tracks: Sequence[Track]) -> tuple[FloatArray, IntArray]:
        embeddings = answer_clips(system, settings, tracks).embedding.float().numpy()
        return embeddings, np.array([subjects.index(track.subject) for track in tracks])

    if {track.subject for track in test} <= {track.subject for track in training}:
        found = probe_of_known(*told(training), *told(test))
    else:
        found = probe(*told(test))
    return {} if found is None else {"identity_accuracy": found.accuracy, "identity_chance": found.chance}


def _segment_figures(
    system: StandardisedClipSystem, settings: SystemSettings, test: Sequence[Track]
) -> dict[str, float]:
    """Return how many parts of the clips are told rightly, where the class does not hold throughout."""
    found = segment_accuracy(system, settings, test)
    return {} if found is None else {"segment_accuracy": found}


def _recall(truth: NDArray[np.float64], told: NDArray[np.float64]) -> float:
    return metrics.unweighted_average_recall(truth.astype(np.int64), told.astype(np.int64))


def judge(
    system: AnySystem,
    settings: SystemSettings,
    validation: Sequence[Track],
    test: Sequence[Track],
    delay_ticks: int = 0,
    steps: Sequence[postprocessing.Step] = postprocessing.STEPS,
) -> Judgement:
    """Return the figures of a system.

    Args:
        system: trained.
        settings: of the system.
        validation: recordings that post-processing is fitted on; none leaves it out.
        test: recordings to be judged on; two at least with labels, the others are left out.
        steps: of the post-processing that may be used.
        delay_ticks: by which the labels that it learnt from had been moved forward: its answers are moved back.
    """
    test = [track for track in test if track.arousal_valence.isfinite().all(dim=1).any()]
    if len(test) < 2:
        raise CorpusError(
            f"{len(test)} recording(s) to be judged on have labels, two are needed: copy the whole corpus."
        )
    judged = _Judged(system, settings, delay_ticks)
    said = judged.answers(test)
    figures: dict[str, float] = {}
    intervals: dict[str, tuple[float, float]] = {}
    for place, dimension in enumerate(DIMENSIONS):
        truth, answer = [one[:, place] for one in said.truth], [one[:, place] for one in said.answer]
        figures |= {f"{name}_{dimension}": value for name, value in trace_figures(truth, answer).items()}
        interval = bootstrap_interval(truth, answer, metrics.ccc)
        intervals[f"ccc_{dimension}"] = (interval.low, interval.high)
    emotion_figures, confusion = _emotion_figures(said, len(test[0].classes))
    figures |= emotion_figures
    if isinstance(system, StandardisedClipSystem):
        figures |= _segment_figures(system, settings, test)
    if validation:
        figures |= _post_processed(judged.answers(validation), said, test[0].ticks_per_second, steps)
    figures["beta_own"] = _weight_correlation(said)
    untouched = figures["ccc_arousal"], figures["ccc_valence"]
    curves = {
        f"{kind} {modality}": {
            share: _pair_at(judged, test, kind, modality, share) if share else untouched for share in SHARES
        }
        for kind in KINDS
        for modality in MODALITIES
    }
    points: dict[str, list[tuple[float, float]]] = {}
    for kind in KINDS:
        hard = judged.answers(_endured(test, mixed(kind)))
        figures[f"beta_{kind}"] = _weight_correlation(hard)
        points[kind] = _weight_points(hard)
    predictions = {track.name: answer for track, answer in zip(test, said.answer, strict=True)}
    truths = {track.name: truth for track, truth in zip(test, said.truth, strict=True)}
    return Judgement(figures, intervals, curves, points, confusion, predictions, truths)


def trace_figures(truth: Sequence[FloatArray], answer: Sequence[FloatArray]) -> dict[str, float]:
    """Return every figure of one dimension over recordings [T]: over all ticks together unless the name says else."""
    wanted, told = np.concatenate(truth), np.concatenate(answer)
    return {
        "ccc": metrics.ccc(wanted, told),
        "ccc_per_recording": metrics.ccc_per_recording(truth, answer),
        "ccc_official": metrics.ccc_official(wanted, told),
        "pearson": metrics.pearson(wanted, told),
        "rmse": metrics.rmse(wanted, told),
        "r2": metrics.r_squared(wanted, told),
        "sagr": metrics.sagr(wanted, told),
    }


def _emotion_figures(said: _Said, num_classes: int) -> tuple[dict[str, float], list[list[int]]]:
    """Return figures and confusion matrix; both empty where the corpus has no emotions."""
    truth, told = np.concatenate(said.emotion), np.concatenate(said.told_emotion)
    known = truth >= 0
    if not known.any():
        return {}, []
    figures = {
        "unweighted_average_recall": metrics.unweighted_average_recall(truth, told, known),
        "accuracy": metrics.accuracy(truth, told, known),
        "macro_f1": metrics.macro_f1(truth, told, known),
    }
    return figures, metrics.confusion_matrix(truth, told, num_classes, known).tolist()


def _post_processed(
    fitted_on: _Said, judged: _Said, rate_hz: float, steps: Sequence[postprocessing.Step]
) -> dict[str, float]:
    """Return the CCC after each step of the post-processing that was fitted on the validation recordings."""
    figures: dict[str, float] = {}
    for place, dimension in enumerate(DIMENSIONS):
        columns = [[one[:, place] for one in part] for part in (fitted_on.truth, fitted_on.answer)]
        chain = postprocessing.fit(*columns, label_rate_hz=rate_hz, steps=steps)
        after = postprocessing.report(
            chain, [one[:, place] for one in judged.truth], [one[:, place] for one in judged.answer]
        )
        figures |= {f"ccc_after_{step}_{dimension}": value for step, value in after.items() if step in steps}
    return figures


def _endured(tracks: Sequence[Track], hardship: Hardship) -> list[Track]:
    """Return the recordings made hard; what contradicts comes from the recording half-way round the list."""
    others = [tracks[(place + max(1, len(tracks) // 2)) % len(tracks)] for place in range(len(tracks))]
    return [endure(track, hardship, other) for track, other in zip(tracks, others, strict=True)]


def _pair_at(judged: _Judged, test: Sequence[Track], kind: Kind, modality: Modality, share: int) -> tuple[float, float]:
    hardship = Hardship(
        kind,
        face_percent=share if modality == "face" else 0,
        voice_percent=share if modality == "voice" else 0,
    )
    said = judged.answers(_endured(test, hardship))
    truth, answer = np.concatenate(said.truth), np.concatenate(said.answer)
    return metrics.ccc(truth[:, 0], answer[:, 0]), metrics.ccc(truth[:, 1], answer[:, 1])


def _ideal_and_weight(said: _Said) -> tuple[FloatArray, FloatArray]:
    """Return what the voice should weigh, (1 + r_voice - r_face) / 2, and what it weighs, where either is reliable."""
    reliability, weight = np.concatenate(said.reliability), np.concatenate(said.weight)
    ideal = (1 + reliability[:, 0] - reliability[:, 1]) / 2
    known = np.isfinite(ideal) & np.isfinite(weight) & (reliability.sum(axis=1) > 0)
    return ideal[known], weight[known]


def _weight_correlation(said: _Said) -> float:
    ideal, weight = _ideal_and_weight(said)
    return metrics.pearson(ideal, weight) if len(ideal) else float("nan")


def _weight_points(said: _Said) -> list[tuple[float, float]]:
    ideal, weight = _ideal_and_weight(said)
    steps = np.round(ideal, 1)
    return [(float(step), float(weight[steps == step].mean())) for step in np.unique(steps)]
