"""Every advice that a sentence of the package gives is taken by the command that prints the sentence."""

import ast
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_lines import parse

import atal_ray
from atal_ray.campaign.finish.finish_plan import Finish
from atal_ray.campaign.generate import Generation
from atal_ray.config import Config, config_file
from atal_ray.config.evaluation import EvaluationConfig
from atal_ray.config.field_names import paths
from atal_ray.config.section import Section
from atal_ray.errors import ConfigError
from atal_ray.studies.cross_validation import CrossValidation
from atal_ray.studies.sweep.plan import Sweep

PACKAGE = Path(atal_ray.__file__).parent
SECTIONS = "data|network|train|attack|query|regions|budget|resources|report"
ADVICE = re.compile(
    rf"(?<![\w-])--[a-z][a-z.-]+|`atal |\bcommand\(|(?<![\w{{.])(?:{SECTIONS})\.[a-z]+[a-z_-]*(?![\w.])"
)
PLANS = {
    "run": (Config, ""),
    "generate": (Generation, ""),
    "finish": (Finish, ""),
    "sweep": (Sweep, "campaign."),
    "cross-validate": (CrossValidation, "campaign."),
    "evaluate": (EvaluationConfig, ""),
}
"""What the options of each command are fields of, and where the fields of a campaign are among them."""
TRAINING = ("run", "sweep", "cross-validate")
QUERYING = (*TRAINING, "generate")


@dataclass(frozen=True)
class Advised:
    """What a sentence advises, and who prints it."""

    part: str
    """Of the sentence, as in the source; {...} is a value."""
    commands: tuple[str, ...] = TRAINING
    options: tuple[str, ...] = ()
    """Added to each command, one after another; none where a field is named as a fact alone."""
    others: tuple[str, ...] = ()
    """Whole commands that it names."""
    begun: bool = False
    """Whether it is said of a campaign that has begun, where only some fields may change."""


SENTENCES = [
    # acquisition
    Advised(
        "so start another campaign with a lower train.lr-max", TRAINING, ("--train.lr-max 0.01",), begun=True
    ),
    Advised("set resources.index to numpy", QUERYING, ("--resources.index numpy",), begun=True),
    # annotation
    Advised("data.points {source} is neither a campaign"),
    Advised(
        "has no mask to read labels from: use budget.annotator", TRAINING, ("--budget.annotator answers",)
    ),
    # campaign
    Advised("data.tests names two folders of one name", ("run", "sweep"), ("--data.tests a b",)),
    Advised("data.tests names no folder {name}"),
    Advised("leave this set out of data.tests", TRAINING, ("--data.tests a",)),
    Advised("or use budget.annotator answers", TRAINING, ("--budget.annotator answers",)),
    Advised("query.score {score}", QUERYING, ("--query.score entropy",)),
    Advised("regions.labels {labels}", TRAINING, ("--regions.labels propagate",)),
    Advised("or take it as it is now: {command('fork'", others=("atal fork F NEW",)),
    Advised(
        "{mend}: {command('resume', name, option, 'NEW_PLACE')}",
        others=(
            "atal resume F --data.train NEW_PLACE",
            "atal resume F --data.tests NEW_PLACE",
            "atal fork F NEW",
        ),
    ),
    Advised("give the folder of the test set with --data.tests", ("run",), ("--data.tests a",), begun=True),
    Advised("leave data.points unset and regions.labels unlike dense", others=("atal fork F NEW",)),
    Advised(
        "start another campaign with a lower train.lr-max than {lr_max}",
        TRAINING,
        ("--train.lr-max 0.01",),
        begun=True,
    ),
    Advised(
        "start another campaign with a lower query.cover-factor, query.ceiling or "
        "query.cover-images, or with query.similarity mean",
        QUERYING,
        ("--query.cover-factor 5", "--query.ceiling 3", "--query.cover-images 9", "--query.similarity mean"),
        begun=True,
    ),
    Advised(
        "every image has its ceiling or no candidate left; raise query.ceiling",
        QUERYING,
        ("--query.ceiling 9",),
    ),
    # command line and configuration
    Advised("--log-level is {level}", others=("atal run paper F --log-level warning",)),
    Advised("budget.per-round (k) {self.budget.per_round} is larger"),
    Advised("needs train.workers 1", TRAINING, ("--resources.backend inline --train.workers 1",)),
    Advised(
        'set regions.labels to "dense"',
        ("run",),
        ("--train.loss bce --train.augment crop", "--train.loss bce+iou --regions.labels dense"),
    ),
    Advised("data.points gives labelled points, but regions.labels dense"),
    Advised(
        "query.scope dataset needs query.floor <= budget.per-round <= query.ceiling",
        TRAINING,
        ("--query.scope dataset --query.floor 1 --query.ceiling 3 --budget.per-round 2",),
    ),
    Advised(
        "asks networks that are trained apart",
        TRAINING,
        ("--query.method den --train.ensemble networks --train.epochs 175",),
    ),
    Advised(
        "in several passes with dropout: set network.dropout, such as 0.25",  # not of `generate`
        TRAINING,
        ("--query.method mcdr --network.dropout 0.25",),
    ),
    Advised(
        "take a campaign that was trained with network.dropout",
        others=(
            "atal run paper F --network.dropout 0.25",
            "atal generate C F --images I --query.method mcdr",
        ),
    ),
    Advised(
        "takes a score of predictions, such as entropy or vote-entropy",
        TRAINING,
        ("--query.method mcdr --network.dropout 0.25 --query.score vote-entropy",),
    ),
    Advised("leave query.method and seed as they are there", ("generate",), ("--seed 0",)),
    Advised("query.score influence needs the last convolution", QUERYING, ("--query.score entropy",)),
    Advised("or set network.dropout 0", TRAINING, ("--network.dropout 0",)),
    Advised(
        "ask by another score, or let a campaign train with this one",
        others=(
            "atal generate C F --images I --query.score entropy",
            "atal run paper F --query.score predicted-loss",
        ),
    ),
    Advised("regions.method {regions.method} gives", others=("atal run paper F --regions.method squares",)),
    Advised(
        "train.ensemble networks trains each of them for a cycle",
        TRAINING,
        ("--train.ensemble networks --train.schedule cyclic",),
    ),
    Advised(
        "query.score {score} compares several members",
        QUERYING,
        ("--query.method atal --query.score bald",),
    ),
    Advised("it needs query.strategy rds", QUERYING, ("--query.scope dataset --query.strategy rds",)),
    Advised("budget.total {self.total} is below"),
    Advised("budget.start {there}"),
    Advised("budget.total {self.total} is not reached from"),
    Advised("query.ceiling {self.ceiling} is below query.floor"),
    Advised("train.epochs is {self.epochs}: each of"),
    Advised("train.epochs {self.epochs} cannot be split"),
    Advised("train.batch-size {self.batch_size} cannot be shared"),
    Advised(
        "start another campaign with a larger train.batch-size",
        TRAINING,
        ("--train.batch-size 8",),
        begun=True,
    ),
    Advised("train.lr-min {self.lr_min} must be below train.lr-max"),
    Advised(
        "as far as the training is equal: {command('fork', folder.uri, 'NEW', *options)}",
        others=("atal fork F NEW --train.epochs 40",),
    ),
    # data; `generate` says the last two in its own words, see test_cli
    Advised("`atal fork CAMPAIGN NEW`, with", others=("atal fork CAMPAIGN NEW",)),
    Advised(
        "`atal run` takes --data.on-bad-file skip, `atal generate` --on-bad-file skip",
        others=(
            "atal run paper F --data.on-bad-file skip",
            "atal generate C F --images I --on-bad-file skip",
        ),
    ),
    Advised("--data.on-bad-file skip", TRAINING, ("--data.on-bad-file skip",)),
    # the finish of a campaign
    Advised("name the folder of an `atal finish`", others=("atal finish C F",)),
    Advised("give the folder of the test set with --tests", others=("atal finish C F --tests a",)),
    Advised(
        "holds files that were not made by `atal finish`: name a new folder", others=("atal finish C F",)
    ),
    Advised(
        "port {config.port} of {config.host} cannot be had ({error.strerror}): choose another --port",
        others=("atal annotate C --port 8009",),
    ),
    Advised(
        "holds files that were not made by `atal export points`: name a new folder",
        others=("atal export points C F",),
    ),
    Advised(
        "everything; `--data.points` of a campaign takes it", others=("atal run paper F --data.points T",)
    ),
    Advised("--on-bad-file skip", ("finish",), ("--on-bad-file skip",)),
    Advised(
        "sieve, finer and agreement are about clicked superpixels",
        ("finish",),
        ("--sieve 0 --finer 0",),
    ),
    Advised("train.by-confidence is what targets weighted sets", ("finish",), ("--targets weighted",)),
    Advised("train.cycles is {self.train.cycles}: a finish", ("finish",), ("--train.cycles 1",)),
    Advised(
        "campaign trains on these points with --data.points {campaign.root.uri}",
        others=("atal run paper NEW --data.points C",),
    ),
    Advised(
        "or without Ray (--resources.backend inline; of atal evaluate and atal predict: --backend inline)",
        QUERYING,
        ("--resources.backend inline",),
        ("atal evaluate F --backend inline --masks S --maps M", "atal predict F I O --backend inline"),
        begun=True,
    ),
    Advised(
        "the same command with --data.on-bad-file skip (of atal generate and atal finish:",
        TRAINING,
        ("--data.on-bad-file skip",),
        begun=True,
    ),
    Advised("Run {command('data', 'check', folder)} for the whole list", others=("atal data check F",)),
    # evaluation
    Advised(
        "give test sets with --masks, and methods with --maps or --checkpoint",
        ("evaluate",),
        ("--masks S --maps M", "--masks S --checkpoint W"),
    ),
    # networks and training
    Advised("train.size and train.scales hold", TRAINING, ("--train.size 96 --train.scales 96 128",)),
    Advised(
        "raise train.scales, or set train.drop-last", TRAINING, ("--train.scales 128", "--train.drop-last")
    ),
    Advised("network.name is {"),
    Advised("but {config.name} starts from random weights: leave it unset"),
    Advised("give a file in network.weights that was trained", TRAINING, ("--network.weights w.pth",)),
    Advised(
        'give the file in network.weights, or "random"',
        TRAINING,
        ("--network.weights w.pth", "--network.weights random"),
    ),
    Advised(
        "raise train.epochs or lower train.batch-size",
        TRAINING,
        ("--train.epochs 40", "--train.batch-size 4"),
    ),
    Advised(
        "start another campaign with a lower train.lr-max than {recipe.lr_max}",
        TRAINING,
        ("--train.lr-max 0.01",),
        begun=True,
    ),
    # report
    Advised("resources.gpus is require, but PyTorch sees no GPU here", QUERYING, ("--resources.gpus auto",)),
    Advised("run it again with {command('resume', campaign.root.uri)}", others=("atal resume F",)),
    Advised("{command('resume', campaign.root.uri)}", others=("atal resume F",)),
    Advised("answer on the page of `atal annotate`", others=("atal annotate C",)),
    Advised("Drawn images: without data.train", TRAINING, ("--data.train F",)),
    # runtime
    Advised("mend resources.scoring-nodes", QUERYING, ("--resources.scoring-nodes role gpu",), begun=True),
    Advised("mend resources.loading-nodes", QUERYING, ("--resources.loading-nodes role cpu",), begun=True),
    Advised(
        "lower query.batch-size or query.shard-size in another campaign",
        QUERYING,
        ("--query.batch-size 2", "--query.shard-size 4"),
        begun=True,
    ),
    Advised("fewer train.workers need another campaign", TRAINING, ("--train.workers 1",), begun=True),
    Advised(
        "a smaller train.batch-size needs another campaign", TRAINING, ("--train.batch-size 4",), begun=True
    ),
    Advised(
        "trials-at-once is {wanted}, but resources.backend inline",
        ("sweep",),
        ("--trials-at-once 1 --resources.backend inline",),
    ),
    # store
    Advised("give one, or (not to `atal evaluate`) a URI", others=("atal run paper s3://bucket/folder",)),
    # studies
    Advised("leave data.points unset and regions.labels other than dense"),
    Advised("train.warm-start makes the campaign's last round"),
    Advised("train.warm-start makes a campaign's last round"),
    Advised("use --full same", ("cross-validate",), ("--full same",)),
    Advised("data.tests is empty: a cross validation", ("cross-validate",), ("--data.tests a",)),
    Advised(
        "so points do too: use budget.annotator oracle", ("cross-validate",), ("--budget.annotator oracle",)
    ),
    Advised("as query.top-percent=1,3,5", others=("atal sweep paper F --over query.top-percent=1,3,5",)),
    Advised("data.tests is empty: a sweep needs", ("sweep",), ("--data.tests a",)),
    Advised("test-set {self.test_set} is not one of data.tests"),
    Advised("no data.points, no dense labels"),
    Advised(
        "a sweep is answered from masks: use budget.annotator oracle",
        ("sweep",),
        ("--budget.annotator oracle",),
    ),
    Advised("a study asks for points: leave data.points unset and regions.labels not dense"),
    Advised(
        "a study is answered from masks: use budget.annotator oracle",
        ("study",),
        ("--budget.annotator oracle",),
    ),
    Advised("in each round after the first: leave budget.earlier unset"),
    Advised("data.tests is empty: a study needs at least one test set"),
    Advised("use resources.backend ray", ("sweep",), ("--stop-early --resources.backend ray",)),
    Advised("{command('config', 'paper')} lists them", others=("atal config paper",)),
]
ELSEWHERE = ("another campaign", "new folder")


def text_of(node: ast.AST) -> str | None:
    """The text of a string in the source, values in braces; None for anything else."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(text_of(part) or "" for part in parts)
        case ast.FormattedValue(value=value):
            return f"{{{ast.unparse(value)}}}"
    return None


def sentences(source: str) -> list[str]:
    """Every string of a module that names an option, a field or a command; docstrings do not count."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(id(node.value))
    found = []
    for node in ast.walk(tree):
        text = None if id(node) in skipped else text_of(node)
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in ast.walk(node))
        if text is not None and " " in text and ADVICE.search(text):
            found.append(text)
    return found


def in_package() -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(PACKAGE)), text)
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "usage.py"  # whose lines are patterns; `test_cli` reads the help of every command
        for text in sentences(path.read_text())
        if not text.startswith(("atal ", "done: "))  # names and results, no advice
    ]


@pytest.mark.parametrize(("file", "sentence"), in_package())
def test_every_sentence_with_an_advice_is_known(file: str, sentence: str) -> None:
    """A new one is added above with the commands that print it, so that its advice is tried."""
    assert any(advised.part in sentence for advised in SENTENCES), sentence


def set_by(command: str, options: str) -> Section:
    """The plan of a command with options set: as the command line does, but in milliseconds.

    `test_options_are_read_as_the_command_line_reads_them` compares the two.
    """
    kind, above = PLANS[command]
    tree: dict[str, Any] = {}
    for option in re.split(r"(?:^|\s)--", options)[1:]:
        name, *values = shlex.split(option)
        path = name.replace("-", "_")
        path = path if path in set(paths(kind)) else f"{above}{path}"
        assert path in set(paths(kind)), f"{command} has no option --{name}"
        *sections, leaf = path.split(".")
        default, node = kind(), tree
        for section in sections:
            default, node = getattr(default, section), node.setdefault(section, {})
        known = [yaml.safe_load(value) for value in values]
        match getattr(default, leaf):
            case tuple():
                node[leaf] = known
            case dict():
                node[leaf] = dict(zip(values[::2], values[1::2], strict=True))
            case bool():
                node[leaf] = known[0] if known else True
            case _:
                (node[leaf],) = known
    return config_file.from_tree(kind, tree, command)


@pytest.mark.parametrize("command", PLANS)
def test_every_option_that_is_advised_is_taken_by_the_commands_that_advise_it(command: str) -> None:
    advised = [options for of in SENTENCES if command in of.commands for options in of.options]
    assert advised
    for options in advised:
        set_by(command, options)


def test_what_is_advised_to_a_campaign_that_has_begun_may_change_there() -> None:
    begun = [of for of in SENTENCES if of.begun]
    assert len(begun) > 8
    for of in begun:
        for options in of.options:
            changed = set_by("run", options)
            assert isinstance(changed, Config)
            free = not config_file.differences(Config(), changed)
            assert free or any(words in of.part for words in ELSEWHERE), of.part


def test_an_option_of_another_command_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"generate has no option --data\.on-bad-file"):
        set_by("generate", "--data.on-bad-file skip")
    with pytest.raises(ConfigError, match="Input should be"):
        set_by("run", "--budget.annotator nobody")


def test_options_are_read_as_the_command_line_reads_them() -> None:
    options = (
        "--budget.annotator answers --train.drop-last --data.tests a b --resources.loading-nodes role cpu"
    )
    assert parse(f"atal run paper F {options}") == set_by("run", options)
    options = "--over seed=0,1 --stop-early --train.lr-max 0.01"
    assert parse(f"atal sweep paper F {options}") == set_by("sweep", options)


@pytest.mark.parametrize("line", [line for advised in SENTENCES for line in advised.others])
def test_every_command_that_is_advised_is_read(line: str) -> None:
    parse(line)


def test_every_part_is_still_in_a_sentence() -> None:
    texts = [text for _, text in in_package()]
    assert [advised.part for advised in SENTENCES if not any(advised.part in text for text in texts)] == []


def test_commands_in_sentences_are_quoted() -> None:
    """A value inside a command is put there by `command`, which quotes what holds a space."""
    found = [text for _, text in in_package() if re.search(r"`atal [^`]*\{", text)]
    assert found == []


def test_what_is_a_sentence_with_an_advice() -> None:
    source = (
        '"""--not-this one"""\nA = f"use --full {x} here"\nB = "lower train.lr-max and go on"\n'
        'C = "a.train.x y"\nD = "--alone"\nE = f"run {command(1)} again"'
    )
    assert sentences(source) == [
        "use --full {x} here",
        "lower train.lr-max and go on",
        "run {command(1)} again",
    ]
