"""The optional front end: the same numbers as openSMILE itself, and a clear word when it is missing."""

import subprocess
import sys
from typing import Literal

import numpy as np
import pytest

from emotrace.features.opensmile import OpenSmile
from emotrace.types import FloatArray


def window() -> FloatArray:
    seconds = np.arange(16_000) / 16_000
    buzz = sum(np.sin(2 * np.pi * 140 * k * seconds) / k for k in range(1, 20))
    return np.asarray(0.1 * buzz + 0.001 * np.random.default_rng(0).standard_normal(16_000), dtype=np.float32)


@pytest.mark.parametrize(("feature_set", "size"), [("eGeMAPSv02", 88), ("ComParE_2016", 6_373)])
def test_functionals_equal_opensmile(feature_set: Literal["eGeMAPSv02", "ComParE_2016"], size: int) -> None:
    opensmile = pytest.importorskip("opensmile")
    direct = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    expected = direct.process_signal(window(), 16_000)
    front_end = OpenSmile(feature_set)
    np.testing.assert_array_equal(front_end.describe(window()), expected.to_numpy(np.float32)[0])
    assert front_end.names == tuple(expected.columns)
    assert len(front_end.names) == size


def test_without_the_extra_the_error_says_what_to_install_and_under_which_terms() -> None:
    program = (
        "import sys\n"
        "sys.modules['opensmile'] = None\n"  # what Python itself puts there to forbid an import
        "from emotrace.errors import SettingsError\n"
        "from emotrace.features.opensmile import OpenSmile\n"
        "try:\n"
        "    OpenSmile('eGeMAPSv02')\n"
        "except SettingsError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "emotrace[opensmile]"' in done.stdout
    assert "research and private use" in done.stdout
