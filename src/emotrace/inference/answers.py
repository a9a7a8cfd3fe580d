"""What the graph of a system says at some steps, checked against the manifest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emotrace.errors import BundleError
from emotrace.types import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class Answers:
    """Answers at S steps; NaN where neither voice nor face was known.

    Attributes:
        arousal_valence: [S, 2].
        logits: [S, C].
        audio_weight: [S].
    """

    arousal_valence: FloatArray
    logits: FloatArray
    audio_weight: FloatArray

    def __len__(self) -> int:
        return len(self.audio_weight)

    def followed_by(self, others: "Answers") -> "Answers":
        """Return these and then the others."""
        return Answers(
            np.concatenate([self.arousal_valence, others.arousal_valence]),
            np.concatenate([self.logits, others.logits]),
            np.concatenate([self.audio_weight, others.audio_weight]),
        )

    def where(self, known: BoolArray) -> "Answers":
        """Return the same with NaN wherever nothing is known [S]."""
        blank = np.where(known, 1, np.nan).astype(np.float32)
        return Answers(self.arousal_valence * blank[:, None], self.logits * blank[:, None], self.audio_weight * blank)

    def last(self) -> "Answers":
        """Return the last one alone."""
        return Answers(self.arousal_valence[-1:], self.logits[-1:], self.audio_weight[-1:])


def unknown(steps: int, num_classes: int) -> Answers:
    """Return answers of which nothing is known."""
    return Answers(*(np.full(shape, np.nan, dtype=np.float32) for shape in ((steps, 2), (steps, num_classes), steps)))


def check_shape(file: str, name: str, found: NDArray[np.generic], shape: tuple[int, ...]) -> None:
    """Refuse an output of another shape.

    Raises:
        BundleError: it is such.
    """
    if found.shape != shape:
        raise BundleError(
            f"{file} answers with {name} of shape {found.shape}, expected {shape} by the manifest: "
            "export the bundle again."
        )


def check_finite(file: str, name: str, found: FloatArray) -> None:
    """Refuse an output that holds something other than numbers where an answer is due.

    Raises:
        BundleError: it does.
    """
    if not np.isfinite(found).all():
        raise BundleError(
            f"{file} answers with {name} that is no finite number where voice or face is known: "
            "export the bundle again, or train it again."
        )


def check_weight(file: str, weight: FloatArray) -> None:
    """Refuse weights that are infinite; NaN is what a system answers that weighs nothing.

    Raises:
        BundleError: they are.
    """
    check_finite(file, "audio_weight", weight[~np.isnan(weight)])
