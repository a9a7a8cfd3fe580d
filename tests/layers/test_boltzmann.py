"""What a restricted Boltzmann machine is, and what it learns of data with two kinds of vectors."""

import pytest
import torch
from torch import Generator, Tensor

from emotrace.layers.boltzmann import BoltzmannMachine

VISIBLE, HIDDEN = 12, 6


def _data(seed: int, count: int = 400) -> Tensor:
    """Return vectors whose first or second half is lit, each with some noise."""
    generator = Generator().manual_seed(seed)
    kind = torch.randint(2, (count, 1), generator=generator)
    lit = (torch.arange(VISIBLE) < VISIBLE // 2) ^ (kind == 1)
    return (lit * 0.8 + 0.1 + 0.05 * torch.randn(count, VISIBLE, generator=generator)).clamp(0, 1)


def _fitted(updates: int) -> BoltzmannMachine:
    machine = BoltzmannMachine(VISIBLE, HIDDEN)
    generator = Generator().manual_seed(0)
    machine.fit(_data(0), updates=updates, batch_size=50, rate=0.1, generator=generator)
    return machine


def _error(machine: BoltzmannMachine, data: Tensor) -> float:
    return float((machine.reconstruct(machine(data)) - data).square().mean())


def test_it_learns_to_reconstruct_data_it_has_not_seen() -> None:
    assert _error(_fitted(500), _data(1)) < 0.3 * _error(_fitted(1), _data(1))


def test_data_get_a_lower_free_energy_than_the_same_cells_in_disorder() -> None:
    data = _data(1)
    disorder = data.gather(1, torch.rand(data.shape, generator=Generator().manual_seed(2)).argsort(dim=1))
    machine, untaught = _fitted(500), _fitted(1)

    def gap(machine: BoltzmannMachine) -> float:
        return float((machine.free_energy(disorder) - machine.free_energy(data)).mean())

    assert gap(machine) > 1
    assert gap(machine) > gap(untaught) + 1


def test_the_free_energy_is_the_energy_summed_over_all_hidden_states() -> None:
    machine = BoltzmannMachine(4, 3)
    for values in machine.buffers():
        values.copy_(torch.randn(values.shape, generator=Generator().manual_seed(0)))
    visible = torch.tensor([1.0, 0.0, 1.0, 1.0])
    states = torch.cartesian_prod(*(torch.tensor([0.0, 1.0]),) * 3)
    energy = -visible @ machine.visible_bias - states @ machine.hidden_bias - states @ (visible @ machine.weight)
    torch.testing.assert_close(machine.free_energy(visible), -torch.logsumexp(-energy, dim=0))
    share = (-energy).softmax(dim=0)
    torch.testing.assert_close(machine(visible), share @ states)


@pytest.mark.parametrize("same", [True, False])
def test_the_fit_depends_on_the_seed_alone(same: bool) -> None:
    one, other = BoltzmannMachine(VISIBLE, HIDDEN), BoltzmannMachine(VISIBLE, HIDDEN)
    one.fit(_data(0), updates=20, batch_size=10, rate=0.1, generator=Generator().manual_seed(0))
    torch.rand(7)
    other.fit(_data(0), updates=20, batch_size=10, rate=0.1, generator=Generator().manual_seed(0 if same else 1))
    assert torch.equal(one.weight, other.weight) == same
