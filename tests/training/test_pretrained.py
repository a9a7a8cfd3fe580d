"""A file of weights -> a module: what fits is loaded, what does not is told, and nothing in the file is run."""

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from emotrace.errors import SettingsError
from emotrace.training import pretrained
from emotrace.training.pretrained import load_pretrained


class Network(nn.Module):
    """Two convolutions, one normalised, and a last layer."""

    def __init__(self, colours: int = 1, classes: int = 8) -> None:
        super().__init__()
        self.first = nn.Conv2d(colours, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, bias=False)
        self.last = nn.Linear(4, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.second(self.norm(self.first(pictures)).relu()).relu()
        answer: Tensor = self.last(maps.mean(dim=(2, 3)))
        return answer


NUM_VALUES = 9


@pytest.fixture
def source() -> Network:
    return made(1)


def made(seed: int, **sizes: int) -> Network:
    torch.manual_seed(seed)
    network = Network(**sizes)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.uniform_(0.1, 1.0)
    return network.eval()


def saved(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def answer(network: Network, colours: int = 1) -> Tensor:
    torch.manual_seed(9)
    with torch.inference_mode():
        answer: Tensor = network(torch.rand(2, 1, 9, 9).expand(-1, colours, -1, -1))
    return answer


def assert_untouched(network: Network) -> None:
    for key, value in made(0).state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("wrap", ["plain", "state_dict", "model", "prefixed", "wrapped and prefixed", "half"])
def test_every_usual_way_to_save_a_network_gives_it_back(wrap: str, source: Network, tmp_path: Path) -> None:
    state: dict[str, Any] = dict(source.state_dict())
    if "prefixed" in wrap:
        state = {f"module.encoder.{key}": value for key, value in state.items()}
    if wrap == "half":
        state = {key: value.half() for key, value in state.items()}
    if wrap in ("state_dict", "model", "wrapped and prefixed"):
        state = {"model" if wrap == "model" else "state_dict": state, "epoch": 3}
    network = made(0)
    matched = load_pretrained(network, saved(state, tmp_path / "weights.pt"), "visual")
    assert len(matched.loaded) == NUM_VALUES
    assert matched.missing == matched.unused == matched.changed == ()
    torch.testing.assert_close(answer(network), answer(source), atol=0, rtol=1e-2 if wrap == "half" else 0)


def test_parameters_saved_as_such_leave_no_trace_of_their_gradients(source: Network, tmp_path: Path) -> None:
    network = made(0)
    load_pretrained(network, saved(source.state_dict(keep_vars=True), tmp_path / "weights.pt"), "visual")
    assert all(value.is_leaf and value.requires_grad for value in network.parameters())
    assert not any(value.requires_grad for value in network.state_dict().values())


def test_safetensors_and_torch_files_give_the_same(source: Network, tmp_path: Path) -> None:
    state = {f"module.{key}": value.clone() for key, value in source.state_dict().items()}
    save_file(state, tmp_path / "weights.safetensors")
    one, other = made(0), made(0)
    from_torch = load_pretrained(one, saved(state, tmp_path / "weights.pt"), "visual")
    from_safetensors = load_pretrained(other, tmp_path / "weights.safetensors", "visual")
    assert from_torch.loaded == from_safetensors.loaded
    assert len(from_torch.loaded) == NUM_VALUES
    for key, value in one.state_dict().items():
        torch.testing.assert_close(other.state_dict()[key], value, rtol=0, atol=0)
    torch.testing.assert_close(answer(other), answer(source), rtol=0, atol=0)


def test_a_module_inside_another_takes_the_weights_of_the_inner_one_alone(source: Network, tmp_path: Path) -> None:
    outer = nn.Module()
    outer.add_module("encoder", made(0))
    matched = load_pretrained(outer, saved(source.state_dict(), tmp_path / "weights.pt"), "visual")
    assert matched.loaded[0] == "encoder.first.weight"
    assert matched.missing == ()
    torch.testing.assert_close(answer(outer.get_submodule("encoder")), answer(source), rtol=0, atol=0)  # type: ignore[arg-type]  # the network


def test_part_of_a_network_is_loaded_and_the_rest_stays_and_is_told(source: Network, tmp_path: Path) -> None:
    state = {key: value for key, value in source.state_dict().items() if key.startswith("first.")}
    network = made(0)
    matched = load_pretrained(network, saved(state, tmp_path / "weights.pt"), "visual")
    assert matched.loaded == ("first.weight", "first.bias")
    assert len(matched.missing) == NUM_VALUES - 2
    torch.testing.assert_close(network.first.weight, source.first.weight, rtol=0, atol=0)
    torch.testing.assert_close(network.last.weight, made(0).last.weight, rtol=0, atol=0)


def test_a_value_of_another_shape_is_left_out_and_told(tmp_path: Path) -> None:
    network = made(0)
    path = saved({**made(1, classes=7).state_dict(), "extra.weight": torch.ones(3)}, tmp_path / "weights.pt")
    matched = load_pretrained(network, path, "visual")
    assert matched.missing == ("last.weight", "last.bias")
    assert matched.unused == ("last.weight", "last.bias", "extra.weight")
    assert matched.summary() == (
        f"visual: 7 of 9 values loaded from {path}; missing: last.weight, last.bias; "
        "unused: last.weight, last.bias, extra.weight"
    )
    torch.testing.assert_close(network.last.weight, made(0).last.weight, rtol=0, atol=0)


OTHER_NAMES = "a/kernel a/shift n/gamma n/beta n/mean n/variance b/kernel c/kernel c/shift".split()


def renamed(source: Network, names: list[str]) -> dict[str, Tensor]:
    values = [value for key, value in source.state_dict().items() if not key.endswith("num_batches_tracked")]
    return OrderedDict(zip(names, values, strict=True))


def test_the_same_network_under_other_names_is_matched_by_order_and_told(source: Network, tmp_path: Path) -> None:
    state = {**renamed(source, OTHER_NAMES), "head": torch.ones(5)}
    network = made(0)
    matched = load_pretrained(network, saved(state, tmp_path / "weights.pt"), "visual")
    assert matched.unused == ("head",)
    assert matched.missing == ()
    assert "order of their shapes" in matched.changed[0]
    assert matched.summary().splitlines()[1] == matched.changed[0]
    torch.testing.assert_close(answer(network), answer(source), rtol=0, atol=0)


def test_names_go_before_the_order(source: Network, tmp_path: Path) -> None:
    backwards = dict(reversed(source.state_dict().items()))
    network = made(0)
    matched = load_pretrained(network, saved(backwards, tmp_path / "weights.pt"), "visual")
    assert matched.changed == ()
    torch.testing.assert_close(answer(network), answer(source), rtol=0, atol=0)


def test_an_order_with_a_shift_where_a_scale_stands_does_not_count(source: Network, tmp_path: Path) -> None:
    names = "a/kernel a/shift n.bias n.weight n/mean n/variance b/kernel c/kernel c/shift".split()
    network = made(0)
    with pytest.raises(SettingsError, match="nothing in"):
        load_pretrained(network, saved(renamed(source, names), tmp_path / "weights.pt"), "visual")
    assert_untouched(network)


def test_an_order_that_a_name_contradicts_does_not_count(source: Network, tmp_path: Path) -> None:
    names = "a/kernel a/shift norm.running_mean n/beta n/mean n/variance b/kernel c/kernel c/shift".split()
    network = made(0)
    matched = load_pretrained(network, saved(renamed(source, names), tmp_path / "weights.pt"), "visual")
    assert matched.loaded == ("norm.running_mean",)
    torch.testing.assert_close(network.first.weight, made(0).first.weight, rtol=0, atol=0)


def test_other_names_in_safetensors_are_refused_as_that_keeps_no_order(source: Network, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({name: value.clone() for name, value in renamed(source, OTHER_NAMES).items()}, path)
    network = made(0)
    with pytest.raises(SettingsError, match=r"nothing in .*must be in torch's own format"):
        load_pretrained(network, path, "visual")
    assert_untouched(network)


@pytest.mark.parametrize("named", [True, False])
def test_three_colours_are_summed_for_a_grey_network_which_then_sees_grey_as_before(
    named: bool, tmp_path: Path
) -> None:
    colourful = made(1, colours=3)
    state = colourful.state_dict() if named else renamed(colourful, OTHER_NAMES)
    network = made(0)
    matched = load_pretrained(network, saved(state, tmp_path / "weights.pt"), "visual")
    assert matched.missing == matched.unused == ()
    assert "3 colours of first.weight" in matched.changed[-1]
    torch.testing.assert_close(answer(network), answer(colourful, colours=3))


def test_only_the_first_convolution_sums_colours(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, groups=4))
    state = network.state_dict() | {"0.weight": torch.ones(4, 3, 3, 3), "1.weight": torch.ones(4, 3, 3, 3)}
    matched = load_pretrained(network, saved(state, tmp_path / "weights.pt"), "visual")
    assert matched.missing == matched.unused == ("1.weight",)
    assert len(matched.changed) == 1
    torch.testing.assert_close(network.state_dict()["0.weight"], torch.full((4, 1, 3, 3), 3.0))


def test_nothing_that_fits_is_an_error_that_shows_both_sides(tmp_path: Path) -> None:
    network = made(0)
    path = saved({"other.weight": torch.ones(7, 5), "\x1b[2J": torch.ones(1)}, tmp_path / "weights.pt")
    with pytest.raises(
        SettingsError, match=r"other\.weight \[7, 5\].*expected is first\.weight \[4, 1, 3, 3\]"
    ) as told:
        load_pretrained(network, path, "visual")
    assert str(told.value).isprintable()
    assert_untouched(network)


class Traitor:
    """Makes a folder when it is unpacked by the ordinary way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.folder,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_would_run_code_is_refused_and_does_not_run(legacy: bool, source: Network, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    path = tmp_path / "weights.pt"
    torch.save({**source.state_dict(), "x": Traitor(trace)}, path, _use_new_zipfile_serialization=not legacy)
    network = made(0)
    with pytest.raises(SettingsError, match="could run code") as told:
        load_pretrained(network, path, "visual")
    assert "weights_only" not in str(told.value)  # torch's own words say how to run it
    assert not trace.exists()
    assert_untouched(network)
    torch.load(path, weights_only=False)
    assert trace.exists()  # the file is one that runs code


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("damage", ["cut", "text", "empty", "missing", "folder"])
def test_a_damaged_or_missing_file_is_refused(suffix: str, damage: str, source: Network, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    saved(source.state_dict(), path) if suffix == ".pt" else save_file(source.state_dict(), path)
    whole = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"hello\n" * 100, "empty": b""}[damage])
    network = made(0)
    expected = "there is no file" if damage in ("missing", "folder") else "is damaged"
    with pytest.raises(SettingsError, match=rf"visual: .*{expected}"):
        load_pretrained(network, path, "visual")
    assert_untouched(network)


@pytest.mark.parametrize("content", [torch.ones(3), [torch.ones(3)], {"epoch": 3}, {"state_dict": {1: torch.ones(3)}}])
def test_a_file_without_named_tensors_is_refused(content: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="holds no named tensors"):
        load_pretrained(made(0), saved(content, tmp_path / "weights.pt"), "visual")


def test_values_that_are_not_numbers_are_refused_before_any_is_loaded(source: Network, tmp_path: Path) -> None:
    state = source.state_dict()
    state["last.bias"] = torch.full((8,), math.nan)
    network = made(0)
    with pytest.raises(SettingsError, match=r"last\.bias in .* not finite"):
        load_pretrained(network, saved(state, tmp_path / "weights.pt"), "visual")
    assert_untouched(network)


def test_whole_numbers_are_not_taken_for_weights(source: Network, tmp_path: Path) -> None:
    state = source.state_dict()
    state["last.weight"] = torch.ones(8, 4, dtype=torch.int8)
    matched = load_pretrained(made(0), saved(state, tmp_path / "weights.pt"), "visual")
    assert matched.missing == matched.unused == ("last.weight",)


def test_a_file_over_the_limit_is_not_opened(source: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(source.state_dict(), tmp_path / "weights.pt")
    monkeypatch.setattr(pretrained, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(SettingsError, match="without the state of the optimiser"):
        load_pretrained(made(0), path, "visual")
    monkeypatch.setattr(pretrained, "MAX_BYTES", path.stat().st_size)
    load_pretrained(made(0), path, "visual")
