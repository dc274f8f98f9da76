"""The command `atal`: every option of `run` is a field of the configuration."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from atal_ray.config import Config, config_file, presets
from atal_ray.errors import AtalError
from atal_ray.runtime.stop import Terminated, raise_on_sigterm
from atal_ray.store.folder import Folder
from atal_ray.store.uri import join

if TYPE_CHECKING:
    from atal_ray.campaign.generate import Generation
    from atal_ray.studies.sweep.plan import Sweep

USAGE = """usage:
  atal run PRESET FOLDER [--FIELD VALUE ...]   run a campaign, or go on with it; PRESET is {presets}, or a YAML file
  atal run PRESET --help                       every field with its default
  atal resume FOLDER                           go on with a campaign, a generation, a sweep or a cross validation, as it was started
  atal generate CAMPAIGN FOLDER --images IMAGES [--FIELD VALUE ...]   points for any images by a campaign's snapshots, or go on with it
  atal sweep PRESET FOLDER --over FIELD=VALUE,... [--FIELD VALUE ...]   a campaign for each combination of fields, or go on with it
  atal cross-validate PRESET FOLDER [--FIELD VALUE ...]   train each network on the points of each (Table 3), or go on with it
  atal evaluate FOLDER --masks SET ... --maps METHOD ...   score saliency maps of any methods; exit status 1 if any is missing
  atal report FOLDER                           write report.html again
  atal config PRESET [--FIELD VALUE ...]       print a complete configuration as YAML
  atal data check FOLDER                       read every file and say what is wrong
  atal data synth FOLDER                       make the embedded images and masks
FOLDER is a path or, but for `evaluate` and `data synth`, the URI of a folder on an object store, such as s3://bucket/runs/first
"""


def main() -> None:
    """Run the command line; a mistake that a person can mend is one sentence and exit status 2."""
    arguments = sys.argv[1:]
    try:
        sys.path.append(str(Path.cwd()))  # where a network that is given as module:Class may lie
        raise_on_sigterm()
        sys.exit(_dispatch(arguments))
    except AtalError as error:
        print(f"atal: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt as stop:
        print("atal: stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(143 if isinstance(stop, Terminated) else 130)


def _dispatch(arguments: list[str]) -> int:
    match arguments:
        case ["run", name, folder, *rest] if not folder.startswith("-"):
            return _campaign(_configure("run", name, rest), folder)
        case ["run", name, "-h" | "--help"]:
            _configure("run", name, ["--help"])
        case ["generate", trained, folder, *rest] if not folder.startswith("-"):
            return _generate(trained, folder, rest)
        case ["generate", trained, "-h" | "--help"]:
            _generate(trained, "", ["--help"])
        case ["sweep", name, folder, *rest] if not folder.startswith("-"):
            return _sweep(name, folder, rest)
        case ["sweep", name, "-h" | "--help"]:
            _sweep(name, "", ["--help"])
        case ["cross-validate", name, folder, *rest] if not folder.startswith("-"):
            return _cross_validate(name, folder, rest)
        case ["cross-validate", name, "-h" | "--help"]:
            _cross_validate(name, "", ["--help"])
        case ["evaluate", folder, *rest] if not folder.startswith("-"):
            return _evaluate(Path(folder), rest)
        case ["evaluate", "-h" | "--help"]:
            _evaluate(Path(), ["--help"])
        case ["resume", folder] if Folder.at(folder).exists("generation.yaml"):
            return _resume_generation(folder)
        case ["resume", folder] if Folder.at(folder).exists("sweep.yaml"):
            return _resume_sweep(folder)
        case ["resume", folder] if Folder.at(folder).exists("cross_validation.yaml"):
            return _resume_cross_validation(folder)
        case ["resume", folder]:
            return _campaign(config_file.of_campaign(Folder.at(folder)), folder)
        case ["report", folder]:
            return _report(folder)
        case ["config", name, *rest] if not name.startswith("-"):
            print(config_file.to_yaml(_configure("config", name, rest)), end="")
        case ["data", "check", *rest]:
            return tyro.cli(data_check, args=rest, prog="atal data check")
        case ["data", "synth", *rest]:
            return tyro.cli(data_synth, args=rest, prog="atal data synth")
        case [] | ["-h"] | ["--help"]:
            print(_usage())
        case _:
            print(f"atal: cannot read the command {' '.join(arguments)!r}\n{_usage()}", file=sys.stderr)
            return 2
    return 0


def _usage() -> str:
    return USAGE.format(presets=", ".join(presets.PRESETS))


def _configure(command: str, name: str, rest: list[str]) -> Config:
    """The preset, or the YAML file, of that name, with the fields that the command line sets."""
    return tyro.cli(Config, default=_start(name), args=rest, prog=f"atal {command} {name}")


def _start(name: str) -> Config:
    return config_file.load(Path(name)) if name.endswith((".yaml", ".yml")) else presets.preset(name)


def _campaign(config: Config, folder: str) -> int:
    from atal_ray.campaign.run import (
        run_campaign,  # imports Ray and torch: seconds that `--help` need not wait
    )

    run_campaign(config, folder)
    print(f"done: {join(folder, 'report.html')}")
    return 0


def _generate(trained: str, folder: str, rest: list[str]) -> int:
    from atal_ray.campaign.generate import Generation

    return _run_generation(
        tyro.cli(
            Generation, default=Generation.like(trained), args=rest, prog=f"atal generate {trained} FOLDER"
        ),
        folder,
    )


def _resume_generation(folder: str) -> int:
    from atal_ray.campaign.generate import PLAN, Generation

    return _run_generation(config_file.saved(Folder.at(folder), PLAN, Generation), folder)


def _run_generation(plan: "Generation", folder: str) -> int:
    from atal_ray.campaign.generate import generate, summary

    print(f"done: {summary(generate(plan, folder))}")
    return 0


def _sweep(name: str, folder: str, rest: list[str]) -> int:
    from atal_ray.studies.sweep.plan import Sweep

    return _run_sweep(
        tyro.cli(Sweep, default=Sweep(campaign=_start(name)), args=rest, prog=f"atal sweep {name}"), folder
    )


def _resume_sweep(folder: str) -> int:
    from atal_ray.studies.sweep.plan import Sweep
    from atal_ray.studies.sweep.sweep import SWEEP_PLAN

    return _run_sweep(config_file.saved(Folder.at(folder), SWEEP_PLAN, Sweep), folder)


def _run_sweep(plan: "Sweep", folder: str) -> int:
    from atal_ray.studies.sweep.sweep import sweep

    sweep(plan, folder)
    print(f"done: {join(folder, 'sweep.html')}")
    return 0


def _cross_validate(name: str, folder: str, rest: list[str]) -> int:
    from atal_ray.studies.cross_validation import CrossValidation, cross_validate

    plan = tyro.cli(
        CrossValidation,
        default=CrossValidation(campaign=_start(name)),
        args=rest,
        prog=f"atal cross-validate {name}",
    )
    cross_validate(plan, folder)
    print(f"done: {join(folder, 'cross_validation.md')}")
    return 0


def _resume_cross_validation(folder: str) -> int:
    from atal_ray.studies.cross_validation import CROSS_VALIDATION_PLAN, CrossValidation, cross_validate

    cross_validate(config_file.saved(Folder.at(folder), CROSS_VALIDATION_PLAN, CrossValidation), folder)
    print(f"done: {join(folder, 'cross_validation.md')}")
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


def _report(folder: str) -> int:
    from atal_ray.campaign.campaign_folder import CampaignFolder
    from atal_ray.report.page import write_report

    campaign = CampaignFolder(Folder.at(folder))
    write_report(campaign, config_file.of_campaign(campaign.root))
    print(f"done: {join(folder, 'report.html')}")
    return 0


def data_check(
    folder: tyro.conf.Positional[str], full: Annotated[bool, tyro.conf.arg(help="Name every file.")] = False
) -> int:
    """Read every file of a dataset and report what is wrong, by name; exit status 1 when something is."""
    from atal_ray.data.check import check_folder
    from atal_ray.runtime.progress_bar import tracked

    report = check_folder(folder, partial(tracked, title="checking images", unit="image"))
    print(report.render(full=full))
    return 0 if report.ok else 1


def data_synth(folder: tyro.conf.Positional[Path], count: int = 48, seed: int = 0) -> int:
    """Make deterministic images with masks: textured scenes with occlusion, low contrast and small objects."""
    from atal_ray.data.synthetic.dataset import write_dataset

    print(f"{count} images with masks in {write_dataset(folder, count=count, seed=seed)}")
    return 0
