"""``hyperfit mechanism``: whole runs on tiny random models, what it leaves, what it repeats, and what it refuses."""

import dataclasses
import itertools
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.mechanism.pair.inputs import check_inputs, model_pair
from hyperfit.mechanism.runners import DEPENDS, EVERYWHERE, continuing
from hyperfit.mechanism.settings import STUDIES, MechanismSettings
from hyperfit.models.loading import load_model
from hyperfit.report.look import IN_PAGE
from hyperfit.report.pages.mechanism import PLOTS, drawn, page, save_plot, write_mechanism_page
from hyperfit.report.plots.labels import readable
from hyperfit.report.plots.layers import lens_grid
from hyperfit.report.plots.panels import style
from hyperfit.report.tables.mechanism.figures import ROWS, comparison
from hyperfit.studies.explain import ALL_RUNNERS, explain
from hyperfit.studies.placement.design import Design
from hyperfit.studies.placement.measure import measured
from hyperfit.studies.placement.study import design_of
from hyperfit.training.train import train
from small_runs import recipe_for
from tiny_models import save_tiny

SHORT = ["--most-contexts", "3", "--intervention-contexts", "2", "--context", "4", "--total", "100"]
SHORT += ["--alphas", "0", "0.5", "1", "--promoted", "20", "--scales", "0", "1", "--removed", "4", "--device", "cpu"]
SHORT += ["--pictures", "2"]
QUICK = MechanismSettings(
    most_contexts=3,
    intervention_contexts=2,
    context=4,
    total=100,
    alphas=(0.0, 0.5, 1.0),
    promoted=(20,),
    scales=(0.0, 1.0),
    removed=(4,),
    pictures=2,
    device="cpu",
)
"""The same as SHORT."""
EVERYTHING = ["--studies", *STUDIES, "--depths", "1", "2"]
WORDS = "river stone bread window horse letter winter copper garden ladder music salt paper engine harbour".split()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("base"), max_position_embeddings=256)


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The base with other weights in every place."""
    folder = tmp_path_factory.mktemp("tuned")
    for file in base.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    model = load_model(str(base), device=torch.device("cpu"), dtype=torch.float32)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    for index in range(20):
        words = [WORDS[(index * 7 + step * (index + 2)) % len(WORDS)] for step in range(60)]
        (folder / f"{index:02}.txt").write_text(" ".join(words) + ".\n")
    return folder


@pytest.fixture(scope="module")
def run(base: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that the whole command has been through."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(recipe_for((str(base), str(data)), lr=2e-2, heldout=0.3, keep_every=2), folder)
    main(["mechanism", str(folder), *SHORT, *EVERYTHING])
    return folder


def held(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "mechanism.json").read_text())
    return found


def only(results: dict[str, Any], *studies: str) -> dict[str, Any]:
    """Of a page whose plots take their time what a test looks at."""
    return {**results, "studies": {name: results["studies"][name] for name in studies}}


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["mechanism", *map(str, arguments)])
    said = capsys.readouterr().err
    assert ended.value.code == 2, said
    assert "Traceback" not in said
    return said


def test_every_study_leaves_its_numbers_its_sentence_and_its_plots(run: Path) -> None:
    found = held(run)
    assert tuple(found["studies"]) == STUDIES
    for name, study in found["studies"].items():
        assert len(re.findall(r"\d", study["sentence"])) >= 3, name
    assert found["models"]["shared_blocks"] == found["models"]["blocks"] - 2
    for study in found["studies"].values():
        assert study["made_on"] == {"n": 3, "context": 4, "total": 100}
    assert len(found["studies"]["lens"]["pictures"]) == 2
    assert found["studies"]["temperature"]["identical"] is True
    assert found["studies"]["encouragement"]["epochs"].keys() == {"0", "2", "3"}
    for kind in ("csv", "tex"):
        assert (run / "tables" / f"placement.{kind}").is_file()
        assert (run / "tables" / f"placement-training.{kind}").is_file()
    assert found["studies"]["geometry"]["all"]["tokens"] == 3 * 99
    assert found["studies"]["geometry"]["behind_context"]["tokens"] == 3 * 96
    curve = found["studies"]["temperature"]["curve"]
    assert curve["1.0"] == pytest.approx(found["studies"]["temperature"]["base_entropy"]["value"], rel=1e-4)
    assert sorted(curve.values()) == list(curve.values())
    names = {f"{plot.name}.{kind}" for _, plot, _ in drawn(found) for kind in ("svg", "png")}
    assert found["studies"]["placement"]["trials"][0]["name"] == run.name, "the run is the reference"
    assert not (run / "placement" / "last-02-rank").exists()
    assert {"lens-text-1.svg", "lens-text-2.png", "placement.svg", "geometry-all.png"} <= names
    assert {file.name for file in (run / "plots").iterdir()} == names


def test_plots_are_images_and_the_page_asks_for_nothing_outside_it(run: Path) -> None:
    for file in (run / "plots").glob("*.svg"):
        assert ElementTree.parse(file).getroot().tag.endswith("svg")
        assert not re.search(r"#(0[1-9])\1\1\b|currentColor|var\(", file.read_text()), "a colour of the page's own"
    for file in (run / "plots").glob("*.png"):
        assert file.read_bytes().startswith(b"\x89PNG")
    html = (run / "mechanism.html").read_text()
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    with style(IN_PAGE):
        panels = [len(plot.draw(part, IN_PAGE)) for _, plot, part in drawn(held(run)) if not plot.text]
    assert len(drawn(held(run))) == sum(map(len, PLOTS.values())) + 1, "two pictures of the lens"
    assert len(drawings) == sum(panels), "each panel is a figure of its own"
    assert html.count('<figure class="layers">') == 4, "two texts on both sides, as tables"
    assert html.count("<summary>Values</summary>") == len(drawings)
    for drawing in drawings:
        ElementTree.fromstring(drawing.replace("xlink:href", "href"))
    assert not re.search(r"<(script|link|img|iframe)|src=|#(0[1-9])\2\2\b", html)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    for study in held(run)["studies"].values():
        assert study["sentence"][:40].split("&")[0].split("<")[0].split("'")[0] in html


def test_a_repeat_skips_what_is_done_and_runs_what_has_changed(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    for name in STUDIES:
        monkeypatch.setitem(ALL_RUNNERS, name, lambda of, settings, name=name: ran.append(name) or fake(run, name))
    before = (run / "mechanism.json").read_bytes()
    page_before = (run / "mechanism.html").read_bytes()
    main(["mechanism", str(run), *SHORT, *EVERYTHING, "--json"])
    printed = capsys.readouterr()
    assert ran == []
    assert (run / "mechanism.json").read_bytes() == before
    assert (run / "mechanism.html").read_bytes() == page_before
    assert json.loads(printed.out) == held(run)
    assert printed.err.count("done before") == len(STUDIES)
    models = model_pair(run)
    explain(models, dataclasses.replace(QUICK, alphas=(0.0, 0.2, 1.0)))
    assert ran == ["bias"]
    explain(models, dataclasses.replace(QUICK, studies=("lens",)), again=True)
    assert ran == ["bias", "lens"]
    assert tuple(held(run)["studies"]) == STUDIES, "what was not asked for stays"
    explain(models, dataclasses.replace(QUICK, batch_size=2, studies=("ranks",)))
    assert ran == ["bias", "lens", "ranks"]
    explain(models, dataclasses.replace(QUICK, most_contexts=2, studies=("ranks",)))
    assert ran == ["bias", "lens", "ranks", "ranks"]
    studies = held(run)["studies"]
    assert tuple(studies) == STUDIES, "findings on other texts stay, and say on how many"
    assert (studies["ranks"]["made_on"]["n"], studies["bias"]["made_on"]["n"]) == (2, 3)
    (run / "mechanism.json").write_bytes(before)


def test_findings_of_other_weights_go_and_that_is_said(
    base: Path, data: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["mechanism", "--base", str(base), "--data", str(data), "-o", str(tmp_path), *SHORT, "--studies"]
    main([*flags, "ranks", "--tuned", str(run)])
    main([*flags, "encouragement", "--tuned", str(base)])
    assert "of other models, dropped: ranks" in capsys.readouterr().err
    assert tuple(held(tmp_path)["studies"]) == ("encouragement",)


def test_epochs_that_turn_up_later_are_studied(base: Path, data: Path, run: Path, tmp_path: Path) -> None:
    flags = ["mechanism", "--base", str(base), "--data", str(data), "-o", str(tmp_path), *SHORT]
    flags += ["--studies", "encouragement", "--tuned"]
    main([*flags, str(run / "adapter")])
    assert held(tmp_path)["studies"]["encouragement"]["epochs"].keys() == {"0", "1"}
    main([*flags, str(run)])
    assert held(tmp_path)["studies"]["encouragement"]["epochs"].keys() == {"0", "2", "3"}


def test_tables_go_with_their_study(run: Path, tmp_path: Path) -> None:
    results = only(held(run), "geometry", "placement")
    write_mechanism_page(tmp_path, results)
    assert (tmp_path / "tables" / "placement.csv").is_file()
    (tmp_path / "tables" / "table1.csv").touch()
    del results["studies"]["placement"]
    write_mechanism_page(tmp_path, results)
    assert [file.name for file in (tmp_path / "tables").iterdir()] == ["table1.csv"]


def test_a_run_named_as_tuned_model_shows_its_epochs(base: Path, data: Path, run: Path, tmp_path: Path) -> None:
    flags = ["--base", str(base), "--tuned", str(run), "--data", str(data), "-o", str(tmp_path)]
    main(["mechanism", *flags, *SHORT, "--studies", "encouragement"])
    assert held(tmp_path)["studies"]["encouragement"]["epochs"].keys() == {"0", "2", "3"}


def fake(run: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = held(run)["studies"][name]
    return {key: value for key, value in found.items() if key not in ("made_with", "made_on")}


def test_whole_models_trained_elsewhere(base: Path, tuned: Path, data: Path, tmp_path: Path) -> None:
    flags = ["--base", str(base), "--tuned", str(tuned), "--data", str(data), "-o", str(tmp_path / "out")]
    main(["mechanism", *flags, *SHORT, "--studies", "ranks", "encouragement"])
    found = held(tmp_path / "out")
    assert found["models"]["shared_blocks"] == 0
    assert found["studies"]["ranks"]["free_running"]["override"]["value"] > 0
    assert (tmp_path / "out" / "mechanism.html").is_file()


def test_a_model_against_itself_shows_nothing(base: Path, data: Path, tmp_path: Path) -> None:
    models = model_pair(base=str(base), tuned=str(base), output=tmp_path)
    found = explain(models, dataclasses.replace(QUICK, contexts=(str(data),)))["studies"]
    assert held(tmp_path)["studies"] == found
    assert found["temperature"]["one"]["temperature"] == pytest.approx(1, abs=1e-3)
    assert found["temperature"]["agreement"]["value"] == 1
    assert found["ranks"]["teacher_forced"]["override"]["value"] == 0
    written = found["ranks"]["free_running"]
    assert written["override"]["value"] <= 1 - written["preferred"] + 1e-9, "an end of text is never written"
    for where in ("all", "behind_context"):
        assert all(layer["l2"]["value"] == 0 for layer in found["geometry"][where]["layers"])
    assert found["lens"]["summary"]["parted"]["value"] == 0
    assert "No verdict" in found["intervention"]["verdict"]
    ttrs = {
        alpha["ttr"]["value"] for curve in found["bias"]["curves"].values() for alpha in curve["diversity"].values()
    }
    assert len(ttrs) == 1
    assert found["encouragement"]["epochs"]["0"] == found["encouragement"]["epochs"]["1"]


def test_the_report_speaks_of_the_mechanism_once_there_is_one(run: Path) -> None:
    from hyperfit.report.pages.run import page as report
    from hyperfit.runs.directory import RunDir

    assert report(RunDir.open(run), 0, run).count('href="mechanism.html"') == 1
    (run / "mechanism.html").rename(run / "elsewhere.html")
    assert "mechanism.html" not in report(RunDir.open(run), 0, run)
    (run / "elsewhere.html").rename(run / "mechanism.html")


def test_a_run_of_several_processes_is_held_against_equally_large_updates(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("placement"))
    environment = json.loads((copy / "environment.json").read_text())
    (copy / "environment.json").write_text(json.dumps({**environment, "processes": 3}))
    settings = dataclasses.replace(QUICK, studies=("placement",), full_lr=0.25)
    one, three = (design_of(check_inputs(model_pair(folder), settings), settings) for folder in (run, copy))
    assert {trial.recipe.accumulate for place in one.trials() for trial in place} == {1}
    assert {trial.recipe.accumulate for place in three.trials() for trial in place} == {3}
    assert [trial.recipe.lr for trial in list(three.trials())[-1]] == [0.25]


def test_placement_trains_outside_of_the_autocast_in_which_it_is_measured(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Autocast keeps the casts of weights to the end of its block: a training inside would not see its updates."""
    whole = Design.trials
    monkeypatch.setattr(Design, "trials", lambda design: itertools.islice(whole(design), 1))
    monkeypatch.setattr("hyperfit.studies.placement.study.find_done", lambda recipe, runs, here: None)
    settings = dataclasses.replace(QUICK, studies=("placement",), precision="bf16", full_lr=0.25)
    of = check_inputs(dataclasses.replace(model_pair(run), output=tmp_path), settings)
    before = of.pair
    found = ALL_RUNNERS["placement"](of, settings)
    assert "pair" not in vars(of), "both models are let go before others are trained"
    assert of.pair is not before
    (trial,) = found["trials"]
    assert trial["train_loss"] == held(run)["studies"]["placement"]["trials"][0]["train_loss"]
    reference = held(run)["studies"]["placement"]["trials"][0]["measures"]["entropy"]["value"]
    assert trial["measures"]["entropy"]["value"] != reference, "measured in bf16"
    assert trial["measures"]["entropy"]["value"] == pytest.approx(reference, rel=0.02)
    model = of.load(str(tmp_path / "placement" / trial["name"]))
    with of.autocast():
        values, _ = measured(model, of.tokenizer, of.texts, continuing(settings))
    assert trial["measures"]["entropy"]["value"] == float(values["entropy"].mean()), "and under autocast"


def test_text_of_the_models_is_escaped(run: Path, tmp_path: Path) -> None:
    results = only(held(run), "bias", "lens")
    evil = "<script>alert(1)</script> $x$ & \x00 中"
    results["models"]["tuned"] = evil
    results["studies"]["bias"]["promoted"] = [evil]
    picture = results["studies"]["lens"]["pictures"][0]
    for row in (*picture["tuned"]["tokens"], picture["written"]):
        row[0] = "<b>$y$"
    picture["before"] = evil
    html = page(results)
    assert "<script" not in html
    assert "<b>$" not in html
    assert "&lt;script&gt;" in html
    assert "&lt;b&gt;$y$" in html
    save_plot(tmp_path, "lens", partial(lens_grid, picture))
    ElementTree.parse(tmp_path / "lens.svg")


def test_every_figure_of_the_paper_stands_beside_one_of_ours(run: Path) -> None:
    studies = held(run)["studies"]
    for study in ("temperature", "ranks", "geometry"):
        rows = comparison(study, studies[study])  # type: ignore[arg-type]
        assert len(rows) == len(ROWS[study])  # type: ignore[index]
        assert "–" not in {row[3] for row in rows}
    assert {row[3] for row in comparison("bias", studies["bias"])} == {"–"}, "500 tokens were not asked for"


@pytest.mark.parametrize(
    ("token", "label"), [(" word", "word"), ("\n", "↵"), ("  ", "␣"), ("\x00", "□"), ("discovered", "discover…")]
)
def test_labels_of_tokens(token: str, label: str) -> None:
    assert readable(token, 9) == label


def test_every_setting_decides_something() -> None:
    decides = {*EVERYWHERE, *(name for names in DEPENDS.values() for name in names)}
    by_identity = {
        "contexts",
        "text_column",
        "image_column",
        "skip_unusable",
        "most_contexts",
        "context_seed",
        "device",
        "precision",
    }
    by_context = {"share"}
    assert decides | by_identity | by_context | {"studies"} == set(vars(MechanismSettings())) | {"epochs"}


def test_one_seed_chooses_texts_and_another_draws(base: Path, tuned: Path, data: Path, run: Path) -> None:
    for models in (model_pair(run), model_pair(base=str(base), tuned=str(tuned), output=run)):
        of, drawn, other = (
            check_inputs(models, dataclasses.replace(QUICK, contexts=(str(data),), **seeds))
            for seeds in ({}, {"seed": 1}, {"context_seed": 1})
        )
        assert torch.equal(of.texts, drawn.texts)
        assert of.identity == drawn.identity
        assert sorted(of.texts.tolist()) != sorted(other.texts.tolist())
        assert of.identity["texts"] != other.identity["texts"], "so that no study on other texts is taken for done"
        assert {**of.identity, "texts": ""} == {**other.identity, "texts": ""}


def test_bad_inquiries_name_every_problem() -> None:
    with pytest.raises(UserError) as error:
        MechanismSettings(
            total=50, alphas=(0.0,), promoted=(0,), scales=(float("nan"),), studies=(), seed=-1, context_seed=-2,
            full_lr=0, adapter_lr=2,
        )  # fmt: skip
    for part in (
        "--full-lr 0",
        "--adapter-lr 2",
        "--total 50",
        "--alphas 0",
        "--promoted 0",
        "--scales nan",
        "--studies",
        "--seed -1",
        "--context-seed -2",
    ):
        assert part in str(error.value)


def test_bad_input(run: Path, base: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tuned, --output" in fails(capsys, "--base", base)
    assert "already says which" in fails(capsys, run, "--base", base, "--tuned", base)
    assert "no run here" in fails(capsys, tmp_path / "none")
    out = tmp_path / "out"
    said = fails(
        capsys, "--base", base, "--tuned", "./absent", "-o", out, *SHORT, "--total", 999, "--contexts", "nope.txt",
        "--device", "cuda:99", "--removed", 999,
    )  # fmt: skip
    for part in ("--total 999", "--removed 999", "./absent", "--contexts nope.txt", "--device cuda:99"):
        assert part in said
    assert "--studies placement: trains a run's recipe" in fails(
        capsys, "--base", base, "--tuned", base, "-o", out, *SHORT, "--contexts", data, "--studies", "placement"
    )
    assert "--depths 7 9" not in (said := fails(capsys, run, *SHORT, "--studies", "placement", "--depths", 7, 2, 9)), (
        "one line each"
    )
    assert "--depths 7: " in said
    assert "--depths 9: " in said
    assert "--contexts: name the texts" in fails(capsys, "--base", base, "--tuned", base, "-o", out, *SHORT)
    assert not out.exists()
    (tmp_path / "mechanism.json").write_text('{"studies": {"lens": {"made_with": {}}}}')
    assert "made with and on" in fails(capsys, run, *SHORT, "-o", tmp_path)
    (tmp_path / "mechanism.json").write_text("[1]")
    assert "remove it" in fails(capsys, run, *SHORT, "-o", tmp_path)
