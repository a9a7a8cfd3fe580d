"""The inputs of all steps -> one plain vector per step and modality, for systems that learn no front end of their own.

Axes as in `steps.py`; V is the width of the voice vector.
"""

from torch import Tensor, nn

from emotrace.layers.steps import Sizes, Steps

_SPECTRUM_SIDE = 12
"""A spectrum becomes 12x12 means: few enough for a linear system, and its 120x120 cells divide evenly."""


def voice_width(sizes: Sizes) -> int:
    """Return V of `voice_vectors`."""
    return sizes.voice_shape[0] if len(sizes.voice_shape) == 1 else _SPECTRUM_SIDE**2


def voice_vectors(steps: Steps) -> Tensor:
    """Return [B, S, V]: the descriptors, or the spectrum averaged down to 12x12; zero where there is no voice."""
    voice = steps.voice
    if voice.ndim == 4:
        voice = nn.functional.adaptive_avg_pool2d(voice, _SPECTRUM_SIDE).flatten(-2)
    return voice.masked_fill(~steps.audio_valid.unsqueeze(-1), 0)


def face_vectors(steps: Steps) -> Tensor:
    """Return [B, S, D]: the mean region; zero where there is no face."""
    return steps.regions.mean(dim=-2).masked_fill(~steps.video_valid.unsqueeze(-1), 0)
