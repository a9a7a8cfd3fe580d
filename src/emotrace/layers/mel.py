"""Frames of a log-mel spectrogram -> cepstral coefficients, and how they change from frame to frame.

Axes: ... any leading axes, F frames in order of time, M bands, C coefficients.
"""

import math

import torch
from torch import Tensor, nn

_REACH = 2
"""Frames on either side that a delta is fitted to, as in openSMILE and HTK."""

DELTA_CONTEXT = 2 * _REACH
"""Frames that `deltas` takes off: half of them at either end."""


class Mfcc(nn.Module):
    """The first coefficients of the discrete cosine transform (type II, orthonormal) over the bands; nothing learnt.

    Coefficient 0 is the loudness. openSMILE and HTK also scale the higher coefficients up ("liftering"): left out
    here, as what follows learns its own scales.
    """

    cosines: Tensor

    def __init__(self, num_bands: int, num_coefficients: int) -> None:
        """Prepare the transform.

        Args:
            num_bands: M.
            num_coefficients: C, at most M.

        Raises:
            ValueError: `num_coefficients` is not in 1..M.
        """
        super().__init__()
        if not 1 <= num_coefficients <= num_bands:
            raise ValueError(f"{num_coefficients} coefficients found, expected 1..{num_bands}, the number of bands.")
        self.register_buffer("cosines", _cosines(num_bands)[:, :num_coefficients].clone(), persistent=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Return coefficients [..., C] of log-mel bands [..., M]."""
        return log_mel @ self.cosines


def deltas(frames: Tensor) -> Tensor:
    """Return the slope at each frame of a line through it and two frames on either side, per frame.

    d_t = sum_n n (x_(t+n) - x_(t-n)) / (2 sum_n n^2), n = 1..2. Only where all of them exist: the result for frame t
    of it is that of frame t + 2 of the input, and knows the two frames after it.

    Args:
        frames: [..., F, C], F >= 5.

    Returns:
        [..., F - 4, C].
    """
    count = frames.shape[-2] - DELTA_CONTEXT
    total = torch.zeros_like(frames.narrow(-2, 0, count))
    for step in range(1, _REACH + 1):
        later = frames.narrow(-2, _REACH + step, count)
        earlier = frames.narrow(-2, _REACH - step, count)
        total = total + step * (later - earlier)
    return total / (2 * sum(step**2 for step in range(1, _REACH + 1)))


def _cosines(num_bands: int) -> Tensor:
    """Return the matrix [M, M] of the transform, a coefficient per column; its transpose is its inverse."""
    place = torch.arange(num_bands, dtype=torch.float64)
    angles = math.pi / num_bands * (place[:, None] + 0.5) * place
    cosines = math.sqrt(2 / num_bands) * angles.cos()
    cosines[:, 0] = math.sqrt(1 / num_bands)
    return cosines.float()
