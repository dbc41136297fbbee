"""Pairs of pictures: drawn crisply, with nothing that tells who made which; by keyboard; not for judges of texts."""

import base64
import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from browser import chromium, faults
from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.image.completion.written import as_text, drawn, picture_of
from hyperfit.image.settings import LINES
from hyperfit.image.shapes.scenes import pictures
from hyperfit.prefer.app.application import application
from hyperfit.prefer.export.formats import exported
from hyperfit.prefer.items.pairs import SHUFFLED, pairs_of, text_pairs_of
from hyperfit.prefer.serve import site_of
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.answers import Given, store_answer
from hyperfit.prefer.store.claims import current
from hyperfit.prefer.store.overview import LOOK, overview
from hyperfit.prefer.store.study import OpenStudy, invite, make_study, open_study
from study_server import serving

SIDE, GIVEN = 8, 16


def completed_run(folder: Path, count: int = 4) -> Path:
    """What hyperfit complete leaves of real pictures, which the hyperfitted model ends with others."""
    real, other = pictures(range(count), SIDE), pictures(range(50, 50 + count), SIDE)
    rows = []
    for original, end in zip(real, other, strict=True):
        made = np.concatenate([original[:2], end[2:]])
        (context, continuation), (_, reference) = as_text(made, GIVEN), as_text(original, GIVEN)
        row = {"context": context, "continuation": continuation, "reference": reference}
        rows.append({**row, "model": "hyperfitted", "decoding": "greedy"})
    folder.mkdir()
    (folder / LINES).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Iterator[OpenStudy]:
    run, settings = completed_run(tmp_path / "run"), StudySettings()
    found = make_study(tmp_path / "study", None, [run], settings, pairs_of([run], settings))
    yield found
    found.database.close()


@pytest.fixture
def client(study: OpenStudy) -> Iterator[TestClient]:
    app = application(site_of(study, "http://127.0.0.1", "a key that is long enough"), ("127.0.0.1",))
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as found:
        yield found


def fields(page: str) -> dict[str, str]:
    found = re.findall(r'name="(proof|pair|revision)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def shown_pair(study: OpenStudy, client: TestClient) -> tuple[str, str]:
    """(an annotator's address, the page of their first pair)."""
    (person,) = invite(study, 1)
    home = f"/a/{person.token}"
    assert client.post(f"{home}/start", data=fields(client.get(home).text)).status_code == 303
    return home, client.get(home).text


def test_pairs_are_of_completions_and_the_pictures_themselves(tmp_path: Path) -> None:
    pairs = pairs_of([completed_run(tmp_path / "run")], StudySettings(gold=1))
    study = [pair for pair in pairs if pair.purpose == "study"]
    assert {(pair.first, pair.second, pair.tokens) for pair in study} == {("hyperfitted/greedy", "human", 64)}
    gold = pairs[-1]
    assert gold.second == SHUFFLED
    right, wrong = (picture_of(gold.context + text) for text in (gold.first_text, gold.second_text))
    assert right is not None
    assert wrong is not None, "shuffled pixels are a picture still"
    assert np.array_equal(right[:2], wrong[:2])
    assert sorted(right.reshape(-1, 3).tolist()) == sorted(wrong.reshape(-1, 3).tolist())
    assert not np.array_equal(right, wrong)


def test_both_pictures_are_drawn_and_nothing_tells_who_made_which(study: OpenStudy, client: TestClient) -> None:
    _, page = shown_pair(study, client)
    alts = re.findall(r'<img class="picture" src="data:image/png;base64,[^"]*" alt="([^"]*)"', page)
    assert alts == [
        "The top of a picture, 16 of its 64 pixels; the rest is not there yet",
        "Picture A, which begins so and goes on below the line",
        "Picture B, which begins so and goes on below the line",
    ]
    beginning, *sides = re.findall(r'src="(data:[^"]*)"', page)
    real = pictures(range(4), SIDE)
    made = [np.concatenate([one[:2], end[2:]]) for one, end in zip(real, pictures(range(50, 54), SIDE), strict=True)]
    known = [{drawn(one, GIVEN), drawn(other, GIVEN)} for one, other in zip(real, made, strict=True)]
    assert set(sides) in known
    sheet = Image.open(io.BytesIO(base64.b64decode(beginning.partition(",")[2])))
    assert sheet.size == (256, 256)
    assert not sheet.info, "no text in the file"
    assert "Which picture goes on better?" in page
    words = re.sub(r"data:[^\"]*|[\w-]{16,}", "", page)
    assert not re.search(r"hyperfitted|human|greedy|#[0-9a-f]{6} #", words)


def test_the_instructions_and_the_owner_are_told_of_pictures(study: OpenStudy, client: TestClient) -> None:
    (person,) = invite(study, 1)
    page = client.get(f"/a/{person.token}").text
    assert "Which picture goes on better?" in page
    assert page.count('src="data:image/png;base64,') == 3
    assert "text" not in re.sub(r"<[^>]*>", "", page.split("<main")[1])
    assert "img-src 'self' data:" in client.get(f"/a/{person.token}").headers["content-security-policy"]
    assert study.pictures


def pixels_of(uri: str) -> Any:
    """uint8[side, side, 3], each pixel of the square that stands for it in a drawn PNG of 256 points."""
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    sheet, step = np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), 256 // SIDE
    return sheet[step // 2 :: step, step // 2 :: step]


def test_other_tools_get_pictures_and_no_colours_as_words(study: OpenStudy) -> None:
    """The same pixels as in the run, the first two rows alone as the beginning; answers stand on that image."""
    (person,) = invite(study, 1)
    with study.database.writing() as session:
        assignment = current(session, person, study.settings)
        assert assignment is not None
        answered = assignment.item_id
        assert store_answer(session, person, assignment.id, Given("left", 0, seconds=2.5)) == "stored"
    tasks, records = (json.loads(exported(study, name)) for name in ("label-studio", "argilla"))
    real = pictures(range(4), SIDE)
    made = [np.concatenate([one[:2], end[2:]]) for one, end in zip(real, pictures(range(50, 54), SIDE), strict=True)]
    known = {one.tobytes(): (one, other) for one, other in zip(made, real, strict=True)}
    assert len(tasks) == len(records) == 4
    for shown in (*(task["data"] for task in tasks), *(record["fields"] for record in records)):
        first, second = known.pop(pixels_of(shown["first_text"]).tobytes(), (None, None))
        if first is None:
            continue  # seen in the other file
        assert np.array_equal(pixels_of(shown["second_text"]), second)
        assert np.array_equal(pixels_of(shown["context"])[:2], first[:2])
        assert not np.array_equal(pixels_of(shown["context"])[2:], first[2:])
    assert known == {}
    assert "#" not in json.dumps([tasks, records])
    (marked,) = [task for task in tasks if task["annotations"]]
    assert marked["data"]["item"] == answered
    (answer,) = marked["annotations"][0]["result"]
    assert (answer["from_name"], answer["to_name"]) == ("preference", "context")


@pytest.mark.parametrize(("seconds", "fast"), [(LOOK / 2, 1.0), (LOOK * 2, 0.0)])
def test_a_pair_of_pictures_takes_a_second_to_see(
    study: OpenStudy, client: TestClient, seconds: float, fast: float
) -> None:
    home, page = shown_pair(study, client)
    sent = client.post(f"{home}/answer", data={**fields(page), "choice": "left", "seconds": str(seconds)})
    assert sent.status_code == 303
    assert [one.fast for one in overview(study).annotators] == [fast]


def test_what_reads_texts_does_not_judge_pictures(tmp_path: Path, capsys: Any) -> None:
    run = completed_run(tmp_path / "run")
    with pytest.raises(UserError, match="RUN: holds pictures, which only people judge"):
        text_pairs_of([run], StudySettings())
    with pytest.raises(SystemExit) as left:
        main(["judge", str(run), "--model", "builtin:tiny", "-o", str(tmp_path / "out.jsonl")])
    assert left.value.code == 2
    assert "only people judge" in capsys.readouterr().err


def test_a_study_by_keyboard(tmp_path: Path) -> None:
    run = completed_run(tmp_path / "run", 2)
    with (
        serving(run, "--study", tmp_path / "study", "--annotators", "1", "--port", "0") as server,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        odd: list[str] = []
        page.on("pageerror", lambda error: odd.append(str(error)))
        page.on("console", lambda message: odd.append(message.text))
        page.goto(link_of(tmp_path / "study", server.url))
        assert faults(page) == []
        page.get_by_role("button", name="Start").click()
        for number, key in ((1, "1"), (2, "3")):
            page.wait_for_selector(f'main[data-place^="Pair {number} of 2"] form[data-ready]')
            assert faults(page) == []
            assert page.locator(".side .picture").count() == 2
            assert page.locator(".side .picture").first.evaluate("one => one.naturalWidth") == 256
            page.keyboard.press(key)
        page.wait_for_selector('h1:has-text("Thank you")')
        assert odd == []


def link_of(study: Path, url: str) -> str:
    opened = open_study(study)
    (person,) = invite(opened, 1)
    opened.database.close()
    return f"{url}/a/{person.token}"
