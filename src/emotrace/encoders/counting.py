"""A network -> what it costs: its parameters, and the multiply-adds of one pass."""

import torch
from torch import Tensor, nn


def count_parameters(module: nn.Module) -> int:
    """Return the number of learnt values; statistics of normalisation layers are not among them."""
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(module: nn.Module, example_input: Tensor) -> int:
    """Return the multiply-adds of all convolutions and linear layers in one pass of the whole example.

    The usual count: biases, normalisation, activations and pooling cost nothing in it. Run with module and example on
    the meta device it computes and holds no values, whatever the size. The module is left as it was.

    Args:
        module: its forward takes one tensor. A layer counts as often as it is called.
        example_input: a batch of one for the cost per item.
    """
    total = 0

    def add(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += output.numel() * weight[0].numel()  # one row or kernel per output value

    counted = [layer for layer in module.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear)]
    hooks = [layer.register_forward_hook(add) for layer in counted]
    modes = [(layer, layer.training) for layer in module.modules()]
    try:
        with torch.no_grad():
            module.eval()(example_input)  # a pass in training would move the statistics of the normalisation
    finally:
        for hook in hooks:
            hook.remove()
        for layer, mode in modes:
            layer.training = mode
    return total
