"""A file with the weights of a network, trained elsewhere by whoever gives it -> a module that starts from them.

Files are safetensors, or torch's own with tensors alone; nothing in a file is executed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import torch
from torch import Tensor, nn

from emotrace.errors import SettingsError
from emotrace.training.arrays import read_tensors

MAX_BYTES = 2 << 30
"""VGG-19, the largest network here, takes a quarter of it."""

_SAFETENSORS = ".safetensors"
_WRAPPERS = ("state_dict", "model")
_COLOURS = 3
_MAX_PREFIX = 8
"""Parts of a name that are taken away at most."""
_COUNTER = "num_batches_tracked"
"""Of batch normalisation: not learnt, and missing in older files."""
_KINDS = frozenset({"weight", "bias", "running_mean", "running_var"})
_SHOWN_NAMES = 3
_SHOWN_LETTERS = 80

_EXPECTED = "a .safetensors file or the result of torch.save(network.state_dict(), FILE)"

_Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Matched:
    """What a file of weights had for a module. Counters of batches are left out throughout.

    Attributes:
        name: of the module, in words for people.
        path: the file.
        loaded: names in the module of what was loaded.
        missing: names in the module of what the file does not have, or not in this shape.
        unused: names in the file of what has no place in the module, or not in this shape.
        changed: sentences on what was not loaded as it stands there under the same name.
    """

    name: str
    path: Path
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    changed: tuple[str, ...]

    def summary(self) -> str:
        """Return a line on how much was loaded and, where something was changed, a line on that."""
        parts = [f"{self.name}: {len(self.loaded)} of {len(self.loaded) + len(self.missing)} values loaded"]
        parts[0] += f" from {self.path}"
        parts += [f"missing: {_few(self.missing)}"] if self.missing else []
        parts += [f"unused: {_few(self.unused)}"] if self.unused else []
        return "; ".join(parts) + ("\n" + "; ".join(self.changed) if self.changed else "")


def load_pretrained(module: nn.Module, path: Path, name: str) -> Matched:
    """Load what fits of a file of weights into a module; the rest of the module stays as it is.

    A value fits under the same name and of the same shape. What all names of the file, or of the module, begin with
    does not count ("module.", "backbone."). Where names differ but kinds and shapes follow each other as in the module,
    the same network under other names, the order decides; what the file holds after that is unused. Safetensors files
    keep no order, so there names alone decide. The kernels of a first convolution on three colours are summed for a
    module with one grey channel: three equal colours give the same sums.

    Args:
        module: parameters and buffers are written in place.
        path: `*.safetensors`, or what `torch.save(network.state_dict(), path)` writes, also as the entry "state_dict"
            or "model" of a dictionary.
        name: of the module, in words for people.

    Raises:
        SettingsError: the file is not there, too large, damaged, or holds more than tensors; nothing in it fits; or a
            value in it is not finite. The module is as it was then.
    """
    wanted = _weights(module.state_dict())
    found = _read(path, name)
    pairs, changed = _match(wanted, found, keeps_order=path.suffix != _SAFETENSORS)
    if not pairs:
        raise SettingsError(
            f"{name}: nothing in {path} fits. It holds {_few(_shapes(found))}, but expected is "
            f"{_few(_shapes(wanted)) or 'nothing'}. Give weights of this very network, or leave the file out"
            + (" (under other names, they must be in torch's own format)." if path.suffix == _SAFETENSORS else ".")
        )
    values = {key: found[source].detach().to(wanted[key].dtype) for key, source in pairs.items()}
    wrong = [pairs[key] for key, value in values.items() if not torch.isfinite(value).all()]
    if wrong:
        raise SettingsError(
            f"{name}: {_few(wrong)} in {path} holds values that are not finite numbers. "
            "Give weights of a training that succeeded, or leave the file out."
        )
    for key, value in values.items():
        in_colour = value.shape != wanted[key].shape
        wanted[key].copy_(value.sum(dim=1, keepdim=True) if in_colour else value)
        changed += [f"the {_COLOURS} colours of {key} were summed into one grey channel"] if in_colour else []
    used = set(pairs.values())
    return Matched(
        name=name,
        path=path,
        loaded=tuple(key for key in wanted if key in pairs),
        missing=tuple(key for key in wanted if key not in pairs),
        unused=tuple(key for key in found if key not in used),
        changed=tuple(changed),
    )


def _read(path: Path, name: str) -> _Tensors:
    """Return the weights in a file, in its order."""
    if not path.is_file():
        raise SettingsError(f"{name}: there is no file {path}. Give a file of weights, or leave it out.")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise SettingsError(
            f"{name}: {path} has {size / 1e9:.1f} GB, but weights have at most {MAX_BYTES / 1e9:.1f} GB here. "
            "Save the weights alone, without the state of the optimiser."
        )
    try:
        content: object = (
            read_tensors(path)
            if path.suffix == _SAFETENSORS
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    # A damaged file makes torch raise errors of nearly any type. Its words are not passed on: they advise to run it.
    except Exception as error:
        raise SettingsError(
            f"{name}: {path} is damaged, or holds more than tensors, which is not loaded as it could run code. "
            f"Expected is {_EXPECTED}: save the weights so."
        ) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    weights = _weights(content) if isinstance(content, Mapping) else {}
    if not weights:
        raise SettingsError(f"{name}: {path} holds no named tensors. Expected is {_EXPECTED}: save the weights so.")
    return weights


def _weights(content: Mapping[object, object] | Mapping[str, object]) -> _Tensors:
    """Return the dense tensors with names, without counters."""
    return {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and isinstance(value, Tensor) and _is_dense(value) and key.split(".")[-1] != _COUNTER
    }


def _is_dense(value: Tensor) -> bool:
    return value.layout == torch.strided and not (value.is_quantized or value.is_meta or value.is_complex())


def _match(wanted: _Tensors, found: _Tensors, *, keeps_order: bool) -> tuple[dict[str, str], list[str]]:
    """Return names of the module -> names of the file, and a sentence where it was not the names that decided."""
    fits = _fitting(wanted)
    pairs = _by_name(wanted, found, fits)
    ordered = _by_order(wanted, found, fits) if keeps_order else {}
    if len(ordered) > len(pairs) and pairs.items() <= ordered.items():
        return ordered, ["names differ, so values were matched by the order of their shapes"]
    return pairs, []


def _fitting(wanted: _Tensors) -> Callable[[str, Tensor], bool]:
    """Return a function that tells whether a value fits the place of a name."""
    first_convolution = next((key for key, value in wanted.items() if value.dim() >= 4), None)

    def fits(key: str, value: Tensor) -> bool:
        place = wanted[key]
        if value.is_floating_point() != place.is_floating_point():
            return False
        in_colour = (place.shape[0], _COLOURS, *place.shape[2:]) if place.dim() >= 4 else ()
        is_summed = key == first_convolution and place.shape[1] == 1 and tuple(value.shape) == in_colour
        return value.shape == place.shape or is_summed

    return fits


def _by_name(wanted: _Tensors, found: _Tensors, fits: Callable[[str, Tensor], bool]) -> dict[str, str]:
    """Return names of the module -> names of the file, by taking away those common beginnings that match most."""
    best: dict[str, str] = {}
    for theirs in _shortened(found):
        for ours in _shortened(wanted):
            both = ((key, theirs[short]) for short, key in ours.items() if short in theirs)
            pairs = {key: source for key, source in both if fits(key, found[source])}
            best = pairs if len(pairs) > len(best) else best
    return best


def _shortened(tensors: _Tensors) -> list[dict[str, str]]:
    """Return short name -> name without the first part of all names, the first two .., as far as all share them."""
    columns = zip(*(key.split(".")[:-1][:_MAX_PREFIX] for key in tensors), strict=False)
    shared = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return [{key.split(".", cut)[cut]: key for key in tensors} for cut in range(shared + 1)]


def _by_order(wanted: _Tensors, found: _Tensors, fits: Callable[[str, Tensor], bool]) -> dict[str, str]:
    """Return names of the module -> names of the file, one after the other; empty unless all of the module fit."""
    pairs = dict(zip(wanted, found, strict=False))
    if len(pairs) < len(wanted) or not all(fits(key, found[source]) for key, source in pairs.items()):
        return {}
    kinds = [{key.split(".")[-1], source.split(".")[-1]} for key, source in pairs.items()]
    # Scale and shift of a normalisation have one shape: a file that tells them apart must do so as the module does.
    return {} if any(len(pair) == 2 and pair <= _KINDS for pair in kinds) else pairs


def _shapes(tensors: _Tensors) -> list[str]:
    return [f"{key} {list(value.shape)}" for key, value in tensors.items()]


def _few(names: Iterable[str]) -> str:
    """Return the first names for people; those of a stranger's file may be long, or drive a terminal."""
    every = list(names)
    shown = [name if name.isprintable() else ascii(name) for name in every[:_SHOWN_NAMES]]
    short = [name if len(name) <= _SHOWN_LETTERS else name[:_SHOWN_LETTERS] + "..." for name in shown]
    return ", ".join(short) + (f" and {len(every) - _SHOWN_NAMES} more" if len(every) > _SHOWN_NAMES else "")
