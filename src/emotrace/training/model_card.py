"""A bundle's manifest -> its model card, Markdown: data, licence, intended use, limits."""

from emotrace.bundle import Manifest, Quantisation
from emotrace.corpora import ferplus, nemo, ravdess
from emotrace.labels import CIRCUMPLEX

_TEMPLATE = """\
# Model card: {name}

Made by emotrace {version}. System: `{model}` (after Liu & Tang 2021; the face and the voice encoder are ours).

## What it does
From a video of a person speaking: arousal, valence, probabilities of eight emotions, and the share that voice and
face had in the answer, 25 times a second. It says how a voice and a face may come across to others. It does not
measure feelings.

## Figures on validation data
Speakers and images that were not trained on, but by which the epochs were chosen; of composed recordings for the fused
answer. Figures on test data, with the command that prints each of them, stand in `docs/results.md` of the project.

| figure | value |
|---|---|
{metrics}

## Arithmetic
{arithmetic}

## Licence
The weights are under **{licence}** (https://creativecommons.org/licenses/by-nc-sa/4.0/),
which follows from RAVDESS and nEMO: no commercial use, attribution, and the same licence for what is derived from
them. The code of emotrace is under Apache-2.0.

## Training data
| corpus | used for | licence | citation |
|---|---|---|---|
| FER+ | face branch; faces of composed recordings | {ferplus.LICENCE} | {ferplus.CITATION} |
| RAVDESS (speech) | voice branch; voices of composed recordings | {ravdess.LICENCE} | {ravdess.CITATION} |
| nEMO | voice branch; voices of composed recordings | {nemo.LICENCE} | {nemo.CITATION} |

FER+ images that also stand in its validation or test split were left out of training. Speakers and images of the
validation and test splits were not trained on. The voices are **acted**, by 22 speakers of English and Polish for
speech; many of the faces are posed. The FER+ images were collected from the web, without asking the people shown.

## Arousal and valence are a proxy
No recording with continuous ratings was available. The fusion was trained on composed recordings: real faces and real
utterances put together because their labels agree. Arousal and valence are the published mean ratings of the emotion
words (Russell & Mehrabian 1977), not ratings of these recordings; neutral is the origin, and contempt, which they do
not rate, stands midway between anger and disgust:

| emotion | valence | arousal |
|---|---|---|
{circumplex}

## Intended use
Research and teaching; exploring one's own recordings; a baseline to compare with. Look at the audio and video weights
and at the gaps before believing a number.

## Not intended
Decisions about people, diagnosis, lie detection, monitoring of staff or pupils. In the European Union the AI Act
prohibits inferring emotions at work and in education except for medical or safety reasons (Article 5) and asks that
people are told (Article 50).

## Limits
- Everyday expression is weaker than acted expression: expect much lower accuracy than on acted test sets.
- Culture, age, language, camera and microphone change the answer; groups are unevenly represented and the figures
  by group are unknown.
- Contempt was never heard in speech and stands in no composed recording: the fused answer all but never says it.
  Disgust was heard in English only.
- Probabilities assume that all emotions are equally likely beforehand, and are calibrated on validation data of the
  training corpora only.
- Music, several voices at once and strong noise mislead the voice branch; profiles, masks and very small faces the face
  branch.
"""

_QUANTISED = """\
The face network computes all convolutions but the first and the last with 8-bit integers, \
made from the trained network after the fusion was
trained on it. The range of its activations was taken from {told.calibration_crops} training crops, every other one
disturbed. The figures of before and after, on the validation images of FER+ and on {told.recordings} composed
recordings of validation data:

| figure | float | integers |
|---|---|---|
{rows}"""


def model_card(manifest: Manifest) -> str:
    """Return the card of a bundle trained by `emotrace train default`."""
    rows = [f"| {emotion} | {point.valence:.3f} | {point.arousal:.3f} |" for emotion, point in CIRCUMPLEX.items()]
    return _TEMPLATE.format(
        name=manifest.name,
        version=manifest.emotrace_version,
        model=manifest.model,
        licence=manifest.licence,
        ferplus=ferplus,
        ravdess=ravdess,
        nemo=nemo,
        circumplex="\n".join(rows),
        arithmetic=_arithmetic(manifest.face_quantised),
        metrics="\n".join(f"| {name.replace('_', ' ')} | {value:.3f} |" for name, value in manifest.metrics.items()),
    )


def _arithmetic(told: Quantisation | None) -> str:
    if told is None:
        return "All networks compute in 32-bit floating point."
    rows = [
        f"| {name.replace('_', ' ')} | {value:.3f} | {told.after[name]:.3f} |" for name, value in told.before.items()
    ]
    return _QUANTISED.format(told=told, rows="\n".join(rows))
