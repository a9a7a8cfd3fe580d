"""Names -> the fusion networks that can be trained. A new system is one file and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from emotrace.models.bimodal_attention import BimodalAttention
from emotrace.models.concatenation import Concatenation

FusionModel = BimodalAttention | Concatenation

MODELS: Mapping[str, type[FusionModel]] = MappingProxyType(
    {
        "bimodal-attention": BimodalAttention,
        "concatenation": Concatenation,
    }
)
"""Each class has a `Config` (a frozen dataclass), `paper`, and the same `forward` and `initial_state`."""
