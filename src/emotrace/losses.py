"""Predictions, labels and a mask of the ticks that count -> the losses of training.

Every mask `valid` is bool, true where a tick counts; whatever stands elsewhere, even NaN, changes neither the
loss nor its gradient. Where no tick counts the gradient is zero.

Axes: B recordings, T ticks, D dimensions (arousal, valence), E emotions. Equations: Liu & Tang 2021.
"""

from typing import Literal

import torch
from torch import Tensor, nn


def rmse_loss(prediction: Tensor, truth: Tensor, valid: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Root of the mean squared error of each dimension, averaged over dimensions (eq. 37).

    Args:
        prediction: [B, T, D].
        truth: [B, T, D].
        valid: [B, T].
        eps: added under the root, whose gradient is infinite at zero otherwise.
    """
    squared = (_counted(prediction, valid) - _counted(truth, valid)).square()
    return (squared.sum(dim=(0, 1)) / _count(valid) + eps).sqrt().mean()


def ccc_loss(prediction: Tensor, truth: Tensor, valid: Tensor, *, eps: float = 1e-8) -> Tensor:
    """1 - Lin's concordance correlation of each dimension, averaged over dimensions (eq. 35).

    The correlation is over all ticks that count, of all recordings together, with moments that divide by N.

    Args:
        prediction: [B, T, D].
        truth: [B, T, D].
        valid: [B, T].
        eps: added to the denominator, which is zero where prediction and truth are constant and equal.
    """
    count = _count(valid)
    prediction, truth = _counted(prediction, valid), _counted(truth, valid)
    mean_prediction, mean_truth = (values.sum(dim=(0, 1)) / count for values in (prediction, truth))
    off_prediction = _counted(prediction - mean_prediction, valid)
    off_truth = _counted(truth - mean_truth, valid)
    covariance = (off_prediction * off_truth).sum(dim=(0, 1)) / count
    spread = (off_prediction.square() + off_truth.square()).sum(dim=(0, 1)) / count
    concordance = 2 * covariance / (spread + (mean_prediction - mean_truth).square() + eps)
    return (1 - concordance).mean()


def windowed_ccc_loss(prediction: Tensor, truth: Tensor, valid: Tensor, *, eps: float = 1e-8) -> Tensor:
    """1 - concordance correlation of each window and dimension by itself, averaged over all of them.

    The covariance divides by N and the variances by N - 1, as in the code of Zhang et al. 2021 (arXiv 2107.01175). A
    window with fewer than two ticks that count is left out. The mask is ours: there, the zeros that fill a window up
    are in its moments.

    Args:
        prediction: [B, T, D].
        truth: [B, T, D].
        valid: [B, T].
        eps: added to the denominator, which is zero where prediction and truth are constant and equal.
    """
    count = valid.sum(dim=1, keepdim=True).unsqueeze(-1)  # [B, 1, 1]
    prediction, truth = _counted(prediction, valid), _counted(truth, valid)
    some = count.clamp(min=1)
    mean_prediction, mean_truth = (values.sum(dim=1, keepdim=True) / some for values in (prediction, truth))
    off_prediction = _counted(prediction - mean_prediction, valid)
    off_truth = _counted(truth - mean_truth, valid)
    covariance = (off_prediction * off_truth).sum(dim=1, keepdim=True) / some
    squares = off_prediction.square() + off_truth.square()
    spread = squares.sum(dim=1, keepdim=True) / (count - 1).clamp(min=1)
    concordance = 2 * covariance / (spread + (mean_prediction - mean_truth).square() + eps)
    measured = (count >= 2)[:, 0, 0]
    return _counted(1 - concordance, measured).mean(dim=(1, 2)).sum() / _count(measured)


def modal_scaling_loss(
    audio_weight: Tensor,
    speech_energy: Tensor,
    face_detected: Tensor,
    valid: Tensor,
    *,
    form: Literal["literal", "gated"] = "literal",
) -> Tensor:
    """Pull the audio weight beta to the modality that is there (eq. 31); its minimum is at (1 + m - n) / 2.

    The literal form also pulls beta to 0.5 where voice and face are both good. The gated form weighs each
    tick by |m - n|, so that it acts only where one modality is better.

    Args:
        audio_weight: [B, T] beta in 0..1.
        speech_energy: [B, T] m in 0..1; NaN (no audio) counts as 0.
        face_detected: [B, T] n, bool or 0..1.
        valid: [B, T].
        form: "literal" or "gated".
    """
    energy = speech_energy.nan_to_num(nan=0.0)
    face = face_detected.to(audio_weight.dtype)
    loss = 0.5 * ((energy - audio_weight).square() + (face - (1 - audio_weight)).square())
    if form == "gated":
        loss = (energy - face).abs() * loss
    return _counted(loss, valid).sum() / _count(valid)


def soft_cross_entropy(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Mean cross-entropy of logits [..., E] to target probabilities [..., E] where valid [...]."""
    logits, targets = _counted(logits, valid), _counted(targets, valid)
    return -(targets * logits.float().log_softmax(dim=-1)).sum() / _count(valid)


def polarity_cross_entropy(logits: Tensor, labels: Tensor, polarity: Tensor, weight: float = 0.5) -> Tensor:
    """Mean cross-entropy of clips, where one taken for the opposite polarity costs 1 + weight times as much.

    Source: S. Zhao et al. (VAANet), AAAI 2020, as read in the authors' code: L = mean (1 + weight g) CE, g = 1 where
    the class with the largest logit and the label are of opposite polarity. No gradient goes through g.

    Args:
        logits: [N, C] of N clips and C classes.
        labels: [N] index of the class.
        polarity: [C] of every class: 1, -1, or 0 for neither, which is opposite to nothing.
        weight: of a mistake in polarity.
    """
    opposite = polarity[logits.argmax(dim=-1)] * polarity[labels] == -1
    each = nn.functional.cross_entropy(logits.float(), labels, reduction="none")
    return (each * (1 + weight * opposite)).mean()


def _counted(values: Tensor, valid: Tensor) -> Tensor:
    """Return the values, zero where they do not count; trailing axes that `valid` lacks are shared."""
    trailing = (1,) * (values.ndim - valid.ndim)
    return torch.where(valid.reshape(*valid.shape, *trailing), values, 0.0)


def _count(valid: Tensor) -> Tensor:
    return valid.sum().clamp(min=1)
