"""The inputs of all steps and where they are known -> their encodings, zero elsewhere."""

from collections.abc import Callable

from torch import Tensor


def encode_known(encoder: Callable[[Tensor], Tensor], inputs: Tensor, known: Tensor, width: int) -> Tensor:
    """Run an encoder on the known steps only: what stands at the others costs nothing and is never read.

    Args:
        encoder: [N, ...] -> [N, D].
        inputs: [B, S, ...].
        known: [B, S] bool.
        width: D; needed where no step is known.

    Returns:
        [B, S, D].
    """
    if not known.any():
        return inputs.new_zeros(*known.shape, width)
    encoded = encoder(inputs[known])
    return encoded.new_zeros(*known.shape, width).index_put((known,), encoded)
