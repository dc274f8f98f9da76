"""What each command is called with and what it does, as `atal --help` says it."""

import textwrap
from dataclasses import dataclass

from atal_ray.config import Config
from atal_ray.config.presets import PRESETS
from atal_ray.errors import meant

LEVELS = ("debug", "info", "warning", "error")
"""Values of --log-level."""


@dataclass(frozen=True)
class Usage:
    """One command."""

    arguments: str
    """What follows its name."""
    does: str


USAGES = {
    "run": Usage("PRESET FOLDER [--FIELD VALUE ...]", "run a campaign, or go on with it"),
    "resume": Usage(
        "FOLDER [--FIELD VALUE ...]",
        "go on with a campaign, generation, finish, sweep, study or cross validation; some fields may change",
    ),
    "fork": Usage(
        "CAMPAIGN NEW [--FIELD VALUE ...]",
        "another campaign with the points of one and, where training is equal, its rounds",
    ),
    "generate": Usage(
        "CAMPAIGN FOLDER --images IMAGES [--FIELD VALUE ...]",
        "points for any images by a campaign's snapshots, or go on with it",
    ),
    "finish": Usage(
        "CAMPAIGN FOLDER [--FIELD VALUE ...]",
        "dense masks of a campaign's points, and a network trained on them, or go on with it",
    ),
    "sweep": Usage(
        "PRESET FOLDER --over FIELD=VALUE,... [--FIELD VALUE ...]",
        "a campaign for each combination of fields, or go on with it",
    ),
    "cross-validate": Usage(
        "PRESET FOLDER [--FIELD VALUE ...]",
        "train each network on the points of each (Table 3), or go on with it",
    ),
    "study": Usage(
        "NAME FOLDER [--scale tiny|small|paper] [--FIELD VALUE ...]",
        "a table or figure of the paper, or all, beside its claims, or go on with it",
    ),
    "study list": Usage("", "the tables and figures that there are"),
    "evaluate": Usage(
        "FOLDER --masks SET ... --maps METHOD ... [--FIELD VALUE ...]",
        "score saliency maps of any methods; exit status 1 if any is missing",
    ),
    "annotate": Usage(
        "CAMPAIGN [--people NAME ...] [--FIELD VALUE ...]",
        "a page on which people answer the open questions of a campaign",
    ),
    "export points": Usage(
        "CAMPAIGN FOLDER [--formats FORMAT ...] [--FIELD VALUE ...]",
        "the points of a campaign in the formats of labelling tools and trainers, with a data card",
    ),
    "export questions": Usage(
        "CAMPAIGN FOLDER [--formats FORMAT ...] [--FIELD VALUE ...]",
        "its open questions, to answer them in Label Studio or CVAT",
    ),
    "import points": Usage(
        "FORMAT SOURCE TABLE.parquet", "what was labelled in another tool, as a table that a campaign takes"
    ),
    "export": Usage(
        "NETWORK FILE", "the network of a finished campaign as TorchScript, with its pre-processing inside"
    ),
    "predict": Usage(
        "NETWORK IMAGES FOLDER [--FIELD VALUE ...]",
        "saliency maps of any images by the network of a finished campaign; exit status 1 if any is missing",
    ),
    "report": Usage("FOLDER [--compare CAMPAIGN ...]", "write report.html again"),
    "config": Usage("PRESET [--FIELD VALUE ...]", "print a complete configuration as YAML"),
    "data check": Usage("FOLDER", "read every file and say what is wrong"),
    "data synth": Usage("FOLDER", "make the embedded images and masks"),
}
"""By the words that call them."""

_PRESET = f"PRESET is {', '.join(PRESETS)}, or a YAML file."
_FOLDER = (
    "FOLDER is a path or, but for `evaluate` and `data synth`, the URI of a folder on an object store, such "
    "as\ns3://bucket/runs/first."
)
_LEVEL = f"Every command takes --log-level: {', '.join(LEVELS)} (default info)."


def page() -> str:
    """All commands."""
    return "\n".join(
        [
            "usage:",
            *(f"  atal {name} {of.arguments}\n      {of.does}" for name, of in USAGES.items()),
            "  atal COMMAND --help",
            "      every field of a command with its default (after a PRESET or CAMPAIGN: the default there)",
            "  atal --version",
            "      which version this is",
            f"{_PRESET} {_FOLDER}\n{_LEVEL}",
        ]
    )


def lines(start: str) -> str:
    """The commands whose words begin with `start`, as "data" does for two; all of them where none does."""
    found = {name: of for name, of in USAGES.items() if f"{name} ".startswith(f"{start} ")}
    if not found:
        return page()
    shown = [f"  atal {name} {of.arguments}\n      {of.does}" for name, of in found.items()]
    preset = [_PRESET] if any(of.arguments.startswith("PRESET") for of in found.values()) else []
    return "\n".join(["usage:", *shown, *preset])


def of_resume() -> str:
    """What `atal resume --help` says where no folder is named."""
    sections = {name: kind for name in Config.field_types if (kind := Config.section(name)) is not None}
    free = [
        f"--{name}.{field}".replace("_", "-")
        for name, kind in sections.items()
        for field in (kind.field_types if name == "resources" else kind.may_change)
        if field != "earlier"  # kept by the campaign itself
    ]
    return (
        f"{lines('resume')}\nA campaign that has begun takes other values of these fields:\n"
        + "\n".join(textwrap.wrap(", ".join(free), 110, initial_indent="  ", subsequent_indent="  "))
        + "\n`atal resume FOLDER --help` says what each is, with the value that the folder has."
    )


def refusal(arguments: list[str]) -> str:
    """Why arguments are no command: what was perhaps meant, and how it is used."""
    first = arguments[0] if arguments else ""
    known = {name.partition(" ")[0] for name in USAGES}
    hint = "" if first in known else meant(first, sorted(known))
    start = " ".join(arguments[:2]) if " ".join(arguments[:2]) in USAGES else first
    return f"cannot read the command {' '.join(arguments)!r}{hint}\n{lines(start)}"
