"""Command lines of pages and manifests through the real parser, without doing what they say."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from atal_ray import cli
from atal_ray.campaign.generate import Generation
from atal_ray.commands.plans import COMMANDS
from atal_ray.config import Config, config_file

ROOT = Path(__file__).resolve().parents[1]
JOBS = {
    "run.py": "run",
    "generate.py": "generate",
    "evaluate.py": "evaluate",
    "annotate.py": "annotate",
    "finish.py": "finish",
    "cross_validate.py": "cross-validate",
    "study.py": "study",
    "sweep.py": "sweep",
}
PLACEHOLDERS = {"PRESET": "paper", "my.yaml": "paper"}


class Parsed(Exception):
    """A command that would now start to work, with the arguments of the function that would do it."""


def in_page(text: str) -> list[str]:
    """The commands of this project in a page: lines that are indented, or code between backticks; continued
    lines are joined.

    The name of a command alone is no command line.
    """
    joined = re.sub(r"\\\n\s*", "", text)
    block = re.findall(
        r"^ {4,}(?:.*-- )?((?:atal|python jobs/\w+\.py) \S.*?)(?:   .*)?$", joined, re.MULTILINE
    )
    inline = re.findall(r"`(?:[^`\n]*-- )?((?:atal|python jobs/\w+\.py) [^`]+)`", joined)
    return [
        command for command in block + inline if not re.fullmatch(r"atal [a-z-]+(?: check| synth)?", command)
    ]


def arguments(command: str) -> list[str]:
    """What `atal` would get: jobs add the name of their command, placeholders become examples."""
    words = shlex.split(re.sub(r" \[--FIELD.*|\s+[>#].*", "", command))
    rest = [PLACEHOLDERS.get(word, word) for word in words[1:] if word != "..."]
    if words[0].startswith("python"):
        script = Path(rest[0]).name
        assert (ROOT / "jobs" / script).is_file(), f"no jobs/{script}"
        rest = [JOBS[script], *rest[1:]]
    return rest


def parse(command: str) -> Any:
    """The configuration that a command would work with; None where it only prints.

    Raises:
        SystemExit: the parser refuses it.
    """
    with _idle():
        try:
            status = cli.dispatch(cli.split_log_level(arguments(command))[1])
        except Parsed as parsed:
            return parsed.args[0]
        except SystemExit as end:  # a page of help is a success
            status = end.code if isinstance(end.code, int) else 1
    if status:
        raise SystemExit(f"{command!r} is refused")
    return None


@contextmanager
def _idle() -> Iterator[None]:
    def stop(*arguments: Any, **_: Any) -> NoReturn:
        raise Parsed(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        for module, name in (
            *(command.run.split(":") for command in COMMANDS.values()),
            ("atal_ray.campaign.fork", "fork"),
            ("atal_ray.evaluation.compare", "evaluate"),
            ("atal_ray.report.page", "write_report"),
            ("atal_ray.campaign.finish.delivered_network", "export"),
            ("atal_ray.campaign.export_points", "export_points"),
            ("atal_ray.campaign.serve_questions", "serve_questions"),
            ("atal_ray.annotation.read_points", "read_points"),
            ("atal_ray.evaluation.predict_images", "predict_images"),
            ("atal_ray.data.check", "check_folder"),
            ("atal_ray.data.synthetic.dataset", "write_dataset"),
        ):
            patch.setattr(f"{module}.{name}", stop)
        patch.setattr("atal_ray.report.compared.read_compared", lambda folders: ([], []))
        patch.setattr(config_file, "of_campaign", lambda folder: Config())
        patch.setattr("atal_ray.campaign.fork.like", lambda campaign: Config())
        patch.setattr(Generation, "like", classmethod(lambda cls, trained: cls(snapshots=str(trained))))
        yield
