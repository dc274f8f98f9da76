"""Every mistake that a person can make ends in one sentence and exit status 2, before Ray is started."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from pkgutil import resolve_name

import pytest
import ray
import torch
from PIL import Image

from atal_ray import cli, networks
from atal_ray.campaign import generate as generation_module
from atal_ray.campaign import run as campaign_module
from atal_ray.campaign.campaign_folder import CampaignFolder
from atal_ray.campaign.finish import delivered as delivered_module
from atal_ray.commands.plans import COMMANDS, Command
from atal_ray.commands.usage import USAGES
from atal_ray.config import Config, NetworkConfig, presets
from atal_ray.config.config_file import from_yaml, to_yaml
from atal_ray.config.section import Section
from atal_ray.data.synthetic.dataset import write_dataset
from atal_ray.store.folder import Folder

Atal = Callable[..., str]
Prepared = Callable[..., None]


class PreparedError(Exception):
    """The data is prepared and Ray would be started."""


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command line of this file may come as far as Ray."""

    def started(config: Config) -> None:
        pytest.fail("Ray was started before the mistake was found")

    monkeypatch.setattr(campaign_module, "campaign_session", started)


@pytest.fixture
def atal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Atal]:
    """Run a command line that must end with the given status; returns what it printed."""

    def run(*arguments: object, status: int = 0, stream: str = "out") -> str:
        monkeypatch.setattr("sys.argv", ["atal", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        assert (end.value.code or 0) == status, printed
        return str(getattr(printed, stream))

    level = logging.getLogger("atal_ray").level
    yield run
    logging.getLogger("atal_ray").setLevel(level)


@pytest.fixture
def refused(atal: Atal) -> Atal:
    """Run a command line that must be refused; returns the sentence."""

    def run(*arguments: object) -> str:
        was_running = ray.is_initialized()
        printed = atal(*arguments, status=2, stream="err")
        assert ray.is_initialized() == was_running
        assert "Traceback" not in printed
        sentences = [line for line in printed.splitlines() if line.startswith("atal: ")]
        assert len(sentences) == 1, printed
        return printed[printed.index("atal: ") :].strip()

    return run


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> Prepared:
    """Run a command line up to the start of Ray."""

    def run(*arguments: object) -> None:
        def started(config: Config) -> None:
            raise PreparedError

        with monkeypatch.context() as patch:
            patch.setattr(campaign_module, "campaign_session", started)
            patch.setattr("sys.argv", ["atal", *map(str, arguments)])
            with pytest.raises(PreparedError):
                cli.main()

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images of 40 px with masks."""
    return write_dataset(tmp_path / "data", count=3, size=(40, 40))


def test_usage(atal: Atal) -> None:
    for arguments in ((), ("-h",), ("--help",)):
        printed = atal(*arguments)
        others = ("resume", "evaluate", "report", "config", "data check", "data synth", "--log-level")
        assert [name for name in (*COMMANDS, *others, *presets.PRESETS) if name not in printed] == []


HELPED = {
    "run": "--query.top-percent",
    "run demo": "f3net-small",
    "run demo F --seed 1": "--query.top-percent",
    "generate": "--images",
    "finish": "--passes",
    "sweep": "--over",
    "sweep paper": "--over",
    "cross-validate": "--networks",
    "study": "--seeds",
    "study fig7": "--methods",
    "study fig7 F --scale small": "--seeds",
    "config": "--query.top-percent",
    "config demo": "f3net-small",
    "evaluate": "--masks",
    "evaluate F": "--masks",
    "export": "TorchScript",
    "annotate": "--people",
    "annotate C": "--people",
    "export points": "--formats",
    "export questions F": "--formats",
    "import": "FORMAT SOURCE TABLE.parquet",
    "predict": "--actors",
    "report": "report.html",
    "report F": "report.html",
    "resume": "go on with a campaign",
    "fork": "another campaign with the points of one",
    "data": "data synth",
    "data check": "--full",
    "data synth": "--count",
}


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize(("words", "shown"), HELPED.items())
def test_help_at_every_level(atal: Atal, words: str, shown: str, flag: str) -> None:
    printed = atal(*words.split(), flag)
    assert printed.startswith("usage:")
    assert shown in printed


def test_help_of_what_is_resumed_has_the_fields_of_its_plan(atal: Atal, tmp_path: Path) -> None:
    for name, command in COMMANDS.items():
        folder = tmp_path / name
        plan: type[Section] = resolve_name(command.plan)
        Folder(str(folder)).write_bytes(command.kept, to_yaml(plan()).encode())
        assert "--resources.gpus" in atal("resume", folder, "--help")
    assert "go on with a campaign" in atal("resume", tmp_path / "nothing", "--help")


def test_help_of_resume_names_the_fields_that_may_change(atal: Atal) -> None:
    shown = atal("resume", "--help")
    for field in ("--budget.total", "--data.train", "--resources.gpus", "--report.compare"):
        assert field in shown
    for field in ("--seed", "--train.epochs", "--budget.earlier"):
        assert field not in shown


def test_every_command_has_its_help() -> None:
    assert {name.partition(" ")[0] for name in USAGES} == {words.partition(" ")[0] for words in HELPED}
    assert COMMANDS.keys() <= USAGES.keys()


def test_the_version(atal: Atal) -> None:
    assert atal("--version") == f"atal-ray {version('atal-ray')}\n"


@pytest.mark.parametrize(
    "arguments",
    [("train",), ("run",), ("run", "demo"), ("resume",), ("data",), ("data", "make")],
)
def test_a_command_that_cannot_be_read_shows_how_it_is_used(
    refused: Atal, arguments: tuple[str, ...]
) -> None:
    printed = refused(*arguments)
    assert printed.startswith(f"atal: cannot read the command {' '.join(arguments)!r}")
    assert "usage:" in printed
    others = [name for name in USAGES if name.partition(" ")[0] != arguments[0]]
    assert (f"atal {others[0]} " in printed) == (arguments[0] == "train"), "the lines of this command alone"


def test_a_mistyped_command_or_preset_is_answered_with_the_right_one(refused: Atal) -> None:
    assert "'evalute F', did you mean evaluate?" in refused("evalute", "F")
    assert "'rnu', did you mean run?" in refused("rnu", "--help")
    assert refused("run", "papper", "F").endswith("nor a YAML file, did you mean paper?")


def test_both_spellings_of_a_field_are_taken(atal: Atal, tmp_path: Path) -> None:
    for spelling in ("top-percent", "top_percent"):
        assert from_yaml(atal("config", "demo", f"--query.{spelling}", "4")).query.top_percent == 4
        (tmp_path / "mine.yaml").write_text(f"query: {{{spelling}: 4}}")
        assert from_yaml(atal("config", tmp_path / "mine.yaml")).query.top_percent == 4


def test_help_of_run_names_fields_with_the_defaults_of_the_preset(atal: Atal) -> None:
    printed = atal("run", "demo", "--help")
    for part in ("--query.top-percent", "--budget.per-round", "(default: f3net-small)"):
        assert part in " ".join(printed.split())


def test_config_prints_what_yaml_can_read(atal: Atal, tmp_path: Path) -> None:
    assert from_yaml(atal("config", "paper")) == presets.paper()
    changed = atal(
        "config",
        "demo",
        "--seed",
        "3",
        "--data.tests",
        "a",
        "b",
        "--train.scales",
        "64",
        "--regions.labels",
        "none",
    )
    config = from_yaml(changed)
    assert (config.seed, config.data.tests, config.train.scales, config.regions.labels) == (
        3,
        ("a", "b"),
        (64,),
        "none",
    )
    assert config.network == presets.demo().network
    (tmp_path / "mine.yaml").write_text(changed)
    assert from_yaml(atal("config", tmp_path / "mine.yaml", "--seed", "4")).data.tests == ("a", "b")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--train.cycles", "0"), "atal: train.cycles (L) is 0: at least one snapshot is needed"),
        (
            ("--query.top-percent", "0"),
            "atal: query.top-percent (K) is 0.0: the candidate set needs a value in (0, 100]",
        ),
        (
            ("--budget.per-round", "300", "--budget.total", "302"),
            "atal: budget.per-round (k) 300 is larger than the candidate set: 3 % of 96x96 pixels is 276",
        ),
        (("--budget.per-round", "0"), "atal: budget.per-round (k) is 0: ask at least one point a round"),
        (
            ("--train.epochs", "31"),
            "atal: train.epochs 31 cannot be split into 3 equal cycles: choose 30 or 33",
        ),
        (
            ("--network.name", "unet"),
            "atal: network.name is 'unet', did you mean minet?: known networks are f3net, f3net-small, "
            "minet, pfsnet; give your own as module:Class",
        ),
        (
            ("--train.scales", "96", "100"),
            "atal: train.size and train.scales hold 100 px: F3NetSmall needs multiples of 32, "
            "for instance 96",
        ),
    ],
)
def test_impossible_configurations(
    refused: Atal, tmp_path: Path, data: Path, options: tuple[str, ...], sentence: str
) -> None:
    assert refused("run", "demo", tmp_path / "run", "--data.train", data, *options) == sentence


def test_a_field_of_the_wrong_type_is_refused(atal: Atal, tmp_path: Path) -> None:
    printed = atal("run", "demo", tmp_path / "run", "--train.cycles", "nine", status=2, stream="err")
    assert "--train.cycles" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "run").exists()


def test_presets_and_files_that_are_not_there(refused: Atal, tmp_path: Path) -> None:
    sentence = refused("run", "papper", tmp_path / "run")
    assert f"'papper' is neither a preset ({', '.join(presets.PRESETS)}) nor a YAML file" in sentence
    assert "none.yaml cannot be read" in refused("config", tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("sede: 1\n")
    assert "bad.yaml: sede: " in refused("config", tmp_path / "bad.yaml")
    for command in ("resume", "report"):
        assert (
            refused(command, tmp_path / "nothing")
            == f"atal: {tmp_path}/nothing is no campaign: it holds no config.yaml"
        )


def test_missing_and_empty_data_folders(refused: Atal, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run = ("run", "demo", tmp_path / "run", "--data.train")
    assert f"{tmp_path}/nowhere does not exist" in refused(*run, tmp_path / "nowhere")
    assert f"{tmp_path}/empty holds no images" in refused(*run, tmp_path / "empty")


def test_missing_test_set_and_two_of_one_name(refused: Atal, tmp_path: Path, data: Path) -> None:
    run = ("run", "demo", tmp_path / "run", "--data.train", data, "--data.tests")
    assert f"{tmp_path}/nowhere does not exist" in refused(*run, tmp_path / "nowhere")
    assert "two folders of one name" in refused(
        *run, data, write_dataset(tmp_path / "other" / "data", count=1, size=(40, 40))
    )


def test_a_corrupt_jpeg_and_a_mask_of_another_size_are_named(
    refused: Atal, tmp_path: Path, data: Path
) -> None:
    jpeg = data / "images" / "scene-0001.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:700])
    Image.new("L", (41, 40)).save(data / "masks" / "scene-0002.png")
    sentence = refused("run", "demo", tmp_path / "run", "--data.train", data)
    assert "2 bad files" in sentence
    assert "images/scene-0001.jpg cannot be decoded" in sentence
    assert "masks/scene-0002.png is 41x40 pixels, but its image is 40x40" in sentence


def test_what_bad_files_need_is_said_in_the_words_of_the_command(
    atal: Atal, refused: Atal, prepared: Prepared, tmp_path: Path, data: Path
) -> None:
    (data / "images" / "scene-0001.jpg").write_bytes(b"no picture")
    spaced = data.rename(tmp_path / "my images")
    run = ("run", "demo", tmp_path / "run", "--data.train", spaced)
    sentence = refused(*run)
    assert "1 bad file:" in sentence
    assert f"Run `atal data check '{spaced}'` for the whole list, or pass --data.on-bad-file skip" in sentence
    prepared(*run, "--data.on-bad-file", "skip")

    generate = ("generate", tmp_path / "run", tmp_path / "points", "--images", spaced)
    assert ", or pass --on-bad-file skip to leave them out" in refused(*generate)
    assert "has no finished round" in refused(*generate, "--on-bad-file", "skip")

    checked = atal("data", "check", spaced, status=1)
    assert checked.endswith("`atal run` takes --data.on-bad-file skip, `atal generate` --on-bad-file skip.\n")


def test_generation_is_refused_in_its_own_words(
    refused: Atal, prepared: Prepared, tmp_path: Path, data: Path
) -> None:
    prepared("run", "demo", tmp_path / "run", "--data.train", data)
    generate = ("generate", tmp_path / "run", tmp_path / "points", "--images", data, "--points")
    assert refused(*generate, "3000").startswith("atal: points 3000 is larger than the candidate set")
    one_budget = ("9", "--query.scope", "dataset")
    assert "query.floor <= points <= query.ceiling, not 1 <= 9 <= 6" in refused(*generate, *one_budget)


def test_generation_needs_no_masks_where_the_campaign_read_them(
    tmp_path: Path, prepared: Prepared, data: Path
) -> None:
    prepared("run", "demo", tmp_path / "run", "--data.train", data, "--regions.labels", "oracle_mask")
    plan = generation_module.Generation.like(tmp_path / "run")
    trained = from_yaml((tmp_path / "run" / "config.yaml").read_text())
    assert plan.config(trained).regions.labels == "propagate"


def test_images_without_masks_need_answers(refused: Atal, tmp_path: Path, data: Path) -> None:
    assert "3 images have no mask" in refused(
        "run", "demo", tmp_path / "run", "--data.train", data / "images"
    )
    tests = ("--data.train", data, "--data.tests", data / "images")
    assert "3 test images have no mask, such as scene-0000" in refused(
        "run", "demo", tmp_path / "run", *tests
    )


def test_weights_that_are_missing_damaged_or_of_another_network(
    refused: Atal, tmp_path: Path, data: Path
) -> None:
    run = (
        "run",
        "demo",
        tmp_path / "run",
        "--data.train",
        data,
        "--network.name",
        "f3net",
        "--network.weights",
    )
    assert f"{tmp_path}/none.pth: no such file" in refused(*run, tmp_path / "none.pth")
    (tmp_path / "damaged.pth").write_bytes(b"PK\x03\x04 and no more")
    assert "damaged.pth cannot be read as a PyTorch state dict" in refused(*run, tmp_path / "damaged.pth")
    torch.save(networks.build(NetworkConfig(name="f3net-small")).state_dict(), tmp_path / "small.pth")
    sentence = refused(*run, tmp_path / "small.pth")
    assert "small.pth holds weights of another network than the backbone of F3Net" in sentence
    assert "starts from random weights" in refused(
        *run, tmp_path / "small.pth", "--network.name", "f3net-small"
    )


@pytest.mark.parametrize("command", [("run", "demo"), ("data", "synth")])
def test_a_path_that_cannot_be_written(refused: Atal, tmp_path: Path, command: tuple[str, str]) -> None:
    (tmp_path / "file").write_bytes(b"")  # below a file nobody may write, not even root
    assert f"{tmp_path}/file/below cannot be written: Not a directory" in refused(
        *command, tmp_path / "file" / "below"
    )


def test_a_prepared_folder_keeps_its_configuration(
    refused: Atal, prepared: Prepared, tmp_path: Path, data: Path
) -> None:
    folder = tmp_path / "run"
    run = ("run", "demo", folder, "--data.train", data)
    prepared(*run)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    sentence = refused(*run, "--seed", "5", "--query.top-percent", "4", "--resources.query-actors", "2")
    assert "was started with another configuration" in sentence
    assert "seed: 0 -> 5" in sentence
    assert "query.top_percent: 3.0 -> 4.0" in sentence
    assert "query_actors" not in sentence
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_mistake_found_while_preparing_does_not_spoil_the_folder(
    refused: Atal, prepared: Prepared, tmp_path: Path, data: Path
) -> None:
    folder = tmp_path / "run"
    other = write_dataset(tmp_path / "other", count=2, size=(40, 40))
    refused("run", "demo", folder, "--data.tests", other, "--data.train", tmp_path / "dta")
    prepared("run", "demo", folder, "--data.train", data)
    assert from_yaml((folder / "config.yaml").read_text()).data.train == str(data)
    assert CampaignFolder(Folder(str(folder))).test_sets() == []


def test_a_saved_configuration_that_was_edited_is_named(refused: Atal, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(to_yaml(presets.demo()).replace("cycles: 3", "cycles: 0"))
    assert "train.cycles (L) is 0" in refused("resume", tmp_path)
    (tmp_path / "config.yaml").write_text("nonsense")
    assert f"{tmp_path}/config.yaml does not hold a mapping of fields" in refused("resume", tmp_path)


def test_data_check_and_synth(atal: Atal, refused: Atal, tmp_path: Path) -> None:
    assert "2 images with masks" in atal("data", "synth", tmp_path / "new", "--count", "2")
    assert "No defects found" in atal("data", "check", tmp_path / "new")
    (tmp_path / "new" / "masks" / "scene-0001.png").unlink()
    assert "images/scene-0001.jpg has no mask" in atal("data", "check", tmp_path / "new", status=1)
    assert "is not an empty folder" in refused("data", "synth", tmp_path / "new")
    assert "does not exist" in refused("data", "check", tmp_path / "nowhere")


def test_ctrl_c_says_how_to_go_on(atal: Atal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(config: Config, folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(campaign_module, "run_campaign", interrupted)
    assert (
        atal("run", "demo", tmp_path, status=130, stream="err")
        == "atal: stopped; the same command goes on from here\n"
    )


def test_sigterm_ends_a_command_as_ctrl_c_does(
    atal: Atal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidied = []

    def preempted(config: Config, folder: Path) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            tidied.append(folder)

    monkeypatch.setattr(campaign_module, "run_campaign", preempted)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        assert (
            atal("run", "demo", tmp_path, status=143, stream="err")
            == "atal: stopped; the same command goes on from here\n"
        )
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert tidied == [str(tmp_path)]


@pytest.mark.parametrize(("name", "command"), COMMANDS.items())
def test_resume_goes_on_with_the_plan_that_the_folder_keeps(
    atal: Atal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, command: Command
) -> None:
    plan: type[Section] = resolve_name(command.plan)
    Folder(str(tmp_path)).write_bytes(command.kept, to_yaml(plan()).encode())
    ran: list[tuple[Section, str]] = []
    monkeypatch.setattr(command.run.replace(":", "."), lambda plan, folder: ran.append((plan, folder)))
    monkeypatch.setattr(generation_module, "summary", lambda campaign: "points")
    monkeypatch.setattr(delivered_module, "summary", lambda final: "a network")
    assert atal("resume", tmp_path).startswith("done: ")
    assert ran == [(plan(), str(tmp_path))]


def test_the_level_of_the_log_stands_anywhere() -> None:
    words = ["run", "demo", "F", "--seed", "-1", "--data.tests", "a b", "c", "--train.half", "False"]
    assert cli.split_log_level(words) == ("info", words)
    for place in (0, 3, 5, len(words)):
        given = [*words[:place], "--log-level", "debug", *words[place:]]
        assert cli.split_log_level(given) == ("debug", words)
    assert cli.split_log_level(["--log-level=error", "report", "F"]) == ("error", ["report", "F"])


def test_an_unknown_level_is_refused(refused: Atal) -> None:
    assert refused("data", "check", "F", "--log-level", "loud") == (
        "atal: --log-level is 'loud': use debug, info, warning, error"
    )


@pytest.mark.parametrize("arguments", [("report", "F"), ("run", "demo", "F"), ("data", "check", "F"), ()])
@pytest.mark.parametrize(("level", "shown"), [("info", ["info", "warning"]), ("error", [])])
def test_a_level_holds_for_every_command(
    atal: Atal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, arguments: tuple[str, ...],
    level: str, shown: list[str],
) -> None:  # fmt: skip
    def dispatch(rest: list[str]) -> int:
        assert rest == list(arguments)
        for name in ("debug", "info", "warning"):
            getattr(logging.getLogger("atal_ray.campaign.run"), name)(name)
        logging.getLogger("another.package").info("noise")
        return 0

    monkeypatch.setattr(cli, "dispatch", dispatch)
    atal(*arguments, "--log-level", level)
    assert caplog.messages == shown


def test_messages_are_plain_lines_on_standard_error_and_results_alone_on_standard_output(
    tmp_path: Path,
) -> None:
    script = (
        "import logging, sys; from atal_ray import cli\n"
        "def dispatch(rest): logging.getLogger('atal_ray.data').info('said'); print('result'); return 0\n"
        "cli.dispatch = dispatch; cli.main()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("result\n", "said\n")


def test_debug_shows_where_a_mistake_was_found(
    refused: Atal, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    refused("resume", tmp_path)
    assert not caplog.records
    refused("resume", tmp_path, "--log-level", "debug")
    assert [record.exc_info is not None for record in caplog.records] == [True]
