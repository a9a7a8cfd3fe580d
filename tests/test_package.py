"""The wheel: what is in it, and that it runs where there is nothing else."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built with what is installed, without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_bundle_the_template_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name.removeprefix("emotrace/") for name in names if name.startswith("emotrace/")}
    wanted = {f"bundles/default/{name}" for name in ("bundle.json", "face.onnx", "voice.onnx", "fusion.onnx")}
    assert wanted | {"bundles/default/MODEL_CARD.md", "report_template.html.j2", "py.typed"} <= package
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/src/emotrace/bundles/LICENSE-WEIGHTS") for name in names)
    [metadata] = [name for name in names if name.endswith("METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        assert "License-Expression: Apache-2.0 AND CC-BY-NC-SA-4.0" in archive.read(metadata).decode()
    assert not [name for name in names if name.startswith(("tests", "docs")) or name.endswith(".pyc")]


def test_the_wheel_stays_below_30_megabytes(wheel: Path) -> None:
    assert wheel.stat().st_size < 30e6


def test_importing_the_package_imports_nothing_else_that_is_heavy() -> None:
    script = "import sys, emotrace; print(sorted({'numpy', 'cv2', 'av', 'torch', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_runtime_never_loads_torch() -> None:
    script = (
        "import sys, emotrace.inference.offline, emotrace.report, emotrace.demo, emotrace.app.batch;"
        "print(sorted({'torch', 'pytorch_lightning', 'pandas', 'pyarrow', 'yaml', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_the_wheel_runs_the_demo_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = ["-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run([python, *install], check=True)
    done = subprocess.run(
        [tmp_path / "venv" / "bin" / "emotrace", "demo", "--output", str(tmp_path / "demo")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "demo.html").stat().st_size > 10_000
    absent = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert absent.returncode == 1
