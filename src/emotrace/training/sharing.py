"""A batch and several processes -> each runs its rows through the network, and all learn from the loss of the whole.

Every process draws the same whole batch. What costs time is cut: a process sends its own rows through, and gets those
of the others with their gradients. The loss is then that of the whole batch in every process, whatever it is made of,
and the mean of the gradients, which DDP takes, is the gradient of that loss. What is not cut every process does alike.

Within what is cut, batch normalisation measures all rows, and dropout draws for all rows and takes its own: on a CPU
the draws are those of one process.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from emotrace.training.settings import SystemName

_ENTIRE = ""
"""Of a frame-level system what it says for training, of a clip-level one its answer."""
_PARTS: Mapping[SystemName, tuple[tuple[str, ...], tuple[str, ...]]] = {
    **dict.fromkeys(("bimodal-attention", "concatenation"), ((_ENTIRE,), ("spectrum",))),
    **dict.fromkeys(("lstm-ensemble", "modular-hierarchy"), ((_ENTIRE,), ())),
    **dict.fromkeys(("end-to-end-lstm", "deep-belief"), ((), ("voice", "face"))),
    "leader-follower": ((_ENTIRE,), ("visual.encoder", "vggish", "rows")),
    "fcn-attention": ((_ENTIRE,), ()),
    **dict.fromkeys(("g-fbp", "ag-fbp"), ((_ENTIRE,), ("streams.frames.encoder", "streams.map.encoder"))),
    "am-fbp": (("streams",), ("streams.frames.encoder", "streams.map.encoder")),
    "vaanet": ((), ("sound",)),
    "cross-modal-metric": ((_ENTIRE,), ("sound",)),
    "perception-attention": ((_ENTIRE,), ("frames.encoder",)),
    "disentangled": ((_ENTIRE,), ("encode.frames.encoder",)),
    "dialogue-attention": (("utterance",), ("utterance.frames.encoder",)),
    "positive-sample-propagation": (("maps", "hear"), ("hear",)),
}
"""System -> what of it is cut where that is possible, and where its encoders are cut alone.

An encoder may meet only the rows that are known, or differ: their number is not the same in all processes, and what
depends on it, batch normalisation and dropout, must not be cut from outside. As an argument of the encoder it is.
"""
_LEAST_ROWS = 2
"""Of a process: one alone has no batch statistics."""

Batch = TypeVar("Batch")


def can_share(system: SystemName) -> bool:
    """Tell whether anything of a system can be cut; what is fitted in closed form has no batches."""
    return system in _PARTS


class Sharing:
    """What a process of a group does with a batch; in one process alone, nothing.

    Attributes:
        rank: of this process.
        world: number of processes.
    """

    def __init__(self, system: nn.Module, name: SystemName) -> None:
        """Prepare a system: its normalisation and dropout are replaced by those that see all rows.

        Args:
            system: to be trained; its `state_dict` keeps its names.
            name: of the system in the settings.
        """
        together = distributed.is_available() and distributed.is_initialized()
        self.rank, self.world = (distributed.get_rank(), distributed.get_world_size()) if together else (0, 1)
        self._rows: tuple[int, int, int] | None = None
        self._parts: list[nn.Module] = []
        self._is_entire = False
        if self.world > 1:
            _replace_layers(system, self)
            entire, encoders = _PARTS[name]
            chosen = encoders if _depends_on_rows(system, encoders) else entire
            self._is_entire = _ENTIRE in chosen
            self._parts = [system] if self._is_entire else _found(system, chosen)

    def outputs(self, answer: Callable[[Batch], Sequence[Any]], batch: Batch) -> Sequence[Any]:
        """Return what a frame-level system answers on a whole batch.

        Args:
            answer: batch -> a sequence of named tuples of tensors [B, ...].
            batch: a named tuple of tensors [B, ...].
        """
        if not self._is_entire:
            with self.cut():
                return answer(batch)
        if not self._begin(_rows_of(batch)):
            return answer(batch)
        try:
            said = answer(self._own(batch))
        finally:
            rows, self._rows = self._rows, None
        return [self._of_all(each, rows) for each in said]

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Within this, a call of a part gets its own rows of its arguments, and returns those of all processes."""
        hooks = [part.register_forward_pre_hook(self._enter) for part in self._parts]
        hooks += [part.register_forward_hook(self._leave) for part in self._parts]
        try:
            yield
        finally:
            self._rows = None
            for hook in hooks:
                hook.remove()

    @property
    def rows(self) -> tuple[int, int, int] | None:
        """Number of all rows, and the first and the end of this process's own; None where nothing is cut."""
        return self._rows

    def _begin(self, count: int) -> bool:
        """Cut so many rows if there are enough, which all processes decide alike."""
        if self.world > 1 and count >= _LEAST_ROWS * self.world:
            self._rows = (count, *_bounds(count, self.rank, self.world))
        return self._rows is not None

    def _enter(self, part: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self._own(each) for each in arguments) if self._begin(_rows_of(arguments[0])) else arguments

    def _leave(self, part: nn.Module, arguments: tuple[Any, ...], answer: Any) -> Any:
        rows, self._rows = self._rows, None
        return answer if rows is None else self._of_all(answer, rows)

    def _own(self, batch: Batch) -> Batch:
        assert self._rows is not None
        own = slice(*self._rows[1:])
        return cast(Batch, _each(batch, lambda values: values[own]))

    def _of_all(self, found: Any, rows: tuple[int, int, int] | None) -> Any:
        assert rows is not None
        return _each(found, lambda values: self._gathered(values, rows[0]))

    def _gathered(self, values: Tensor, count: int) -> Tensor:
        """Return the rows of all processes; those of the others have gradients too."""
        bounds = [_bounds(count, rank, self.world) for rank in range(self.world)]
        most = max(stop - first for first, stop in bounds)
        # Processes can only exchange what has the same shape, in a type that every backend knows.
        carried = values.float() if values.is_floating_point() else values.long()
        blank = carried.new_zeros(most - len(carried), *carried.shape[1:])
        filled = torch.cat([carried, blank]).contiguous()
        parts = _apply(_Gathered, filled, self.rank, self.world)
        own = [part[: stop - first] for part, (first, stop) in zip(parts, bounds, strict=True)]
        return torch.cat(own).to(values.dtype)


def _bounds(count: int, rank: int, world: int) -> tuple[int, int]:
    return count * rank // world, count * (rank + 1) // world


def _rows_of(batch: Any) -> int:
    return len(batch) if isinstance(batch, Tensor) else len(batch[0])


def _each(batch: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a tensor, or a tuple or named tuple of tensors, with each of them changed."""
    if isinstance(batch, Tensor):
        return change(batch)
    changed = [change(values) for values in batch]
    return type(batch)(*changed) if hasattr(batch, "_fields") else tuple(changed)


def _found(system: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Return the parts of these names that a system has with its settings."""
    every = dict(system.named_modules())
    return [every[name] for name in names if name in every]


def _depends_on_rows(system: nn.Module, encoders: Sequence[str]) -> bool:
    """Tell whether there is batch normalisation anywhere, or dropout in an encoder."""
    if any(isinstance(part, _WholeNorm) and part.training for part in system.modules()):
        return True
    within = [part for encoder in _found(system, encoders) for part in encoder.modules()]
    return any(isinstance(part, _WholeDropout) and part.training for part in within)


def _replace_layers(module: nn.Module, sharing: Sharing) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):  # no public name has all of them
            setattr(module, name, _WholeNorm(child, sharing))
        elif isinstance(child, nn.Dropout | nn.Dropout1d):
            setattr(module, name, _WholeDropout(child, sharing))
        else:
            _replace_layers(child, sharing)


class _WholeNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the rows of all processes; `SyncBatchNorm` of torch refuses a CPU."""

    def __init__(self, norm: nn.modules.batchnorm._BatchNorm, sharing: Sharing) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        # The very same parameters: an optimiser or a schedule may hold them already.
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self.train(norm.training)
        self.sharing = sharing

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.sharing.rows is None:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = (1, -1, *(1,) * (input.ndim - 2))
        values = input.float()
        count = _summed(values.new_tensor([values.numel() / values.shape[1]]))
        mean = _apply(_Summed, values.sum(dim=axes)) / count
        off = values - mean.reshape(shape)
        variance = _apply(_Summed, off.square().sum(dim=axes)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        out = off * (variance + self.eps).rsqrt().reshape(shape)
        if self.affine:
            out = out * self.weight.reshape(shape) + self.bias.reshape(shape)
        return out.to(input.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any shape [N, C, ...] will do."""


class _Gathered(torch.autograd.Function):
    """The same shape of every process -> [process, ...]; each gets the gradients that all have for its own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rank: int, world: int) -> Tensor:
        ctx.rank = rank
        parts = [torch.empty_like(values) for _ in range(world)]
        distributed.all_gather(parts, values)
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        own: Tensor = _summed(gradient)[ctx.rank]
        return own, None, None


class _Summed(torch.autograd.Function):
    """Values -> their sum over all processes, and so for the gradients."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _summed(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _summed(gradient)


def _apply(function: Any, *arguments: Any) -> Tensor:
    """Return what a function of autograd does, which torch has no types for."""
    found: Tensor = function.apply(*arguments)
    return found


def _summed(values: Tensor) -> Tensor:
    total = values.clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total


class _WholeDropout(nn.Module):
    """Dropout of single values or whole channels: drawn for the rows of all processes, of which it takes its own."""

    def __init__(self, dropout: nn.Dropout | nn.Dropout1d, sharing: Sharing) -> None:
        super().__init__()
        self.dropout = dropout
        self.sharing = sharing

    def forward(self, values: Tensor) -> Tensor:
        rows, share = self.sharing.rows, self.dropout.p
        if not self.training or rows is None or share == 0:
            out: Tensor = self.dropout(values)
            return out
        count, first, stop = rows
        each, left = divmod(len(values), stop - first)
        if left:
            raise RuntimeError(f"Dropout of {len(values)} rows, where a process has {stop - first}: it cannot be cut.")
        shape = [each * count, *values.shape[1:]]
        if isinstance(self.dropout, nn.Dropout1d):
            kept = values.new_empty([*shape[:2], *(1,) * (values.ndim - 2)])
        else:
            kept = _laid_out_like(values, shape)
        kept = kept.bernoulli_(1 - share).div_(1 - share)
        return values * kept[each * first : each * stop]


def _laid_out_like(values: Tensor, shape: Sequence[int]) -> Tensor:
    """Return an empty tensor whose axes lie in memory in the order of those of values, as torch draws in that order."""
    order = sorted(range(values.ndim), key=values.stride, reverse=True)
    places = [order.index(axis) for axis in range(values.ndim)]
    return values.new_empty([shape[axis] for axis in order]).permute(places)
