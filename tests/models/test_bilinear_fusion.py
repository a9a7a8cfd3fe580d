"""What the systems of the bilinear family must keep; see `clips.py` for the toy clips."""

from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn

from emotrace.encoders.counting import multiply_adds
from emotrace.errors import SettingsError
from emotrace.layers.bilinear_streams import LEAST_BANDS, SoundMap
from emotrace.layers.clips import Backbone, Clips, Modality, Sampling
from emotrace.models.bilinear_fusion import AgFbp, AmFbp, BilinearFusionConfig, FcnAttention, FcnAttentionConfig, GFbp
from tests.models.clips import KINDS, assert_same, only, rows, toy_clips, toy_sizes

System = FcnAttention | GFbp | AgFbp | AmFbp
Kind = TypeVar("Kind", bound=System)
SIZES = toy_sizes(bands=LEAST_BANDS, crop_side=16)
ADAPTIVE = (AgFbp, AmFbp)
INPUTS = ("pictures", "regions", "pictures_valid", "sound", "sound_valid")


def _system(kind: type[Kind], visual: Backbone | None = "frozen") -> Kind:
    torch.manual_seed(0)
    hears_only = issubclass(kind, FcnAttention)
    fusion = BilinearFusionConfig(sizes=SIZES, visual=visual or "frozen")
    system = kind(FcnAttentionConfig(sizes=SIZES) if hears_only else fusion)  # type: ignore[arg-type]
    system.eval()
    return system


def _sampling(kind: type[System]) -> Sampling:
    """Short clips, so that the tests are fast."""
    return Sampling(6, 1, 3, 67) if kind is AmFbp else Sampling(4, 1, 1, 132)


def _clips(kind: type[System], visual: Backbone | None = "frozen", batch: int = 6, seed: int = 0) -> Clips:
    return toy_clips(SIZES, _sampling(kind), batch, seed, visual=visual)


@pytest.mark.parametrize("kind", [FcnAttention, GFbp, AgFbp, AmFbp])
@torch.no_grad()
def test_only_the_adaptive_systems_weigh_and_where_nothing_is_known_the_voice_has_no_weight(kind: type[System]) -> None:
    weight = _system(kind)(only(_clips(kind))).audio_weight
    assert (weight == 0).all() if kind in ADAPTIVE else weight.isnan().all()


@pytest.mark.parametrize(
    ("kind", "visual", "shown_in"),
    [
        (FcnAttention, None, ("voice",)),
        (GFbp, "frozen", ("voice",)),
        (GFbp, "frozen", ("face",)),
        (GFbp, "own", ("face",)),
        (AgFbp, "frozen", ("voice",)),
        (AgFbp, "frozen", ("face",)),
        (AmFbp, "frozen", ("voice",)),
        (AmFbp, "frozen", ("face",)),
    ],
)
def test_it_learns_what_is_heard_or_seen(
    kind: type[System], visual: Backbone | None, shown_in: tuple[Modality, ...]
) -> None:
    system = _system(kind, visual).train()
    training, others = (
        toy_clips(SIZES, _sampling(kind), 16, seed, visual=visual, shown_in=shown_in, complete=True) for seed in (0, 1)
    )
    optimiser = torch.optim.Adam(system.parameters(), lr=3e-3)
    for _ in range(8):
        optimiser.zero_grad()
        torch.autograd.backward(system.loss(training))
        optimiser.step()
    with torch.no_grad():
        found = system.eval()(others).logits.argmax(dim=-1)
    assert (found == others.label).float().mean() > 0.8


@torch.no_grad()
def test_with_a_temperature_of_zero_the_cells_are_averaged() -> None:
    torch.manual_seed(0)
    system = FcnAttention(FcnAttentionConfig(sizes=SIZES, temperature=0)).eval()
    clips = rows(_clips(FcnAttention, None), slice(0, 1))
    maps = system.map.encoder(clips.sound.transpose(2, 3))
    torch.testing.assert_close(system(clips).embedding, maps.mean(dim=(2, 3)))


@pytest.mark.parametrize("kind", [GFbp, AgFbp, AmFbp])
def test_a_temperature_of_zero_can_be_learnt_with(kind: type[GFbp | AgFbp | AmFbp]) -> None:
    torch.manual_seed(0)
    system = kind(BilinearFusionConfig(sizes=SIZES, temperature=0)).train()
    torch.autograd.backward(system.loss(_clips(kind)))
    idle = [name for name, value in system.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == ["streams.sound.project.weight", "streams.sound.project.bias", "streams.sound.weigh.weight"]
    assert all(value.grad is not None and value.grad.isfinite().all() for value in system.parameters())


@torch.no_grad()
def test_a_column_counts_where_its_share_of_the_frames_has_sound() -> None:
    sound_map = SoundMap(SIZES, "small").eval()
    sound, valid = torch.randn(1, 1, 132, LEAST_BANDS), torch.zeros(1, 1, 132, dtype=torch.bool)
    cells, _ = sound_map(sound, valid)
    assert cells.shape == (1, 1, 3, 1, sound_map.dim)
    for frame, column in ((0, 0), (43, 0), (44, 1), (87, 1), (88, 2), (131, 2)):
        one = valid.clone()
        one[0, 0, frame] = True
        assert sound_map(sound, one)[1][0, 0].tolist() == [number == column for number in range(3)]


@torch.no_grad()
def test_the_order_of_trunks_matters_only_through_their_weights() -> None:
    system, clips = _system(AmFbp), _clips(AmFbp)

    def reordered(values: Tensor) -> Tensor:
        first, second, third = values.chunk(3, dim=1)
        return torch.cat([third, first, second], dim=1)

    other = clips._replace(**{name: reordered(getattr(clips, name)) for name in INPUTS})
    assert_same(system(other), system(clips))


@torch.no_grad()
def test_equal_trunks_have_equal_weights_and_those_of_which_nothing_is_known_none() -> None:
    system = _system(AmFbp)
    trunks = torch.randn(1, 1, 128).expand(3, 3, 128)
    known = torch.tensor([[True, True, True], [True, False, True], [False, False, False]])
    expected = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0.5], [0, 0, 0]])
    torch.testing.assert_close(system.trunk_weights(trunks, known), expected)


@torch.no_grad()
def test_three_equal_trunks_say_what_the_whole_says() -> None:
    system, clips = _system(AmFbp), rows(_clips(AmFbp), slice(0, 1))
    thirds = {name: getattr(clips, name).chunk(3, dim=1)[0] for name in INPUTS}
    equal = clips._replace(**{name: torch.cat([first] * 3, dim=1) for name, first in thirds.items()})
    whole, trunks = system(equal).embedding.chunk(2, dim=1)
    torch.testing.assert_close(whole, trunks)


def test_a_trunk_of_which_nothing_is_known_costs_nothing() -> None:
    system = _system(AmFbp)
    clips = rows(_clips(AmFbp), [KINDS.index("complete")])
    nothing_seen_heard = torch.arange(3)[None, :, None]
    empty = clips._replace(
        pictures_valid=nothing_seen_heard.repeat_interleave(2, dim=1) == 1,
        sound_valid=(nothing_seen_heard == 2).expand_as(clips.sound_valid),
    )
    answer, trunks, known = system._answer(empty)
    assert known.tolist() == [[False, True, True]]
    said = system.classify_trunk(trunks)[0, 1:]
    own = nn.functional.cross_entropy(said, clips.label.expand(2))
    expected = nn.functional.cross_entropy(answer.logits, clips.label) + 0.5 * own
    torch.testing.assert_close(system.loss(empty), expected)


def test_networks_that_can_begin_with_weights_from_elsewhere_are_named() -> None:
    assert set(_system(FcnAttention, None).encoders()) == {"audio"}
    for kind in (GFbp, AgFbp, AmFbp):
        assert set(_system(kind, "frozen").encoders()) == {"audio"}
        system = _system(kind, "own")
        assert set(system.encoders()) == {"audio", "visual"}
        assert all(network in list(system.modules()) for network in system.encoders().values())


@pytest.mark.parametrize("kind", [FcnAttention, GFbp, AgFbp, AmFbp])
def test_too_few_bands_are_refused_in_plain_words(kind: type[System]) -> None:
    with pytest.raises(SettingsError, match=r"40 bands, expected 67 or more.*log-spectrogram"):
        kind(kind.Config(sizes=toy_sizes(bands=40)))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [FcnAttention, GFbp, AgFbp, AmFbp])
def test_the_small_audio_network_costs_little(kind: type[System]) -> None:
    with torch.device("meta"):
        network = SoundMap(toy_sizes(bands=200), "small").encoder
        sampling = kind.samplings["small"]
        segment = torch.zeros(1, 1, 200, sampling.frames)
    assert sampling.segments * multiply_adds(network, segment) < 60e6
