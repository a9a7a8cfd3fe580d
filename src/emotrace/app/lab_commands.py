"""The commands that train, compare and judge systems: most of them need the packages of the extra `train`.

Each imports what it needs, as those of `cli` do, which says how they are called.
"""

from pathlib import Path
from typing import Annotated

import typer

from emotrace.app import console
from emotrace.app.options import AsJson, Branch, Debug, print_figures

CorpusName = Annotated[
    str | None, typer.Option("--corpus", help="A name of `emotrace corpora`, recola or ravdess for instance.")
]
CorpusRoot = Annotated[Path | None, typer.Option("--root", help="Folder of the corpus in its official layout.")]
Small = Annotated[bool, typer.Option("--small", help="Few short recordings and epochs, for a try in minutes.")]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="Of recola: avec2016, liu2021, or a YAML file. Of clips with classes: person-disjoint, person-shared.",
    ),
]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE, overrides a setting; repeat it for several.")
]


def systems(as_json: AsJson = False) -> None:
    """List the systems that can be trained, each with its paper."""
    with console.errors_as_lines(), console.lab_needed("systems"):
        from emotrace.app import listings

        listings.print_rows(listings.systems(), as_json)


def train(
    preset: Annotated[str, typer.Argument(help="`default`, a preset of `emotrace systems`, or a YAML file of either.")],
    data: Annotated[
        Path | None, typer.Option(help="For default: folder with ferplus, ravdess, nemo in their official layout.")
    ] = None,
    corpus: CorpusName = None,
    root: CorpusRoot = None,
    output: Annotated[Path, typer.Option(help="Folder of the run: logs, checkpoints, results.")] = Path("runs/default"),
    resume: Annotated[
        bool, typer.Option("--resume", help="For default: go on from the last checkpoint; a system always does.")
    ] = False,
    small: Small = False,
    protocol: ProtocolName = None,
    assignments: Assignments = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train the default bundle from --data, or a system on a --corpus."""
    with console.errors_as_lines(debug), console.lab_needed("train"):
        from emotrace.training import settings, starting

        if corpus is not None:
            found = starting.train(preset, corpus, root, output, assignments or [], small=small, protocol=protocol)
            print_figures(found, as_json)
            return
        if data is None:
            raise typer.BadParameter("give --corpus to train a system, or --data to train the default bundle")
        if preset != "default" and not Path(preset).is_file():
            raise typer.BadParameter(f"{preset!r} is no file; expected default or a YAML file", param_hint="PRESET")
        from emotrace.training.default import train_default
        from emotrace.training.presets import DefaultSettings

        chosen = DefaultSettings() if preset == "default" else settings.read(DefaultSettings, Path(preset))
        final = settings.override(chosen, assignments or [])
        train_default(data, output, final, resume=resume)
        typer.echo(str(output))


def compare(
    keys: Annotated[
        list[str], typer.Argument(metavar="KEY...", help="Names of `emotrace systems`; figure-6, face-networks, all.")
    ],
    corpus: Annotated[str, typer.Option(help="A name of `emotrace corpora`, recola or ravdess for instance.")],
    root: CorpusRoot = None,
    small: Small = False,
    seeds: Annotated[int, typer.Option(help="Every system is trained with the seeds 0 .. N-1.")] = 3,
    output: Annotated[Path, typer.Option(help="Folder of cells, tables and figures.")] = Path("runs/compare"),
    workers: Annotated[int | None, typer.Option(help="Cells that are trained side by side; one per core.")] = None,
    protocol: ProtocolName = None,
    folds: Annotated[bool, typer.Option("--folds", help="The corpus's usual cross-validation, not one split.")] = False,
    assignments: Assignments = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Train and judge systems under one protocol; goes on where it stopped.

    Exit status: 0 all done, 1 some cells failed (each is named with its reason, the rest is kept), 2 wrong usage.
    """
    with console.errors_as_lines(debug), console.lab_needed("compare"):
        from emotrace.training import starting
        from emotrace.writing import json_text

        found = starting.compare(
            keys,
            corpus,
            root,
            seeds,
            output,
            assignments or [],
            small=small,
            workers=workers,
            protocol=protocol,
            folds=folds,
        )
        for name, reason in found.failed.items():
            console.note(f"{name}: {reason}")
        if as_json:
            typer.echo(json_text(found.document()))
        else:
            for path in found.files:
                typer.echo(str(path))
        if found.failed:
            raise typer.Exit(console.FAILED)


def experiment(
    name: Annotated[str, typer.Argument(help="An experiment of docs/results.md; a wrong name lists them.")],
    data: Annotated[Path, typer.Option(help="Folder with ferplus, ravdess, nemo in their official layout.")],
    output: Annotated[Path, typer.Option(help="Folder of the networks and results.json; goes on where it stopped.")],
    debug: Debug = False,
) -> None:
    """Repeat an experiment that trains several networks; takes hours."""
    with console.errors_as_lines(debug), console.lab_needed("experiment"):
        from emotrace.training import experiments

        experiments.run(name, data, output)
        typer.echo(str(output / "results.json"))


def evaluate(
    bundle: Annotated[str, typer.Argument(help="Name or folder of a bundle, or the folder of a trained system.")],
    corpus: Annotated[
        str, typer.Option(help="Of a bundle: ferplus, ravdess, nemo, composed. Of a system: as for `compare`.")
    ],
    root: CorpusRoot = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    only: Annotated[Branch | None, typer.Option(help="Evaluate one branch of a bundle alone.")] = None,
    small: Small = False,
    protocol: ProtocolName = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure a bundle or a trained system on a split of a corpus."""
    with console.errors_as_lines(debug):
        if (Path(bundle) / "system.json").is_file():
            if only is not None:
                raise typer.BadParameter("a trained system is judged as it is", param_hint="--only")
            with console.lab_needed("evaluate"):
                from emotrace.training import starting

                found = starting.evaluate(Path(bundle), corpus, root, split, small=small, protocol=protocol)
                print_figures(found, as_json)
            return
        if root is None:
            raise typer.BadParameter("a bundle is measured on a corpus in its official layout", param_hint="--root")
        from emotrace import evaluation
        from emotrace.bundle import load_bundle

        figures = evaluation.evaluate(
            load_bundle(bundle), corpus, root, split, only=None if only is None else only.value
        )
        print_figures(figures, as_json)
