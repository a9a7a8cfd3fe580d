"""Vectors in 0..1 -> the probabilities of hidden causes, by a restricted Boltzmann machine.

Sources: G. E. Hinton, S. Osindero & Y.-W. Teh, "A fast learning algorithm for deep belief nets", Neural Computation 18
(2006) 1527-1554; G. E. Hinton, "A practical guide to training restricted Boltzmann machines" (2012), sections 2 and 3
for the equations and 9 for the momentum. Real numbers in 0..1 stand for the probability of a unit, as in the former.

Axes: N vectors, V visible units, H hidden units.
"""

import torch
from torch import Generator, Tensor, nn

_MOMENTUM = 0.5
_DECAY = 1e-4


class BoltzmannMachine(nn.Module):
    """Binary visible and hidden units; learns by contrastive divergence, not by gradients of a loss.

    Attributes:
        weight: [V, H].
        visible_bias: [V].
        hidden_bias: [H].
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor

    def __init__(self, visible: int, hidden: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(visible, hidden))
        self.register_buffer("visible_bias", torch.zeros(visible))
        self.register_buffer("hidden_bias", torch.zeros(hidden))

    def forward(self, visible: Tensor) -> Tensor:
        """Return the probabilities [..., H] of the hidden units, given [..., V] in 0..1."""
        return (visible @ self.weight + self.hidden_bias).sigmoid()

    def reconstruct(self, hidden: Tensor) -> Tensor:
        """Return the probabilities [..., V] of the visible units, given [..., H] in 0..1."""
        return (hidden @ self.weight.T + self.visible_bias).sigmoid()

    def free_energy(self, visible: Tensor) -> Tensor:
        """Return F [...] of [..., V]; the machine finds a vector the more probable the lower it is."""
        return -visible @ self.visible_bias - nn.functional.softplus(visible @ self.weight + self.hidden_bias).sum(-1)

    @torch.no_grad()
    def fit(self, data: Tensor, *, updates: int, batch_size: int, rate: float, generator: Generator) -> None:
        """Learn from scratch by one step of contrastive divergence (CD-1) per update.

        Args:
            data: [N, V] in 0..1, N > 0.
            updates: how many batches are drawn, with replacement.
            batch_size: vectors in each.
            rate: learning rate.
            generator: on the CPU; decides starting weights, batches and hidden states.
        """

        def drawn(*shape: int) -> Tensor:
            return torch.rand(shape, generator=generator).to(data)

        mean = data.mean(dim=0).clamp(0.01, 0.99)
        self.weight.copy_(torch.randn(self.weight.shape, generator=generator) * 0.01)
        self.visible_bias.copy_(mean.logit())
        self.hidden_bias.zero_()
        learnt = (self.weight, self.visible_bias, self.hidden_bias)
        steps = [torch.zeros_like(values) for values in learnt]
        for _ in range(updates):
            rows = torch.randint(len(data), (batch_size,), generator=generator).to(data.device)
            visible = data[rows]
            hidden = self(visible)
            dreamt = self.reconstruct((drawn(*hidden.shape) < hidden).to(data.dtype))
            believed = self(dreamt)
            slopes = (
                (visible.T @ hidden - dreamt.T @ believed) / batch_size - _DECAY * self.weight,
                (visible - dreamt).mean(dim=0),
                (hidden - believed).mean(dim=0),
            )
            for values, step, slope in zip(learnt, steps, slopes, strict=True):
                step.mul_(_MOMENTUM).add_(slope, alpha=rate)
                values.add_(step)
