"""The corpora and the shipped bundle -> docs/results.md: `make results DATA=DIR` measures every figure on that page.

Figures are kept in the output folder and not measured again for the same bundle; the experiments take hours and resume.
The words of the page are in `results.md.j2`.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.templates import rendered

from emotrace.bundle import load_bundle
from emotrace.evaluation import CONDITIONS, Only, evaluate
from emotrace.training import experiments, starting
from emotrace.training.commit import commit
from emotrace.training.fitting import why_not
from emotrace.training.presets import PRESETS

Figures = Mapping[str, Any]
EVALUATIONS: Mapping[str, tuple[str, str, Only]] = {
    "ferplus": ("ferplus", "ferplus", "face"),
    "ravdess": ("ravdess", "ravdess", "voice"),
    "nemo": ("nemo", "nemo", "voice"),
    "fused": ("composed", "", None),
    "voice only": ("composed", "", "voice"),
    "face only": ("composed", "", "face"),
}
"""Name -> corpus, folder under the data, and the modality that is used alone."""


def main() -> None:
    """Measure what is not measured yet and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with ferplus, ravdess, nemo and emogator")
    parser.add_argument("--runs", type=Path, required=True, help="checkpoints and measured figures")
    parser.add_argument("--output", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--without", nargs="*", default=[], help="experiments, comparisons that the page does without")
    parser.add_argument(
        "--kept", nargs="*", default=[], help="comparisons shown as they were measured with an earlier bundle, said so"
    )
    options = parser.parse_args()
    evaluations = {name: evaluated(name, options.data, options.runs) for name in EVALUATIONS}
    wanted = [name for name in experiments.EXPERIMENTS if name not in options.without]
    tried = {name: experiment(name, options.data, options.runs / name) for name in wanted}
    wanted_comparisons = [name for name in COMPARISONS if name not in options.without]
    for name in set(wanted_comparisons) - set(options.kept):
        compare(COMPARISONS[name], options.data, options.runs / name)
    compared = {
        name: shown(COMPARISONS[name], options.runs / name, name, options.output.parent / "images")
        for name in wanted_comparisons
    }
    options.output.write_text(page(evaluations, tried, compared), encoding="utf-8")


def evaluated(name: str, data: Path, runs: Path) -> Figures:
    """Return what `emotrace evaluate default` prints for the test split."""
    corpus, folder, only = EVALUATIONS[name]
    bundle = load_bundle("default")
    place = runs / bundle.digest / f"{name.replace(' ', '-')}.json"
    return kept(place, lambda: evaluate(bundle, corpus, data / folder, "test", only=only))


def experiment(name: str, data: Path, output: Path) -> Figures:
    """Return what `emotrace experiment` writes."""
    return kept(output / "results.json", lambda: experiments.run(name, data, output))


@dataclass(frozen=True)
class Compared:
    """A call of `emotrace compare`.

    Attributes:
        keys: of the systems.
        seeds: number of them.
        corpus: its name.
        folder: of the corpus, in the folder of the data.
        settings: KEY=VALUE, shared by all systems.
        protocol: of the corpus; None for its usual one.
        is_drawn: whether the page shows its figures.
    """

    keys: tuple[str, ...]
    seeds: int
    corpus: str = "composed"
    folder: str = ""
    settings: tuple[str, ...] = ()
    protocol: str | None = None
    is_drawn: bool = True


_DISENTANGLED = (
    *("disentangled-single", "disentangled-multitask", "disentangled"),
    *("disentangled-confusion", "disentangled-alternating"),
)
_ON_COMPOSED = tuple(name for name, preset in PRESETS.items() if not why_not(name, preset.settings, "composed"))
COMPARISONS: Mapping[str, Compared] = {
    "systems": Compared(_ON_COMPOSED, 3),
    "face-networks": Compared(("face-networks",), 1),
    "classes": Compared(
        ("fcn-attention", "modular-hierarchy", "bimodal-attention"), 3, "ravdess", "ravdess", ("epochs=15",)
    ),
    "identity-disjoint": Compared(_DISENTANGLED, 3, "ravdess", "ravdess", ("epochs=15",), "person-disjoint", False),
    "identity-shared": Compared(_DISENTANGLED, 3, "ravdess", "ravdess", ("epochs=15",), "person-shared", False),
}
"""What the page compares; pictures of RAVDESS are not at hand, so its clips are heard alone."""


def compare(wanted: Compared, data: Path, folder: Path) -> None:
    """Run `emotrace compare`; finished cells are not run again."""
    done = starting.compare(
        wanted.keys,
        wanted.corpus,
        data / wanted.folder,
        wanted.seeds,
        folder,
        wanted.settings,
        protocol=wanted.protocol,
    )
    if done.failed:
        raise SystemExit(f"{folder.name}: {dict(done.failed)}")


def shown(wanted: Compared, folder: Path, name: str, images: Path) -> Figures:
    """Return what `emotrace compare` wrote, and copy its figures beside the page."""
    images.mkdir(parents=True, exist_ok=True)
    for drawn in sorted((folder / "figures").glob("*.svg")) if wanted.is_drawn else []:
        shutil.copyfile(drawn, images / (drawn.name if wanted.corpus == "composed" else f"{name}_{drawn.name}"))
    text = (folder / "results.md").read_text(encoding="utf-8")
    table = next(folder.glob("*.csv")).read_bytes()
    return {
        # Below the first heading, one level deeper.
        "text": text.split("\n\n", 1)[1].replace("\n### ", "\n#### ").replace("\n## ", "\n### "),
        "digest": hashlib.sha256(table).hexdigest()[:12],
        "environment": json.loads((folder / "environment.json").read_text(encoding="utf-8")),
    }


def kept(path: Path, measure: Callable[[], Figures]) -> Figures:
    """Return the figures in a file, measured and written first if there is none."""
    if not path.is_file():
        figures = measure()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    stored: Figures = json.loads(path.read_text(encoding="utf-8"))
    return stored


def page(evaluations: Mapping[str, Figures], tried: Mapping[str, Figures], compared: Mapping[str, Figures]) -> str:
    """Return the page, Markdown."""
    values = {
        "evaluations": evaluations,
        "tried": tried,
        "compared": compared,
        "conditions": list(CONDITIONS),
        "commit": commit(),
        "machine": f"{len(os.sched_getaffinity(0))} cores of an {platform.machine()} machine",
    }
    return rendered("results.md.j2", values, {"figure": figure, "spread": spread})


def figure(value: float) -> str:
    """Return a figure with three digits; one that is missing raises."""
    return f"{float(value):.3f}"


def spread(runs: Figures, name: str) -> str:
    """Return mean +- standard deviation of a figure over several runs."""
    return f"{runs['mean'][name]:.3f} +- {runs['standard_deviation'][name]:.3f}"


if __name__ == "__main__":
    main()
