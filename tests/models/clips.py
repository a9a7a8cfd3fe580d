"""Toy clips whose class is heard and seen, and what tests of every clip-level system need of them.

Axes as in `layers/clips.py`.
"""

from collections.abc import Collection

import torch
from torch import Generator, Tensor, nn

from emotrace.layers.clips import Backbone, ClipAnswer, Clips, ClipSizes, Modality, Sampling

_BOTH: frozenset[Modality] = frozenset({"voice", "face"})
KINDS = ("complete", "scattered", "voice alone", "face alone", "nothing", "second half")
"""What is valid of the first, second, ... clip of a batch, over and over."""


def toy_sizes(
    classes: int = 4,
    *,
    bands: int = 80,
    crop_side: int = 32,
    num_regions: int = 4,
    region_dim: int = 6,
    num_persons: int = 0,
) -> ClipSizes:
    return ClipSizes(
        classes=tuple(f"class {number}" for number in range(classes)),
        bands=bands,
        crop_side=crop_side,
        num_regions=num_regions,
        region_dim=region_dim,
        num_persons=num_persons,
    )


def toy_clips(
    sizes: ClipSizes,
    sampling: Sampling,
    batch: int = 12,
    seed: int = 0,
    *,
    visual: Backbone | None = "frozen",
    shown_in: Collection[Modality] = _BOTH,
    complete: bool = False,
) -> Clips:
    """Return clips of all classes, about equally many of each.

    Args:
        sizes: shapes.
        sampling: V, P, A and F.
        batch: B.
        seed: of all but the looks of the classes, which are the same in every batch.
        visual: what reads the pictures: "own" gets pictures, "frozen" gets regions, None neither.
        shown_in: where the class shifts the mean; the other modality is noise.
        complete: everything is valid; otherwise the clips are of all `KINDS`.
    """
    generator = Generator().manual_seed(seed)
    count = len(sizes.classes)
    label = (torch.arange(batch) % count)[torch.randperm(batch, generator=generator)]
    looks = torch.eye(count)[label]  # [B, C]
    face, voice = looks * ("face" in shown_in), looks * ("voice" in shown_in)

    def noise(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator)

    views = (sampling.snippets, sampling.pictures)
    # A class brightens a stripe of the picture, a band of frequencies, and has a direction of its own among regions.
    stripes = face[:, torch.arange(sizes.crop_side) * count // sizes.crop_side]
    width = sizes.crop_side if visual == "own" else 0
    pictures = 0.4 + 0.3 * stripes[:, None, None, :, None] + 0.05 * noise(*views, sizes.crop_side, width)
    # All faces have something in common, as features of a real encoder do.
    common, *directions = torch.randn(count + 1, sizes.region_dim, generator=Generator().manual_seed(100))
    region = common + face @ torch.stack(directions)
    regions = region[:, None, None, None] + 0.3 * noise(*views, sizes.num_regions, sizes.region_dim)
    bumps = voice[:, torch.arange(sizes.bands) * count // sizes.bands]
    sound = 1.5 * bumps[:, None, None] + 0.5 * noise(sampling.segments, sampling.frames, sizes.bands)
    seen, heard = (
        _valid(batch, *shape, complete=complete, modality=modality, generator=generator)
        for shape, modality in ((views, "face"), ((sampling.segments, sampling.frames), "voice"))
    )
    return filled(
        Clips(
            pictures=pictures.clamp(0, 1),
            regions=regions if visual == "frozen" else regions[..., :0],
            pictures_valid=seen,
            sound=sound,
            sound_valid=heard,
            label=label,
            part_label=label[:, None].expand(-1, sampling.snippets),
            person=torch.arange(batch) % sizes.num_persons if sizes.num_persons else torch.full((batch,), -1),
            dialogue=torch.full((batch,), -1),
            speaker=torch.full((batch,), -1),
        ),
        0.0,
    )


def _valid(batch: int, outer: int, inner: int, *, complete: bool, modality: str, generator: Generator) -> Tensor:
    """Return [B, outer, inner] bool."""
    scattered = torch.rand(batch, outer * inner, generator=generator) < 0.7
    second_half = torch.arange(outer * inner) >= (outer * inner) // 2
    valid = torch.ones(batch, outer * inner, dtype=torch.bool)
    for index in range(0 if complete else batch):
        kind = KINDS[index % len(KINDS)]
        if kind == "scattered":
            valid[index] = scattered[index]
        elif kind == "second half":
            valid[index] = second_half
        else:
            valid[index] = kind in ("complete", f"{modality} alone")
    return valid.reshape(batch, outer, inner)


def filled(clips: Clips, value: float) -> Clips:
    """Return the same with a value, such as NaN, wherever pictures or sound are not valid."""
    unseen = ~clips.pictures_valid[..., None, None]
    return clips._replace(
        pictures=clips.pictures.masked_fill(unseen, value),
        regions=clips.regions.masked_fill(unseen, value),
        sound=clips.sound.masked_fill(~clips.sound_valid[..., None], value),
    )


def only(clips: Clips, *modalities: Modality) -> Clips:
    """Return the same without the other modalities."""
    return filled(
        clips._replace(
            pictures_valid=clips.pictures_valid & ("face" in modalities),
            sound_valid=clips.sound_valid & ("voice" in modalities),
        ),
        0.0,
    )


def rows(clips: Clips, chosen: slice | list[int]) -> Clips:
    """Return some clips of a batch, in the order asked for."""
    return Clips(*(values[chosen] for values in clips))


def assert_answers(answer: ClipAnswer, clips: Clips, sizes: ClipSizes, *, weighs: bool) -> None:
    """Check shapes, that all is finite, and that weights lie in 0..1, or are NaN for a system that weighs nothing."""
    batch = len(clips.label)
    assert answer.logits.shape == (batch, len(sizes.classes))
    assert answer.embedding.shape[0] == batch
    assert answer.embedding.ndim == 2
    assert answer.audio_weight.shape == (batch,)
    assert answer.logits.isfinite().all()
    assert answer.embedding.isfinite().all()
    if weighs:
        assert ((answer.audio_weight >= 0) & (answer.audio_weight <= 1)).all()
    else:
        assert answer.audio_weight.isnan().all()


def assert_same(found: ClipAnswer, expected: ClipAnswer, *, tolerance: float = 1e-5) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=tolerance, equal_nan=True)


def blank_clips(sizes: ClipSizes, sampling: Sampling, batch: int = 2) -> Clips:
    """Return clips of zeros, pictures and regions both, all valid: enough to see the shapes within a network."""
    views, segments = (batch, sampling.snippets, sampling.pictures), (batch, sampling.segments, sampling.frames)
    return Clips(
        pictures=torch.zeros(*views, sizes.crop_side, sizes.crop_side),
        regions=torch.zeros(*views, sizes.num_regions, sizes.region_dim),
        pictures_valid=torch.ones(*views, dtype=torch.bool),
        sound=torch.zeros(*segments, sizes.bands),
        sound_valid=torch.ones(*segments, dtype=torch.bool),
        label=torch.zeros(batch, dtype=torch.int64),
        part_label=torch.zeros(batch, sampling.snippets, dtype=torch.int64),
        person=torch.zeros(batch, dtype=torch.int64),
        dialogue=torch.full((batch,), -1),
        speaker=torch.full((batch,), -1),
    )


def shapes_within(network: nn.Module, clips: Clips) -> dict[str, tuple[int, ...]]:
    """Return the shape that every part of a network gives, by the part's name."""
    shapes = {}

    def note(name: str) -> None:
        def hook(part: nn.Module, inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape)

        network.get_submodule(name).register_forward_hook(hook)

    for name, _ in network.named_modules():
        note(name)
    network(clips)
    return shapes
