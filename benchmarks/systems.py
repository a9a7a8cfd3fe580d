"""Every system that can be trained -> the tables of docs/systems.md: `make systems-page [RESULTS=CSV]`.

Counts parameters and measures the time of an answer. What a system reaches here is read from files that `emotrace
compare` wrote (`--results`) and from the tables of docs/results.md; what papers publish stands in `PUBLISHED`.
"""

import argparse
import platform
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean, median
from types import MappingProxyType
from typing import Literal, cast

import numpy as np
import torch
import yaml

from emotrace.bundle import load_bundle
from emotrace.encoders.counting import count_parameters, multiply_adds
from emotrace.features.voice_input import input_shape
from emotrace.inference.session import FaceEncoder
from emotrace.recipe import SAMPLE_RATE
from emotrace.training import class_report, comparison_report
from emotrace.training.clip_batches import picture_ticks
from emotrace.training.commit import commit
from emotrace.training.comparison_rows import by_system, defined, read_csv
from emotrace.training.default import RECIPE
from emotrace.training.extraction import audio_recipe
from emotrace.training.face_networks import FACE_NETWORKS
from emotrace.training.prediction import predict
from emotrace.training.presets import PRESETS
from emotrace.training.settings import SystemSettings
from emotrace.training.stage_one import StageOneSettings, network_settings
from emotrace.training.systems import PAPERS, AnySystem, build, is_clip_level, sizes_of
from emotrace.training.tracks import Track
from emotrace.writing import write_text

PAGE = Path("docs/systems.md")
RESULTS_PAGE = Path("docs/results.md")
SYSTEMS, FACES = "systems", "face networks"
NOT_RUN, NONE = "not run", "—"
_SECONDS = 16.0
"""Length of a composed recording."""
_RUNS = 5
_FIRST = (
    *("leader-follower", "fcn-attention", "g-fbp", "ag-fbp", "am-fbp", "vaanet", "cross-modal-metric"),
    *("perception-attention", "perception-aligned", "perception-resampled"),
    *("disentangled", "disentangled-confusion", "disentangled-alternating"),
    *("disentangled-multitask", "disentangled-single"),
    *("dialogue-attention", "dialogue-gru", "positive-sample-propagation", "psp-weak"),
)
"""Stand first on the page; the others follow in the order of the presets."""
_PUBLISHED_SIDES: Mapping[str, int] = MappingProxyType({"leader-follower": 48, "vaanet": 112})
"""Pixels of a picture as read in the authors' code; of all others they were not read, and the crops here stand in."""
_FULL_SIDES: Mapping[str, int] = MappingProxyType({"inception-v3": 299})
"""Pixels that a face network is published for, where they are not 224."""

_MAIN = comparison_report.PUBLISHED["bimodal-attention"]
_READ_IN: Mapping[str, str] = MappingProxyType(
    {
        "fcn-attention": "abstract of arXiv 1806.01506",
        "g-fbp": "abstract of arXiv 1901.04889",
        "am-fbp": "abstract of arXiv 2111.08910",
        "vaanet": "a list of results by others",
        "cross-modal-metric": "abstract",
        "disentangled": "abstract",
        "positive-sample-propagation": "remembered, not read",
        "psp-weak": "remembered, not read",
    }
)
PUBLISHED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "leader-follower": (
            "Aff-Wild2, CCC arousal / valence: test 0.492 / 0.463, validation 0.649 / 0.469",
            "abstract of arXiv 2107.01175",
        ),
        "bimodal-attention": (
            f"RECOLA, own split, CCC arousal / valence: {_MAIN['ccc_arousal']:.3f} / {_MAIN['ccc_valence']:.3f}",
            "the paper",
        ),
        "improved-alexnet": ("R² arousal close to 0.75, valence up to 0.61; RECOLA, own split", "the paper"),
    }
    | {key: (told, _READ_IN[key]) for key, told in class_report.PUBLISHED.items()}
)
"""Key -> what its paper gives, on its own data and split, and where that was read."""


@dataclass(frozen=True)
class Cost:
    """What a system costs.

    Attributes:
        small: parameters as built here.
        published: parameters at the published size, with the paper's own picture network; None where no size is known.
        milliseconds: of one core per second of media.
    """

    small: int
    published: int | None
    milliseconds: float


def main() -> None:
    """Measure, and write both tables into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, nargs="*", default=[], help="results.csv of `emotrace compare`")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    text = RESULTS_PAGE.read_text(encoding="utf-8")
    told = reached(options.results, text)
    costs = {key: cost(key) for key in ordered()}
    page = replaced(options.page.read_text(encoding="utf-8"), SYSTEMS, f"{conditions()}\n\n{systems(costs, told)}")
    write_text(options.page, replaced(page, FACES, faces(text)))
    print(systems(costs, told))


def ordered() -> list[str]:
    """Return the keys of all presets in the order of the page."""
    return [*_FIRST, *(key for key in PRESETS if key not in _FIRST)]


def conditions() -> str:
    """Return where and how the figures were made."""
    return (
        f"Measured at commit `{commit()}`: {platform.machine()}, torch {torch.__version__}, no GPU, one thread; time "
        f"of the processor, median of {_RUNS} answers to {_SECONDS:g} s of features of a composed recording."
    )


def systems(costs: Mapping[str, Cost], told: Mapping[str, Mapping[str, str]]) -> str:
    """Return the table of systems, Markdown.

    Args:
        costs: of each system.
        told: system -> corpus -> what it reached there, as `reached` gives it.
    """
    lines = [
        [
            f"`{key}`",
            PAPERS[PRESETS[key].settings.system],
            "clip" if is_clip_level(PRESETS[key].settings) else "frame",
            f"{_count(each.small)} / {NONE if each.published is None else _count(each.published)}",
            f"{each.milliseconds:.2g}" if each.milliseconds < 10 else f"{each.milliseconds:.0f}",
            "; ".join(f"{corpus}: {figures}" for corpus, figures in told.get(key, {}).items()) or NOT_RUN,
            _published(key),
        ]
        for key, each in costs.items()
    ]
    head = ["system", "paper", "level", "parameters, small / published", "ms per s of media", "here", "published"]
    return _table(head, lines)


def faces(results_page: str) -> str:
    """Return the table of face networks, Markdown; what they reached is read from docs/results.md."""
    found = {row["network"]: row for row in _rows(results_page, "### Face networks")}
    lines = []
    for key in FACE_NETWORKS:
        chosen = StageOneSettings()
        small = _face_cost(key, chosen, chosen.image_side, colours=1)
        full = _face_cost(key, StageOneSettings(width=1.0), _FULL_SIDES.get(key, 224), colours=3)
        row = found.get(key)
        here = NOT_RUN if row is None else _both(row, "R²")
        sizes = [f"{_count(one)} / {_count(other)}" for one, other in zip(small, full, strict=True)]
        lines.append([f"`{key}`", *sizes, here, _published(key)])
    head = [
        *("network", "parameters, small / published", "multiply-adds of a crop, small / published"),
        *("here: R² arousal / valence", "published"),
    ]
    return _table(head, lines)


def reached(results: Iterable[Path], results_page: str) -> dict[str, dict[str, str]]:
    """Return system -> corpus -> figures: means over seeds and folds of the files, which come before docs/results.md.

    Where a file has CCC these stand there, arousal / valence; else the unweighted average recall (UAR).
    """
    told: dict[str, dict[str, str]] = {}
    before, *tables = results_page.split("\n### Systems\n")
    for table in tables:
        corpus = re.findall(r"--corpus (\w[\w-]*)", before)[-1]
        for row in _rows(f"\n### Systems\n{table}", "### Systems"):
            found = _both(row, "CCC") if "CCC arousal" in row else f"UAR {_mean_of(row['UAR'])}"
            told.setdefault(row["system"], {})[corpus] = found
        before = table
    for path in results:
        corpus = yaml.safe_load((path.parent / "settings.yaml").read_text(encoding="utf-8"))["corpus"]
        for key, group in by_system(read_csv(path)).items():
            ccc = [_mean(each.figure(f"ccc_{name}") for each in group) for name in ("arousal", "valence")]
            recall = _mean(each.figure("unweighted_average_recall") for each in group)
            told.setdefault(key, {})[corpus] = f"UAR {recall}" if ccc == [NONE, NONE] else " / ".join(ccc)
    return told


def replaced(page: str, name: str, text: str) -> str:
    """Return a page with another text between the two comments that name it.

    Raises:
        ValueError: the page has not each of them once, in this order.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"The page has not one {begin} and one {end} after it: put them back.")
    return f"{page.split(begin)[0]}{begin}\n\n{text}\n\n{end}{page.split(end)[1]}"


def cost(key: str) -> Cost:
    """Count and time the system of a preset."""
    settings = PRESETS[key].settings
    small, published = parameters(key)
    track = recording(settings)
    system = build(settings, sizes_of(settings, track)).eval()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        predict(system, settings, track)
        seconds = median(_timed(system, settings, track) for _ in range(_RUNS))
    finally:
        torch.set_num_threads(threads)
    return Cost(small, published, 1000 * seconds / _SECONDS)


def parameters(key: str) -> tuple[int, int | None]:
    """Return the parameters of a preset's system: as built here, and at the published size where one is known."""
    settings = PRESETS[key].settings
    small = count_parameters(_unfilled(settings, RECIPE.video.crop_size))
    if not is_clip_level(settings) and settings.system != "leader-follower":
        return small, None
    own = settings.visual.model_copy(update={"backbone": "own"})
    large = settings.model_copy(update={"scale": "published", "visual": own})
    return small, count_parameters(_unfilled(large, _PUBLISHED_SIDES.get(settings.system, RECIPE.video.crop_size)))


def recording(settings: SystemSettings, side: int = RECIPE.video.crop_size) -> Track:
    """Return a composed recording's features, as to their shapes: what is in them is drawn. A face all the time."""
    rng = np.random.default_rng(0)
    heard = audio_recipe(RECIPE, settings.front_end)
    rate_hz = RECIPE.label_rate_hz
    ticks = torch.arange(round(_SECONDS * rate_hz))
    voice_ticks = max(1, round(heard.hop_seconds * rate_hz))
    face_ticks = picture_ticks(RECIPE.video, rate_hz)
    faces = -(-len(ticks) // face_ticks)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.random(shape, dtype=np.float32))

    return Track(
        name="drawn",
        subject="nobody",
        voice=drawn(-(-len(ticks) // voice_ticks), *input_shape(heard)),
        voice_index=ticks // voice_ticks,
        audio_valid=torch.ones(len(ticks), dtype=torch.bool),
        speech_energy=drawn(len(ticks)),
        waveform=(drawn(round(_SECONDS * SAMPLE_RATE)) * 1000).to(torch.int16),
        crops=(drawn(faces, side, side) * 255).to(torch.uint8),
        regions=drawn(faces, *_regions(settings.faces)).half(),
        face_index=ticks // face_ticks,
        emotion=torch.zeros(len(ticks), dtype=torch.int64),
        arousal_valence=torch.zeros(len(ticks), 2),
        reliability=torch.full((len(ticks), 2), torch.nan),
        ticks_per_second=rate_hz,
    )


def _timed(system: AnySystem, settings: SystemSettings, track: Track) -> float:
    # Of the processor: what else runs on the machine does not count.
    start = time.process_time()
    predict(system, settings, track)
    return time.process_time() - start


def _unfilled(settings: SystemSettings, side: int) -> AnySystem:
    """Return the untrained system for crops of this side; one of the published size without memory for its weights."""
    sizes = sizes_of(settings, recording(settings, side))
    with torch.device("meta") if settings.scale == "published" else nullcontext():
        return build(settings, sizes)


@cache
def _regions(faces: Literal["bundle", "improved-alexnet"]) -> tuple[int, int]:
    """Return number and width of the regions that a frozen encoder makes of a crop."""
    side = RECIPE.video.crop_size
    if faces == "bundle":
        blank = np.zeros((1, side, side), dtype=np.uint8)
        return cast(tuple[int, int], FaceEncoder(load_bundle().read("face.onnx")).see(blank)[0].shape[1:])
    chosen = StageOneSettings()
    wrapped = FACE_NETWORKS[faces](network_settings(chosen, faces, "arousal", 0)).eval()
    with torch.inference_mode():
        maps = cast(torch.nn.Module, wrapped.network)(torch.zeros(1, 1, chosen.image_side, chosen.image_side))[0]
    return maps.shape[1], 2 * maps.shape[2]  # one network for arousal and one for valence, side by side


def _face_cost(key: str, chosen: StageOneSettings, side: int, *, colours: int) -> tuple[int, int]:
    """Return parameters, and multiply-adds of one crop."""
    with torch.device("meta"):
        network = FACE_NETWORKS[key](network_settings(chosen, key, "arousal", 0), in_channels=colours)
        return count_parameters(network), multiply_adds(network, torch.zeros(1, colours, side, side))


def _published(key: str) -> str:
    return f"{PUBLISHED[key][0]} ({PUBLISHED[key][1]})" if key in PUBLISHED else NONE


def _count(number: int) -> str:
    """Return a number with three digits at least and its thousands as a letter."""
    for letter, unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= unit:
            scaled = number / unit
            return f"{scaled:.0f} {letter}" if scaled >= 100 else f"{scaled:.1f} {letter}"
    return str(number)


def _mean(values: Iterable[float]) -> str:
    known = defined(values)
    return f"{fmean(known):.3f}" if known else NONE


def _mean_of(cell: str) -> str:
    """Return the mean of a cell "mean ± deviation", where the best one is bold."""
    return cell.split(" ± ")[0].strip("*")


def _both(row: Mapping[str, str], figure: str) -> str:
    return f"{_mean_of(row[f'{figure} arousal'])} / {_mean_of(row[f'{figure} valence'])}"


def _rows(page: str, heading: str) -> list[dict[str, str]]:
    """Return the rows of the first table below a heading, cells by the table's head; none without the heading."""
    if f"\n{heading}\n" not in page:
        return []
    section = page.split(f"\n{heading}\n")[1].split("\n#")[0]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


if __name__ == "__main__":
    main()
