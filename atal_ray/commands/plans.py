"""The commands that do a plan in a folder, which is kept there: what is done, with what, and its result."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import tyro

from atal_ray.config import Config, config_file, presets
from atal_ray.config.plugins import Tree, given, with_options
from atal_ray.config.section import Section
from atal_ray.store.folder import Folder
from atal_ray.store.uri import join


@dataclass(frozen=True)
class Command:
    """A command that does a plan in a folder; the plan is kept there, and its fields are the options."""

    plan: str
    """Class of the plan, as module:Class: it is imported when it is used, for Ray and torch take seconds."""
    kept: str
    """Name of the plan's file in the folder."""
    start: Callable[[Any, str, list[str]], Section]
    """The plan before its options, from its class, the word before the folder, and the options."""
    run: str
    """Function of the plan and the folder, as module:function."""
    done: Callable[[Any, str], str]
    """Where the result is, from what `run` returned and the folder."""


def preset_or_file(name: str) -> Config:
    """The preset or the YAML file of that name."""
    return config_file.load(Path(name)) if name.endswith((".yaml", ".yml")) else presets.preset(name)


def _summary(campaign: Any, folder: str) -> str:
    from atal_ray.campaign.generate import summary

    return summary(campaign)


def _delivered(final: Any, folder: str) -> str:
    from atal_ray.campaign.finish.delivered import summary

    return "\n".join([join(folder, "network.pt"), summary(final)])


COMMANDS = {
    "generate": Command(
        plan="atal_ray.campaign.generate:Generation",
        kept="generation.yaml",
        start=lambda plan, campaign, _: plan.like(campaign),
        run="atal_ray.campaign.generate:generate",
        done=_summary,
    ),
    "finish": Command(
        plan="atal_ray.campaign.finish.finish_plan:Finish",
        kept="finish.yaml",
        start=lambda plan, campaign, options: plan.like(campaign, given(options, "--network.name")),
        run="atal_ray.campaign.finish.finish:finish",
        done=_delivered,
    ),
    "sweep": Command(
        plan="atal_ray.studies.sweep.plan:Sweep",
        kept="sweep.yaml",
        start=lambda plan, preset, _: plan(campaign=preset_or_file(preset)),
        run="atal_ray.studies.sweep.sweep:sweep",
        done=lambda _, folder: join(folder, "sweep.html"),
    ),
    "cross-validate": Command(
        plan="atal_ray.studies.cross_validation:CrossValidation",
        kept="cross_validation.yaml",
        start=lambda plan, preset, _: plan(campaign=preset_or_file(preset)),
        run="atal_ray.studies.cross_validation:cross_validate",
        done=lambda _, folder: join(folder, "cross_validation.md"),
    ),
    "study": Command(
        plan="atal_ray.studies.paper.study:Studies",
        kept="study.yaml",
        start=lambda plan, name, options: plan.of(name, given(options, "--scale") or "tiny"),
        run="atal_ray.studies.paper.study:run_studies",
        done=lambda _, folder: join(folder, "study.html"),
    ),
    "run": Command(
        plan="atal_ray.config:Config",
        kept="config.yaml",
        start=lambda _, preset, options: preset_or_file(preset),
        run="atal_ray.campaign.run:run_campaign",
        done=lambda _, folder: join(folder, "report.html"),
    ),
}
"""The commands that can be resumed."""


def plan_of(name: str, first: str, options: list[str]) -> Section:
    """The plan of a command with the fields that the options set."""
    plan = resolve_name(COMMANDS[name].plan)
    start = COMMANDS[name].start(plan, first, options)
    return parsed(start, options, f"atal {name} {first} FOLDER")


def parsed(start: Tree, options: list[str], program: str) -> Tree:
    """A tree with the fields that options set, the settings of the plug-ins that they name included."""
    start = with_options(start, options)
    found: Tree = tyro.cli(type(start), default=start, args=options, prog=program)
    return found


def kept_in(root: Folder) -> str | None:
    """The command whose plan a folder keeps; None where it keeps none."""
    return next((name for name, command in COMMANDS.items() if root.exists(command.kept)), None)


def kept_plan(name: str, root: Folder, options: list[str]) -> Section:
    """The plan in a folder, with the fields that the options set."""
    command = COMMANDS[name]
    kind = resolve_name(command.plan)
    plan: Section = config_file.saved(root, command.kept, kind)
    if options and isinstance(plan, Config):
        from atal_ray.campaign.campaign_folder import CampaignFolder
        from atal_ray.campaign.changes import asked_before

        plan = asked_before(CampaignFolder(root), plan)
    if options:
        plan = parsed(plan, options, f"atal resume {root.uri}")
    return plan


def carry_out(command: Command, plan: Section, folder: str) -> int:
    """Do a plan, and say where the result is; the exit status."""
    result = resolve_name(command.run)(plan, folder)
    print(f"done: {command.done(result, folder)}")
    return 0
