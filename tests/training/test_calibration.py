"""A network that is too sure, or not sure enough, by a known factor gets that factor as its temperature."""

import numpy as np
import pytest
import torch

from emotrace.training.calibration import fit_temperature, held_out_logits
from tests.training.toys import Net, points

GRID_STEP = 8 ** (1 / 42)


@pytest.mark.parametrize("factor", [0.6, 1.0, 1.7, 3.5])
def test_the_factor_by_which_logits_are_too_large_is_the_temperature(factor: float) -> None:
    honest = 2 * torch.randn(500, 8, generator=torch.Generator().manual_seed(0))
    found = fit_temperature(honest * factor, honest.softmax(dim=1))
    assert abs(np.log(found / factor)) <= np.log(GRID_STEP) / 2 + 1e-6


def test_the_temperature_is_right_for_labels_drawn_from_the_probabilities() -> None:
    generator = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(4000, 8, generator=generator)
    labels = torch.multinomial(honest.softmax(dim=1), 1, generator=generator)[:, 0]
    assert fit_temperature(2.5 * honest, torch.eye(8)[labels]) == pytest.approx(2.5, rel=0.1)


def test_held_out_logits_are_those_of_every_item_in_order_and_undisturbed() -> None:
    items = points(600)  # more than two batches
    network = Net().train()
    logits, targets = held_out_logits(network, items)
    with torch.inference_mode():
        torch.testing.assert_close(logits, network.eval()(items.points)[1])
    assert torch.equal(targets, items.targets)
