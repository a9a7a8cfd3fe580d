"""A window of samples -> openSMILE's functionals: front end O. openSMILE is an optional extra."""

from typing import Any, Literal

import numpy as np

from emotrace.errors import SettingsError
from emotrace.recipe import SAMPLE_RATE
from emotrace.types import FloatArray


class OpenSmile:
    """The functionals of one of openSMILE's feature sets.

    openSMILE is free for research and private use; commercial use needs a licence of audEERING.
    """

    names: tuple[str, ...]
    """[D] of the functionals: 88 for eGeMAPSv02, 6373 for ComParE_2016."""

    def __init__(self, feature_set: Literal["eGeMAPSv02", "ComParE_2016"]) -> None:
        """Start openSMILE.

        Raises:
            SettingsError: the extra is not installed.
        """
        smile = _load()
        self._smile = smile.Smile(smile.FeatureSet[feature_set], smile.FeatureLevel.Functionals)
        self.names = tuple(self._smile.feature_names)

    def describe(self, window: FloatArray) -> FloatArray:
        """Return [D]: the functionals of [N] samples at 16 kHz, not pre-emphasised: openSMILE does that itself."""
        values: FloatArray = self._smile.process_signal(window, SAMPLE_RATE).to_numpy(np.float32)[0]
        return values


def _load() -> Any:
    try:
        import opensmile
    except ImportError as error:
        raise SettingsError(
            "This recipe needs openSMILE, which is not installed. Install it with "
            'pip install "emotrace[opensmile]" (openSMILE is for research and private use only), '
            "or choose the front end descriptors, which needs nothing more."
        ) from error
    return opensmile
