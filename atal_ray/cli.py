"""The command `atal`: every option of `run` is a field of the configuration."""

import argparse
import logging
import sys
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any

import tyro

from atal_ray.commands import usage
from atal_ray.commands.plans import COMMANDS, carry_out, kept_in, kept_plan, parsed, plan_of, preset_or_file
from atal_ray.commands.usage import LEVELS, USAGES
from atal_ray.config import Config, config_file
from atal_ray.config.section import require
from atal_ray.errors import AtalError, ConfigError, WaitingError, counted
from atal_ray.runtime.stop import exit_status, is_stopped, say_stopped, stop_on_signals
from atal_ray.store.folder import Folder
from atal_ray.store.uri import join

MISTAKE, WAITING = 2, 75
"""Exit statuses: of a mistake that a person can mend, and of waiting for people (`EX_TEMPFAIL`)."""

HELP = frozenset({"-h", "--help"})

logger = logging.getLogger(__name__)


def main() -> None:
    """Run the command line; what ends it before its time is one sentence and a status of its own.

    2 is a mistake that a person can mend, 75 a campaign that waits for answers, 130 and 143 are Ctrl-C and
    SIGTERM.
    """
    try:
        level, arguments = split_log_level(sys.argv[1:])
        logging.basicConfig(format="%(message)s")  # on standard error; of other packages, warnings alone
        logging.getLogger("atal_ray").setLevel(level.upper())
        sys.path.append(str(Path.cwd()))  # where a network that is given as module:Class may lie
        stop_on_signals()
        sys.exit(dispatch(arguments))
    except BaseException as error:
        # what a signal raises may come out as another exception: a library's, or the one of a lost lease
        if is_stopped() or isinstance(error, KeyboardInterrupt):
            logger.debug("stopped here:", exc_info=True)
            say_stopped()
            sys.exit(exit_status())
        if not isinstance(error, AtalError):
            raise
        logger.debug("raised here:", exc_info=True)
        print(f"atal: {error}", file=sys.stderr)
        sys.exit(WAITING if isinstance(error, WaitingError) else MISTAKE)


def split_log_level(arguments: list[str]) -> tuple[str, list[str]]:
    """The value of --log-level, wherever it stands, and the other arguments in their order."""
    parser = argparse.ArgumentParser(prog="atal", add_help=False, allow_abbrev=False)
    parser.add_argument("--log-level", default="info")
    options, rest = parser.parse_known_args(arguments)
    level: str = options.log_level
    require(level in LEVELS, f"--log-level is {level!r}: use {', '.join(LEVELS)}")
    return level, rest


def dispatch(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    if not arguments or not HELP.isdisjoint(arguments):
        words = [*takewhile(lambda word: not word.startswith("-"), arguments)]
        return _help(words, [option for option in arguments[len(words) :] if option not in HELP])
    match arguments:
        case ["--version"]:
            print(f"atal-ray {version('atal-ray')}")
        case [name, first, folder, *options] if name in COMMANDS and not folder.startswith("-"):
            return carry_out(COMMANDS[name], plan_of(name, first, options), folder)
        case ["study", "list"]:
            from atal_ray.studies.paper.study import listed

            print(listed())
        case ["resume", folder, *options] if not folder.startswith("-"):
            return _resume(folder, options)
        case ["fork", campaign, folder, *options] if not folder.startswith("-"):
            return _fork(campaign, folder, options)
        case ["evaluate", folder, *options] if not folder.startswith("-"):
            return _evaluate(Path(folder), options)
        case ["annotate", campaign, *options] if not campaign.startswith("-"):
            return _annotate(campaign, options)
        case ["export", "points" | "questions" as what, campaign, folder, *options] if not folder.startswith(
            "-"
        ):
            return _export_points(what, campaign, folder, options)
        case ["import", "points", name, source, table] if not name.startswith("-"):
            return _import_points(name, source, table)
        case ["export", network, file] if network not in ("points", "questions") and network[:1] != "-":
            return _export(network, file)
        case ["predict", network, images, folder, *options] if not folder.startswith("-"):
            return _predict(network, images, folder, options)
        case ["report", folder, *options] if not folder.startswith("-"):
            return tyro.cli(report, args=[folder, *options], prog="atal report")
        case ["config", preset, *options] if not preset.startswith("-"):
            config = parsed(preset_or_file(preset), options, f"atal config {preset}")
            print(config_file.to_yaml(config), end="")
        case ["data", "check", *options]:
            return tyro.cli(data_check, args=options, prog="atal data check")
        case ["data", "synth", *options]:
            return tyro.cli(data_synth, args=options, prog="atal data synth")
        case _:
            raise ConfigError(usage.refusal(arguments))
    return 0


def _help(words: list[str], options: list[str]) -> int:
    """Print what the command that begins with these words takes; all commands without a word."""
    match words:
        case [name, first, *_] if name in COMMANDS:
            plan_of(name, first, [*options, "--help"])  # defaults may depend on an option, as on --scale
        case [name] if name in COMMANDS:
            command = COMMANDS[name]
            _options(name, resolve_name(command.plan))
        case ["evaluate", *_]:
            return _evaluate(Path(), ["--help"])
        case ["predict", *_]:
            return _predict("", "", "", ["--help"])
        case ["annotate", *_]:
            return _annotate("", ["--help"])
        case ["export", "points" | "questions" as what, *_]:
            return _export_points(what, "", "", ["--help"])
        case ["resume", folder, *_] if (kept := kept_in(root := Folder.at(folder))) is not None:
            kept_plan(kept, root, ["--help"])
        case ["resume"]:
            print(usage.of_resume())
        case ["fork", campaign, *_]:
            return _fork(campaign, "NEW", ["--help"])
        case ["config", *rest]:
            _options("config", Config, preset_or_file(rest[0]) if rest else None)
        case ["report", *_]:
            tyro.cli(report, args=["--help"], prog="atal report")
        case ["data", "check", *_]:
            tyro.cli(data_check, args=["--help"], prog="atal data check")
        case ["data", "synth", *_]:
            tyro.cli(data_synth, args=["--help"], prog="atal data synth")
        case []:
            print(usage.page())
        case [name, *_] if any(f"{known} ".startswith(f"{name} ") for known in USAGES):
            print(usage.lines(name))
        case _:
            raise ConfigError(usage.refusal(words))
    return 0


def _options(name: str, plan: Any, start: Any = None) -> None:
    """Print the usage of a command, and the fields of its plan with their defaults."""
    of = USAGES[name]
    words, _, _ = of.arguments.partition(" [--")
    description = f"{of.does[0].upper()}{of.does[1:]}. Below are the defaults"
    shown = "" if start is not None else " of the preset paper" if "PRESET" in words else " of any campaign"
    shown = " of the scale tiny" if name == "study" else shown
    tyro.cli(
        plan,
        default=plan() if start is None else start,
        args=["--help"],
        prog=f"atal {name} {words}",
        description=f"{description}{shown}.",
    )


def _resume(folder: str, options: list[str]) -> int:
    root = Folder.at(folder)
    name = kept_in(root)
    if name is None:
        return carry_out(
            COMMANDS["run"], config_file.of_campaign(root), folder
        )  # which says that there is none
    return carry_out(COMMANDS[name], kept_plan(name, root, options), folder)


def _fork(campaign: str, folder: str, options: list[str]) -> int:
    from atal_ray.campaign.fork import fork, like

    config = parsed(like(campaign), options, f"atal fork {campaign} {folder}")
    fork(config, campaign, folder)
    print(f"done: {join(folder, 'report.html')}")
    return 0


def _evaluate(folder: Path, rest: list[str]) -> int:
    from atal_ray.config.evaluation import EvaluationConfig
    from atal_ray.evaluation.compare import evaluate

    incomplete = evaluate(tyro.cli(EvaluationConfig, args=rest, prog="atal evaluate FOLDER"), folder)
    print((folder / "table.md").read_text(encoding="utf-8"))
    for sentence in incomplete:
        print(sentence, file=sys.stderr)
    print(f"done: {folder}/table.md")
    return 1 if incomplete else 0


def _export(network: str, file: str) -> int:
    from atal_ray.campaign.finish.delivered_network import export

    export(network, file)
    print(f"done: {file}")
    return 0


def _annotate(campaign: str, options: list[str]) -> int:
    from atal_ray.campaign.serve_questions import AnnotateConfig, serve_questions

    config = tyro.cli(AnnotateConfig, args=options, prog="atal annotate CAMPAIGN")
    serve_questions(campaign, config)
    return 0


def _export_points(what: str, campaign: str, folder: str, options: list[str]) -> int:
    from atal_ray.campaign.export_points import ExportPoints, What, export_points, exported

    chosen: What = "points" if what == "points" else "questions"
    plan = ExportPoints(campaign=campaign, what=chosen)
    plan = parsed(plan, options, f"atal export {what} CAMPAIGN FOLDER")
    print(f"done: {exported(export_points(plan, folder))}")
    return 0


def _import_points(name: str, source: str, table: str) -> int:
    from atal_ray.annotation.read_points import read_points

    count, still_open = read_points(name, source, table)
    left = f"; {counted(still_open, 'question')} not answered there" if still_open else ""
    print(f"done: {counted(count, 'point')} in {table}{left}")
    return 0


def _predict(network: str, images: str, folder: str, rest: list[str]) -> int:
    from atal_ray.evaluation.predict_images import PredictConfig, predict_images, summary

    config = tyro.cli(PredictConfig, args=rest, prog="atal predict NETWORK IMAGES FOLDER")
    done, errors = predict_images(network, images, folder, config)
    first, *left = summary(done, errors, folder)
    for sentence in left:
        print(sentence, file=sys.stderr)
    print(f"done: {first}")
    return 1 if errors else 0


def report(
    folder: tyro.conf.Positional[str],
    compare: Annotated[
        tuple[str, ...],
        tyro.conf.arg(help="Campaigns to draw beside, as of random points; unset: those of report.compare."),
    ] = (),
) -> int:
    """Write report.html of a campaign again, from the files in its folder."""
    from atal_ray.campaign.campaign_folder import CampaignFolder
    from atal_ray.report.compared import read_compared
    from atal_ray.report.page import write_report

    campaign = CampaignFolder(Folder.at(folder))
    config = config_file.of_campaign(campaign.root)
    others = tuple(map(config_file.path, compare))
    read_compared(others)  # a wrong name ends the command
    shown = replace(config.report, compare=others or config.report.compare)
    write_report(campaign, replace(config, report=shown))
    print(f"done: {join(folder, 'report.html')}")
    return 0


def data_check(
    folder: tyro.conf.Positional[str], full: Annotated[bool, tyro.conf.arg(help="Name every file.")] = False
) -> int:
    """Read every file of a dataset and report what is wrong, by name; exit status 1 when something is."""
    from atal_ray.data.check import check_folder
    from atal_ray.runtime.progress_bar import tracked

    checked = check_folder(folder, partial(tracked, title="checking images", unit="image"))
    print(checked.render(full=full))
    return 0 if checked.ok else 1


def data_synth(folder: tyro.conf.Positional[Path], count: int = 48, seed: int = 0) -> int:
    """Make deterministic images with masks: textured scenes with occlusion, low contrast, small objects."""
    from atal_ray.data.synthetic.dataset import write_dataset

    made = write_dataset(folder, count=count, seed=seed)
    print(f"{counted(count, 'image with its mask', 'images with masks')} in {made}")
    return 0
