"""IR-50: its published size, the length of embeddings, single crops in training, and what is released when."""

import pytest
import torch

from emotrace.encoders.counting import count_parameters
from emotrace.encoders.ir50 import Ir50, Ir50Config
from emotrace.errors import SettingsError

SMALL = Ir50Config(side=16, width=0.06, dropout=0.0)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_three_colours_of_40_pixels_cost_the_published_parameters() -> None:
    with torch.device("meta"):
        network = Ir50(Ir50Config(in_channels=3))
        assert network(torch.zeros(2, 3, 40, 40)).shape == (2, 512)
    assert network.embedding_dim == 512
    assert count_parameters(network) == 37_283_520


@pytest.mark.parametrize(("width", "embedding_dim"), [(1.0, 512), (0.125, 64), (0.03, 32)])
def test_the_embedding_is_scaled_but_keeps_32_values(width: float, embedding_dim: int) -> None:
    with torch.device("meta"):
        assert Ir50(Ir50Config(width=width)).embedding_dim == embedding_dim


@pytest.mark.parametrize("side", [16, 17, 31, 48])
@torch.no_grad()
def test_embeddings_have_length_one_at_any_side(side: int) -> None:
    network = Ir50(Ir50Config(side=side, width=0.06)).eval()
    torch.testing.assert_close(network(torch.rand(3, 1, side, side)).norm(dim=1), torch.ones(3))


def test_a_single_crop_can_be_trained_on_and_leaves_the_statistics_of_embeddings_alone() -> None:
    network = Ir50(SMALL).train()
    network(torch.rand(8, 1, 16, 16))
    before = {name: value.clone() for name, value in network.norm.state_dict().items()}
    embedding = network(torch.rand(1, 1, 16, 16))
    torch.autograd.backward(embedding.sum())
    assert all(torch.equal(value, before[name]) for name, value in network.norm.state_dict().items())
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(1))
    assert network.embed.weight.grad is not None
    assert network.embed.weight.grad.any()


def test_the_output_layer_is_released_first_then_the_last_stage_then_three_units() -> None:
    network = Ir50(Ir50Config(in_channels=3, width=0.06))
    names = {parameter: name for name, parameter in network.named_parameters()}
    groups = [[names[parameter] for parameter in group] for group in network.release_groups()]
    # The authors' index ranges 4-10, 163-187 and 142-163 hold as many tensors.
    assert [len(group) for group in groups] == [6, 24, 21]
    assert {name.split(".")[0] for name in groups[0]} == {"flatten", "embed", "norm"}
    assert {name.rsplit(".", maxsplit=3)[0][:8] for name in groups[1]} == {"stages.3"}
    assert {".".join(name.split(".")[:3]) for name in groups[2]} == {"stages.2.11", "stages.2.12", "stages.2.13"}
    assert len({name for group in groups for name in group}) == 51


def test_crops_that_are_too_small_or_of_another_side_are_refused() -> None:
    with pytest.raises(SettingsError, match="side = 15, expected crops of 16 pixels at least"):
        Ir50(Ir50Config(side=15))
    with pytest.raises(SettingsError, match="IR-50 got crops of 16x24 pixels, expected 16x16"):
        Ir50(SMALL).eval()(torch.rand(2, 1, 16, 24))
