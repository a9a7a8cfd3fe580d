"""What the systems of the bilinear family must keep; see `clips.py` for the toy clips."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnxruntime
import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from emotrace.encoders.counting import multiply_adds
from emotrace.errors import SettingsError
from emotrace.layers.bilinear_streams import LEAST_BANDS, SoundMap
from emotrace.layers.clips import Backbone, Clips, Modality, Sampling
from emotrace.models.bilinear_fusion import AgFbp, AmFbp, BilinearFusionConfig, FcnAttention, FcnAttentionConfig, GFbp
from tests.models.clips import (
    GRAPH_INPUTS,
    KINDS,
    AsGraph,
    assert_answers,
    assert_same,
    filled,
    only,
    rows,
    toy_clips,
    toy_sizes,
)

System = FcnAttention | GFbp | AgFbp | AmFbp
Kind = TypeVar("Kind", bound=System)
SIZES = toy_sizes(bands=LEAST_BANDS, crop_side=16)
ADAPTIVE = (AgFbp, AmFbp)
ALL = (
    pytest.param(FcnAttention, None, id="fcn-attention"),
    *(
        pytest.param(system, visual, id=f"{key}-{visual}")
        for key, system in (("g-fbp", GFbp), ("ag-fbp", AgFbp), ("am-fbp", AmFbp))
        for visual in ("frozen", "own")
    ),
)
every_system = pytest.mark.parametrize(("kind", "visual"), ALL)


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


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@every_system
@torch.no_grad()
def test_there_is_one_answer_per_clip_of_every_kind(kind: type[System], visual: Backbone | None) -> None:
    clips = toy_clips(SIZES, kind.samplings["small"], len(KINDS), visual=visual)
    assert_answers(_system(kind, visual)(clips), clips, SIZES, weighs=kind in ADAPTIVE)


@every_system
def test_every_parameter_learns(kind: type[System], visual: Backbone | None) -> None:
    system = _system(kind, visual).train()
    torch.autograd.backward(system.loss(_clips(kind, visual)))
    idle = [name for name, value in system.named_parameters() if value.grad is None or not value.grad.any()]
    assert idle == []
    assert all(value.grad is not None and value.grad.isfinite().all() for value in system.parameters())


@every_system
@torch.no_grad()
def test_no_clip_depends_on_the_others_of_its_batch(kind: type[System], visual: Backbone | None) -> None:
    system, clips = _system(kind, visual), _clips(kind, visual)
    chosen = [5, 2, 4]
    answer = system(clips)
    assert_same(system(rows(clips, chosen)), type(answer)(*(values[chosen] for values in answer)))


@every_system
@pytest.mark.parametrize("garbage", [torch.nan, torch.inf])
def test_what_is_not_valid_is_never_read(kind: type[System], visual: Backbone | None, garbage: float) -> None:
    system, clips = _system(kind, visual), _clips(kind, visual)
    gradients = []
    for each in (clips, filled(clips, garbage)):
        assert_same(system(each), system(clips), tolerance=0)
        system.zero_grad()
        torch.autograd.backward(system.loss(each))
        gradients.append([value.grad for value in system.parameters()])
    for ours, theirs in zip(*gradients, strict=True):
        assert ours is not None
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


@every_system
@pytest.mark.parametrize("known", [("voice",), ("face",), ()])
def test_a_missing_modality_gives_finite_answers_and_gradients(
    kind: type[System], visual: Backbone | None, known: tuple[Modality, ...]
) -> None:
    system, clips = _system(kind, visual).train(), only(_clips(kind, visual), *known)
    torch.autograd.backward(system.loss(clips))
    assert all(value.grad is None or value.grad.isfinite().all() for value in system.parameters())
    answer = system.eval()(clips)
    assert_answers(answer, clips, SIZES, weighs=kind in ADAPTIVE)
    if kind in ADAPTIVE:
        heard = clips.sound_valid.flatten(1).any(dim=1)
        assert answer.audio_weight.tolist() == (heard.float() if "voice" in known else heard * 0.0).tolist()


@every_system
@torch.no_grad()
def test_it_hears_and_sees_what_is_valid(kind: type[System], visual: Backbone | None) -> None:
    system, clips = _system(kind, visual), rows(_clips(kind, visual), slice(0, 1))
    answer = system(clips).logits
    assert not torch.allclose(system(clips._replace(sound=clips.sound + 1)).logits, answer, atol=1e-4)
    if visual is not None:
        changed = clips._replace(pictures=clips.pictures.flip(-2), regions=clips.regions.flip(-1))
        assert not torch.allclose(system(changed).logits, answer, atol=1e-5)


@every_system
@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(kind: type[System], visual: Backbone | None, tmp_path: Path) -> None:
    system, clips = _system(kind, visual), _clips(kind, visual, batch=3)
    safetensors.torch.save_file(system.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    other = type(system)(system.config).eval()  # type: ignore[arg-type]
    assert not torch.allclose(other(clips).logits, system(clips).logits)
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "weights.safetensors"))
    assert_same(other(clips), system(clips), tolerance=0)


@every_system
# `clean` asks whether there are pictures at all, which a graph may take as fixed.
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean:Warning:emotrace.layers.clips")
def test_the_exported_system_gives_the_same_numbers(
    kind: type[System], visual: Backbone | None, tmp_path: Path
) -> None:
    graph, clips = AsGraph(_system(kind, visual)).eval(), _clips(kind, visual, batch=6)
    inputs, outputs = [*clips[:5]], ["logits", "embedding", "audio_weight"]
    torch.onnx.export(
        graph,
        tuple(values[:2] for values in inputs),
        tmp_path / "clips.onnx",
        input_names=GRAPH_INPUTS,
        output_names=outputs,
        dynamic_axes={name: {0: "B"} for name in [*GRAPH_INPUTS, *outputs]},
        opset_version=18,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(tmp_path / "clips.onnx")
    feed = {name: values.numpy() for name, values in zip(GRAPH_INPUTS, inputs, strict=True)}
    read = {each.name for each in session.get_inputs()}
    found = session.run(None, {name: values for name, values in feed.items() if name in read})
    with torch.no_grad():
        expected = graph(*inputs)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "visual", "shown_in"),
    [
        (FcnAttention, None, ("voice",)),
        (GFbp, "frozen", ("voice",)),
        (GFbp, "frozen", ("face",)),
        (GFbp, "own", ("face",)),
        (AgFbp, "frozen", ("voice",)),
        (AgFbp, "frozen", ("face",)),
        (AgFbp, "frozen", ("voice", "face")),
        (AmFbp, "frozen", ("voice",)),
        (AmFbp, "frozen", ("face",)),
        (AmFbp, "frozen", ("voice", "face")),
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
    for _ in range(15):
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

    other = clips._replace(**{name: reordered(getattr(clips, name)) for name in GRAPH_INPUTS})
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
    thirds = {name: getattr(clips, name).chunk(3, dim=1)[0] for name in GRAPH_INPUTS}
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
