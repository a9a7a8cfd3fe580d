"""The commands `emotrace corpora ...`: list the corpora, show one, check a copy of one, download one.

Each imports what it needs, as those of `cli` do.
"""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emotrace.app import console
from emotrace.app.options import AsJson, Debug

if TYPE_CHECKING:
    from emotrace.catalogue import CheckReport, Entry

corpora_app = typer.Typer(help="The corpora: list them, show one, check a copy, download those that may be.")
Name = Annotated[str, typer.Argument(help="Name of a corpus, as `emotrace corpora` lists them.")]


@corpora_app.callback(invoke_without_command=True)
def _corpora(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        corpora_list(as_json)


@corpora_app.command("list")
def corpora_list(as_json: AsJson = False) -> None:
    """List the corpora that can be read, each with its citation and licence."""
    with console.errors_as_lines():
        from emotrace.app import listings

        listings.print_rows(listings.corpora(), as_json)


@corpora_app.command("show")
def corpora_show(name: Name, as_json: AsJson = False) -> None:
    """Show a corpus: what it holds, its licence and citation, where it is from, and its layout on disk."""
    with console.errors_as_lines():
        from emotrace.app import listings
        from emotrace.writing import json_text

        typer.echo(json_text(listings.corpus(name)) if as_json else listings.corpus_text(name))


@corpora_app.command("check")
def corpora_check(
    name: Name,
    root: Annotated[Path, typer.Option(help="Folder of the corpus in its official layout.")],
    quick: Annotated[bool, typer.Option("--quick", help="Look whether the files are there, open none.")] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Count what a copy of a corpus holds and look whether its files can be read; exit status 1 where some cannot."""
    with console.errors_as_lines(debug):
        from emotrace import catalogue

        _tell(catalogue.check(name, root, quick=quick), as_json)


@corpora_app.command("download")
def corpora_download(
    name: Name,
    root: Annotated[Path, typer.Option(help="Folder that the corpus is put into, in its official layout.")],
    yes: Annotated[bool, typer.Option("--yes", help="I have read the licence and accept it: do not ask.")] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Fetch this part alone, repeat it for several; see `show`.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Download a corpus whose licence allows it, and verify every file; goes on where it stopped.

    Exit status: 0 all there, 1 something is missing or the licence was not accepted, 2 wrong usage.
    """
    with console.errors_as_lines(debug):
        from emotrace import catalogue, corpus_download
        from emotrace.app import listings

        entry = catalogue.entry_of(name)
        parts = listings.chosen_parts(entry, only)
        typer.echo(f"{entry.title}: {listings.readable(sum(part.size for part in parts))} are fetched into {root}.")
        typer.echo(f"Licence: {entry.licence}. See {entry.homepage}")
        if not yes and not _accepts(entry):
            console.note("The licence was not accepted: nothing was fetched.")
            raise typer.Exit(console.FAILED)
        with console.progress_bar(len(parts), unit="bytes") as start:
            gaps = corpus_download.download(parts, root, progress=start)
        for gap in gaps:
            console.note(gap)
        _tell(catalogue.check(name, root, quick=True), as_json=False)
        if gaps:
            raise typer.Exit(console.FAILED)


def _accepts(entry: "Entry") -> bool:
    """Ask about the licence.

    Raises:
        SettingsError: nobody is there to answer.
    """
    from emotrace.errors import SettingsError

    if not sys.stdin.isatty():
        raise SettingsError(
            f"The licence of {entry.name} must be accepted, and nobody can be asked here: read it at {entry.homepage} "
            "and give --yes."
        )
    return typer.confirm("Do you accept the licence?")


def _tell(report: "CheckReport", as_json: bool) -> None:
    """Print a report; leave the command where something is wrong."""
    if as_json:
        from emotrace.writing import json_text

        typer.echo(json_text(asdict(report)))
    else:
        length = "" if report.seconds is None else f", {report.seconds / 3600:.2f} hours"
        typer.echo(f"{report.name}: {report.items} items of {report.subjects or 'unnamed'} subjects{length}")
        for counts in (report.splits, report.classes):
            for label, count in counts.items():
                typer.echo(f"  {label:20}{count:8}")
        for problem in report.problems:
            console.note(problem)
        if report.num_problems > len(report.problems):
            console.note(f"And {report.num_problems - len(report.problems)} more.")
    if report.num_problems:
        raise typer.Exit(console.FAILED)
