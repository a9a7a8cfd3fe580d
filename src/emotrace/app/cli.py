"""The command line. Each command reads its options, calls one library function and prints what comes back.

Only typer is imported here, so that `emotrace --help` is instant; each command imports what it needs.
"""

import json
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emotrace.app import console, lab_commands
from emotrace.app.corpora_commands import corpora_app
from emotrace.app.limits import DEFAULT_MEMORY_MEGABYTES, Limits
from emotrace.app.options import AsJson, Branch, Debug, print_figures
from emotrace.app.workers import Worker

if TYPE_CHECKING:
    from emotrace.app.job import Outcome

app = typer.Typer(
    name="emotrace",
    help="A video of a person speaking goes in, a trace of emotion over time comes out. Start with: emotrace demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="The bundles: list them, show a model card, fetch the better face detector.")
app.add_typer(models_app, name="models", invoke_without_command=True)
app.add_typer(corpora_app, name="corpora", invoke_without_command=True)


class Format(StrEnum):
    """Of a result."""

    csv = "csv"
    json = "json"
    parquet = "parquet"
    html = "html"


class Detector(StrEnum):
    """Of faces."""

    auto = "auto"
    yunet = "yunet"
    haar = "haar"


class People(StrEnum):
    """Whose trace is made."""

    main = "main"
    all = "all"


class Engine(StrEnum):
    """Who does the work."""

    local = "local"
    ray = "ray"


class Fetchable(StrEnum):
    """Files that are not in the package."""

    yunet = "yunet"


_DEFAULT_FORMATS = (Format.csv, Format.json, Format.html)
BundleName = Annotated[str, typer.Option("--bundle", help="Name of a bundle, or its folder.")]


def main(early: Worker | None = None) -> None:
    """Run the command line; `early` is a worker that who starts it ends."""
    app(obj=early)


def _print_version(wanted: bool) -> None:
    if wanted:
        from emotrace import __version__

        typer.echo(f"emotrace {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def analyze(
    context: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders or globs: video, silent video, or sound.")
    ],
    output: Annotated[Path, typer.Option(help="Folder of the results; mirrors the input tree.")] = Path(
        "emotrace-results"
    ),
    bundle: BundleName = "default",
    formats: Annotated[
        list[Format] | None,
        typer.Option("--format", help="Of the results, repeat it for several; csv, json and html without it."),
    ] = None,
    annotate: Annotated[bool, typer.Option("--annotate", help="Also write the video with the trace on it.")] = False,
    detector: Annotated[Detector | None, typer.Option(help="Of faces; the bundle's choice without it.")] = None,
    only: Annotated[Branch | None, typer.Option(help="Use one modality alone.")] = None,
    people: Annotated[People, typer.Option(help="Whose traces: the main person's, or everybody's.")] = People.main,
    dialogue: Annotated[
        bool, typer.Option("--dialogue", help="Also answer for every turn: those of --turns, or stretches of speech.")
    ] = False,
    turns: Annotated[
        Path | None,
        typer.Option("--turns", help="Who speaks when, for --dialogue: CSV with start, end, speaker; or RTTM."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Also show what the system looked at, where the bundle's system can.")
    ] = False,
    skip_existing: Annotated[
        bool, typer.Option("--skip-existing", help="Leave inputs alone whose results are all there, whoever made them.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="Do everything anew, also what the ledger of --output says is done."),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Recordings that are analysed side by side; one per core without it.")
    ] = None,
    engine: Annotated[Engine, typer.Option(help="Who does it: this machine, or a Ray cluster.")] = Engine.local,
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Of the Ray cluster; RAY_ADDRESS or this machine without."),
    ] = None,
    max_memory: Annotated[
        int, typer.Option(min=256, metavar="MB", help="Of one recording, where the system can bound it (Linux).")
    ] = DEFAULT_MEMORY_MEGABYTES,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Of one recording; without bound if not given.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Analyse recordings: arousal, valence, emotions, and how much voice and face were trusted, over time.

    Exit status: 0 all done, 1 some inputs failed (each is named with its reason), 2 wrong usage.
    """
    with console.errors_as_lines(debug):
        from emotrace.app import bars, batch, failures, further
        from emotrace.app.inputs import find_jobs
        from emotrace.app.job import Wishes
        from emotrace.bundle import load_bundle
        from emotrace.errors import BundleError, SettingsError

        chosen = batch.check_formats([kind.value for kind in formats or _DEFAULT_FORMATS])
        try:
            loaded = load_bundle(bundle)
        except BundleError as error:  # nothing was tried yet: the option is wrong, not an input
            raise SettingsError(f"--bundle: {error}") from error
        jobs = find_jobs(inputs, output)
        wishes = Wishes(
            bundle=loaded,
            formats=chosen,
            only=None if only is None else only.value,
            people=people.value,
            detector=None if detector is None else detector.value,
            annotate=annotate,
            dialogue=dialogue,
            turns=further.check_turns(turns, len(jobs), dialogue=dialogue),
            explain=further.check_explain(loaded, explain=explain, dialogue=dialogue),
            skip_existing=skip_existing,
            debug=debug,
        )
        limits = Limits(max_memory, max_minutes)
        means = batch.Means(workers, limits, again, engine.value, ray_address, early=context.obj)
        batch.check_engine(means, debug=debug)
        outcomes: dict[Path, Outcome] = {}
        try:
            with (
                console.signals_raised(),
                bars.bars(len(jobs)) as shown,
                closing(batch.run(jobs, wishes, output, means, shown)) as done,
            ):
                for outcome in done:
                    outcomes[outcome.source] = outcome
                    _tell(outcome, as_json)
        except (KeyboardInterrupt, console.StoppedError) as error:
            console.note(f"Interrupted: {len(outcomes)} of {len(jobs)} inputs are done; their results are kept.")
            raise typer.Exit(getattr(error, "exit_code", console.INTERRUPTED)) from None
        finally:
            told = [outcomes[job.source] for job in jobs if job.source in outcomes]
            if as_json:
                typer.echo(json.dumps(batch.document(told), indent=2))
        if len(jobs) > 1:
            failures.keep(told, output)
        if any(outcome.failure for outcome in told):
            if len(jobs) > 1:
                for line in failures.table(told):
                    typer.echo(line, err=True)
            raise typer.Exit(console.FAILED)


def _tell(outcome: "Outcome", as_json: bool) -> None:
    """Print the paths of one outcome on stdout at once, so that an interrupt loses none, the rest on stderr."""
    if outcome.failure:
        console.note(f"{outcome.source}: {outcome.failure}")
    for problem in outcome.problems:
        console.note(f"{outcome.source}: {problem}")
    if outcome.skipped:
        console.note(f"{outcome.source}: skipped, its results are there")
    elif not as_json:
        for path in outcome.files.values():
            typer.echo(str(path))


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the clip and its results.")] = Path("emotrace-demo"),
    debug: Debug = False,
) -> None:
    """Make a clip whose trace is known, analyse it, and write the report. Needs no data and no network."""
    with console.errors_as_lines(debug):
        from emotrace.app.demonstration import run_demo

        with console.progress_bar(1) as start:
            for line in run_demo(output, start("demo clip")):
                typer.echo(line)


@models_app.callback(invoke_without_command=True)
def _models(context: typer.Context, as_json: AsJson = False) -> None:
    if context.invoked_subcommand is None:
        models_list(as_json)


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """List the bundles inside the package."""
    with console.errors_as_lines():
        from emotrace.app import listings

        listings.print_rows(listings.bundles(), as_json)


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="Name of a bundle, or its folder.")], as_json: AsJson = False
) -> None:
    """Print the model card of a bundle: data, licence, intended use, limits, figures; with --json its manifest."""
    with console.errors_as_lines():
        from emotrace.bundle import load_bundle

        bundle = load_bundle(name)
        typer.echo(bundle.manifest.model_dump_json(indent=2) if as_json else bundle.card)


@models_app.command("fetch")
def models_fetch(name: Annotated[Fetchable, typer.Argument(help="yunet: the better face detector.")]) -> None:
    """Download a file into the user's cache; its sha256 is checked, a broken download goes on where it stopped."""
    with console.errors_as_lines():
        from emotrace import downloads, model_files

        files = {Fetchable.yunet: model_files.YUNET}
        with console.progress_bar(1, unit="bytes") as start:
            typer.echo(str(downloads.fetch_model(files[name], progress=start(name.value))))


for command in (
    lab_commands.systems,
    lab_commands.train,
    lab_commands.compare,
    lab_commands.experiment,
    lab_commands.evaluate,
):
    app.command()(command)


@app.command()
def bench(
    video: Annotated[
        Path | None, typer.Argument(help="A recording of your own; a generated talking clip of one minute without it.")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Measure speed, memory and start-up on this machine."""
    with console.errors_as_lines(debug):
        from emotrace.app import measuring

        print_figures(measuring.figures(video), as_json)


@app.command()
def doctor(as_json: AsJson = False, debug: Debug = False) -> None:
    """Examine the installation; exit status 1 where something has to be done."""
    with console.errors_as_lines(debug):
        from emotrace.app.doctor import examine

        findings = examine()
        if as_json:
            typer.echo(json.dumps([vars(finding) for finding in findings], indent=2))
        else:
            for finding in findings:
                typer.echo(f"{'ok ' if finding.ok else 'BAD'}  {finding.name:24}{finding.found}")
        if not all(finding.ok for finding in findings):
            raise typer.Exit(console.FAILED)
