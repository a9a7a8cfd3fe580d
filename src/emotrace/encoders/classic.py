"""What the published face networks of the comparison share: scaled sizes, starting weights, fully connected layers.

Every such network has one factor `width` for all its channels and fully connected layers, so that the same
architecture can be trained at a cost that is at hand; 1 is the published size.
"""

from torch import nn

from emotrace.errors import SettingsError


def scaled(channels: int, width: float) -> int:
    """Return `channels` times `width`, rounded to the nearest whole number (a half to the even one), at least 1.

    Raises:
        SettingsError: the width is not positive.
    """
    if width <= 0:
        raise SettingsError(f"width = {width}, expected a positive factor of the published size, for example 0.25.")
    return max(1, round(channels * width))


def fully_connected(num_features: int, width: float, dropout: float, num_outputs: int) -> nn.Sequential:
    """Return two layers of 4096 times `width`, each with ReLU and dropout, and a linear output [B, num_outputs]."""
    hidden = scaled(4096, width)
    return nn.Sequential(
        *(nn.Linear(num_features, hidden), nn.ReLU(), nn.Dropout(dropout)),
        *(nn.Linear(hidden, hidden), nn.ReLU(), nn.Dropout(dropout)),
        nn.Linear(hidden, num_outputs),
    )


def draw_weights(network: nn.Module) -> None:
    """Draw all weights but those of the last linear layer by He et al., ICCV 2015; biases start at zero.

    Without normalisation, as in VGG19, torch's own starting weights let a signal die out within a few layers.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d | nn.Linear)]
    if isinstance(layers[-1], nn.Linear):
        layers.pop()  # it says the value: the small weights that torch draws keep the first answers near zero
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
