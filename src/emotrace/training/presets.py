"""Named settings of training runs. Each says what it gives; a variant is the same with a few fields replaced."""

from pydantic import Field

from emotrace.training.settings import FaceSettings, FusionSettings, Settings, VoiceSettings


class DefaultSettings(Settings):
    """What `emotrace train default` does: two branches, then the fusion on composed recordings."""

    face: FaceSettings = FaceSettings(
        network="face-cnn",
        epochs=22,
        batch_size=128,
        learning_rate=2e-3,
        weight_decay=0.05,
        patience=30,
        average_decay=0.998,
        polish_epochs=6,
    )
    voice: VoiceSettings = VoiceSettings(
        network="descriptor-mlp",
        members=3,
        epochs=100,
        batch_size=128,
        learning_rate=3e-3,
        weight_decay=0.01,
        patience=100,
        average_decay=0.99,
        precision="32-true",
    )
    fusion: FusionSettings = FusionSettings(
        system="bimodal-attention",
        epochs=12,
        batch_size=16,
        learning_rate=2e-3,
        weight_decay=0.01,
        patience=20,
        average_decay=0.9,
        precision="32-true",
    )
    voice_parts: int = Field(4, ge=2, description="parts of the training speakers for cross-fitted voice features")
    training_recordings: int = Field(300, gt=0)
    validation_recordings: int = Field(60, gt=0)
