"""Names -> the systems that can be trained. A new system is one file and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from emotrace.models.bilinear_fusion import AgFbp, AmFbp, FcnAttention, GFbp
from emotrace.models.bimodal_attention import BimodalAttention
from emotrace.models.concatenation import Concatenation
from emotrace.models.cross_modal_metric import CrossModalMetric
from emotrace.models.decision_fusion import DecisionFusion
from emotrace.models.deep_belief import DeepBelief
from emotrace.models.dialogue_attention import DialogueAttention
from emotrace.models.disentangled import Disentangled
from emotrace.models.end_to_end_lstm import EndToEndLstm
from emotrace.models.kalman_fusion import KalmanFusion
from emotrace.models.leader_follower import LeaderFollower
from emotrace.models.lstm_ensemble import LstmEnsemble
from emotrace.models.modular_hierarchy import ModularHierarchy
from emotrace.models.perception_attention import PerceptionAttention
from emotrace.models.positive_sample_propagation import PspNetwork
from emotrace.models.vaanet import Vaanet

FusionModel = BimodalAttention | Concatenation
Comparator = (
    KalmanFusion | EndToEndLstm | LstmEnsemble | DeepBelief | ModularHierarchy | DecisionFusion | LeaderFollower
)
ClipModel = (
    FcnAttention
    | GFbp
    | AgFbp
    | AmFbp
    | Vaanet
    | CrossModalMetric
    | PerceptionAttention
    | Disentangled
    | DialogueAttention
    | PspNetwork
)

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
        "leader-follower": LeaderFollower,
    }
)
"""Frame-level systems: each class is a `layers.steps.System`."""

CLIP_SYSTEMS: Mapping[str, type[ClipModel]] = MappingProxyType(
    {
        "fcn-attention": FcnAttention,
        "g-fbp": GFbp,
        "ag-fbp": AgFbp,
        "am-fbp": AmFbp,
        "vaanet": Vaanet,
        "cross-modal-metric": CrossModalMetric,
        "perception-attention": PerceptionAttention,
        "disentangled": Disentangled,
        "dialogue-attention": DialogueAttention,
        "positive-sample-propagation": PspNetwork,
    }
)
"""Clip-level systems: each class is a `layers.clips.ClipSystem`."""
