"""Names -> the systems that can be trained. A new system is one file and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from emotrace.models.bimodal_attention import BimodalAttention
from emotrace.models.concatenation import Concatenation
from emotrace.models.decision_fusion import DecisionFusion
from emotrace.models.deep_belief import DeepBelief
from emotrace.models.end_to_end_lstm import EndToEndLstm
from emotrace.models.kalman_fusion import KalmanFusion
from emotrace.models.lstm_ensemble import LstmEnsemble
from emotrace.models.modular_hierarchy import ModularHierarchy

FusionModel = BimodalAttention | Concatenation
Comparator = KalmanFusion | EndToEndLstm | LstmEnsemble | DeepBelief | ModularHierarchy | DecisionFusion

MODELS: Mapping[str, type[FusionModel]] = MappingProxyType(
    {
        "bimodal-attention": BimodalAttention,
        "concatenation": Concatenation,
    }
)
"""What a bundle can hold: each class has a `Config` (a frozen dataclass), `paper`, and the same `forward` and
`initial_state`."""

COMPARATORS: Mapping[str, type[Comparator]] = MappingProxyType(
    {
        "kalman-fusion": KalmanFusion,
        "end-to-end-lstm": EndToEndLstm,
        "lstm-ensemble": LstmEnsemble,
        "deep-belief": DeepBelief,
        "modular-hierarchy": ModularHierarchy,
        "decision-fusion": DecisionFusion,
    }
)
"""What the paper compares with: each class is a `layers.steps.System`."""
