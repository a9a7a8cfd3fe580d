"""Pictures of a face -> vectors or maps, by a frozen encoder that ran before or by the paper's own network.

Axes as in `clips.py`; N pictures, S snippets, E width of a vector, Q channels and X positions of a snippet's map.
"""

import torch
from torch import Tensor, nn

from emotrace.encoders.feature_rows import FeatureRows
from emotrace.encoders.ir50 import Ir50, Ir50Config
from emotrace.encoders.resnet3d import Depth, ResNet3d, ResNet3dConfig
from emotrace.layers.clips import Backbone, Clips, Scale
from emotrace.layers.items import encode_items
from emotrace.layers.known import encode_known

WIDTHS: dict[Scale, float] = {"small": 1 / 8, "published": 1.0}
"""Share of the published channels."""
_PICTURES_AT_ONCE = 256
DEPTHS_3D: dict[Scale, Depth] = {"small": 18, "published": 101}


class FrameVectors(nn.Module):
    """Single pictures -> vectors: the mean region of the frozen encoder, or IR-50.

    Attributes:
        dim: E.
    """

    def __init__(self, backbone: Backbone, scale: Scale, *, region_dim: int, crop_side: int) -> None:
        super().__init__()
        self.encoder: Ir50 | None = None
        if backbone == "own":
            self.encoder = Ir50(Ir50Config(in_channels=1, side=crop_side, width=WIDTHS[scale]))
        self.dim = region_dim if self.encoder is None else self.encoder.embedding_dim

    def forward(self, crops: Tensor, regions: Tensor, known: Tensor) -> Tensor:
        """Return [..., E], zero where not known, of crops [..., H, W], regions [..., K, D] and known [...] bool.

        Only what the backbone reads needs to be there; an unknown picture is never read.
        """
        if self.encoder is None:
            return torch.where(known[..., None, None], regions, 0.0).mean(dim=-2)
        pictures, width = crops.unsqueeze(-3), self.dim
        if torch.onnx.is_in_onnx_export():  # a graph for export cannot choose pictures
            blank = torch.where(known[..., None, None, None], pictures, 0.0)
            return encode_items(self.encoder, blank, known, width)
        return encode_known(self._embedded, pictures, known, width)

    def _embedded(self, pictures: Tensor) -> Tensor:
        """Return [N, E] of pictures [N, 1, H, W], some at a time: their maps are many times larger than they are."""
        assert self.encoder is not None
        parts = [pictures] if self.training else torch.split(pictures, _PICTURES_AT_ONCE)
        return torch.cat([self.encoder(part) for part in parts])


class SnippetMaps(nn.Module):
    """Snippets of consecutive pictures -> maps: the frozen encoder's regions, averaged over time, or a 3-D ResNet.

    Attributes:
        channels: Q.
    """

    def __init__(self, backbone: Backbone, scale: Scale, *, region_dim: int) -> None:
        super().__init__()
        self.encoder: ResNet3d | None = None
        if backbone == "own":
            self.encoder = ResNet3d(ResNet3dConfig(depth=DEPTHS_3D[scale], in_channels=1, width=WIDTHS[scale]))
        self.channels = region_dim if self.encoder is None else self.encoder.channels

    def forward(self, clips: Clips) -> Tensor:
        """Return [B, V, Q, X]; zero for a snippet without any valid picture. The clips must be clean."""
        known = clips.pictures_valid
        if self.encoder is None:
            count = known.sum(dim=2).clamp(min=1)[..., None, None]
            return (clips.regions.sum(dim=2) / count).transpose(2, 3)
        seen, snippets = known.any(dim=2), clips.pictures.unsqueeze(2)  # [B, V, 1, P, H, W]
        if self.training and seen.any():  # blank snippets stay out of the statistics of batch normalisation
            met = self.encoder.maps(snippets[seen]).flatten(2)
            return met.new_zeros(*seen.shape, *met.shape[1:]).index_put((seen,), met)
        maps = self.encoder.maps(snippets.flatten(0, 1)).flatten(2)
        return torch.where(seen[..., None, None], maps.reshape(*seen.shape, *maps.shape[1:]), 0.0)


def own_encoders(visual: nn.Module | None, audio: nn.Module | None = None) -> dict[str, nn.Module]:
    """Return by name the encoders that a system brings itself, and that can begin with weights learnt elsewhere.

    Args:
        visual: of pictures; None where a frozen one ran before.
        audio: of the voice; none of its own are `FeatureRows`, whose rows somebody else has made.
    """
    found = {"visual": visual, "audio": None if isinstance(audio, FeatureRows) else audio}
    return {name: network for name, network in found.items() if network is not None}


def positions(backbone: Backbone, scale: Scale, *, num_regions: int, crop_side: int, pictures: int) -> int:
    """Return X of `SnippetMaps` for snippets of this shape."""
    if backbone == "frozen":
        return num_regions
    config = ResNet3dConfig(depth=DEPTHS_3D[scale], in_channels=1, width=WIDTHS[scale])
    with torch.device("meta"):
        maps = ResNet3d(config).eval().maps(torch.zeros(1, 1, pictures, crop_side, crop_side))
    return maps[0, 0].numel()
