"""What the server answers to whom: nothing to strangers, other sites, too many, too much; headers; the owner."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest
from starlette.testclient import TestClient

from hyperfit.errors import UserError
from hyperfit.prefer.app.application import application
from hyperfit.prefer.export.formats import FORMATS, exported, safe_cell
from hyperfit.prefer.items.pairs import pairs_of
from hyperfit.prefer.serve import Place, owner_password, serve_study, site_of
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.judgements import judgements
from hyperfit.prefer.store.study import OpenStudy, invite, make_study
from hyperfit.web.guard import LARGEST_BODY
from hyperfit.web.rates import RateLimit
from hyperfit.web.serving import bound, check_url, is_any, is_local, names_of
from study_server import made_run

KEY = "a key that is long enough"
HOSTS = ("127.0.0.1",)


@pytest.fixture
def study(tmp_path: Path) -> Iterator[OpenStudy]:
    run, settings = made_run(tmp_path / "run", 4), StudySettings(questions=("fluency",))
    found = make_study(tmp_path / "study", None, [run], settings, pairs_of([run], settings))
    yield found
    found.database.close()


@pytest.fixture
def client(study: OpenStudy) -> Iterator[TestClient]:
    app = application(site_of(study, "http://127.0.0.1", KEY), HOSTS)
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as found:
        yield found


def fields(page: str) -> dict[str, str]:
    found = re.findall(r'name="(proof|pair|revision)" value="([^"]*)"', page)
    return {name: html.unescape(value) for name, value in found}


def begun(study: OpenStudy, client: TestClient) -> tuple[str, dict[str, str]]:
    """(an annotator's address, the form of their first pair)."""
    (person,) = invite(study, 1)
    home = f"/a/{person.token}"
    assert client.post(f"{home}/start", data=fields(client.get(home).text)).status_code == 303
    return home, {**fields(client.get(home).text), "choice": "left", "question_fluency": "equal", "seconds": "2"}


def test_every_response_has_the_headers(study: OpenStudy, client: TestClient) -> None:
    home, _ = begun(study, client)
    style = re.search(r'href="(/files/prefer[^"]*)"', client.get("/").text)
    assert style is not None
    for address in ("/", home, "/owner", "/nothing", "/files/nothing", style[1]):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        kept = "max-age=31536000" in headers["cache-control"]
        assert kept if address == style[1] else headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers
    page = client.get(home).text
    assert not re.findall(r"<script(?! src=\"/files/)|style=|onclick|https?://", page)


@pytest.mark.parametrize(
    "path", ["/files/../application.py", "/files/%2e%2e/site.py", "/files//etc/passwd", "/files/pair.html.j2"]
)
def test_no_path_leads_to_the_file_system(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_forms_of_other_sites_and_other_pages_are_refused(study: OpenStudy, client: TestClient) -> None:
    home, form = begun(study, client)
    answer = f"{home}/answer"
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert client.post(answer, data=form, headers=headers).status_code == 403
    assert client.post(answer, data={**form, "proof": ""}).status_code == 403
    (other,) = invite(study, 1)
    assert client.post(f"/a/{other.token}/answer", data=form).status_code == 403
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400
    assert client.put(answer, data=form).status_code == 405
    assert client.post(answer, json=form).status_code == 415
    assert client.post(answer, files={"choice": ("name", b"left")}, data=form).status_code == 415
    assert client.post(answer, data={**form, "comment": "x" * LARGEST_BODY}).status_code == 413
    assert client.post(answer, data={str(n): "" for n in range(99)}).status_code == 400
    for bad in ({"choice": "up"}, {"pair": "x"}, {"pair": "-1"}, {"revision": str(2**40)}, {"question_fluency": "9"}):
        assert client.post(answer, data={**form, **bad}).status_code == 400
    assert judgements(study) == []
    assert client.post(answer, data=form, headers={"Origin": "http://127.0.0.1"}).status_code == 303
    (told,) = judgements(study)
    assert told.questions == {"fluency": "equal"}


def test_forms_pass_a_server_that_stands_before_this_one_and_asks_by_another_name(study: OpenStudy) -> None:
    """nginx's proxy_pass sends on the address that it asks as Host, unless told otherwise."""
    app = application(site_of(study, "https://study.example.org", KEY), (*HOSTS, "study.example.org"))
    with TestClient(app, base_url="http://127.0.0.1:8765", follow_redirects=False) as client:
        home, form = begun(study, client)
        for origin, status in (
            ("https://study.example.org", 303),
            ("https://evil.example", 403),
            ("https://study.example.org.evil.example", 403),
            ("null", 403),
            ("file://", 403),
            ("http://[", 403),
        ):
            assert client.post(f"{home}/answer", data=form, headers={"Origin": origin}).status_code == status, origin


def test_an_annotator_answers_only_their_own_pairs(study: OpenStudy, client: TestClient) -> None:
    home, form = begun(study, client)
    other, its_form = begun(study, client)
    mixed = {**its_form, "pair": form["pair"]}
    assert client.post(f"{other}/answer", data=mixed).status_code == 409
    assert client.post(f"{home}/answer", data=form).status_code == 303
    assert client.post(f"{home}/answer", data=form).status_code == 303, "sent again, as after a broken connection"
    assert client.post(f"{home}/answer", data={**form, "choice": "right"}).status_code == 409
    assert [one.judge for one in judgements(study)] == ["1"]


def test_strangers_run_into_a_limit_and_annotators_behind_the_same_address_do_not(study: OpenStudy) -> None:
    site = site_of(study, "http://127.0.0.1", KEY)
    with TestClient(application(site, HOSTS), base_url="http://127.0.0.1") as client:
        found = [client.get(f"/a/guess{number}").status_code for number in range(25)]
        assert found == [404] * 20 + [429] * 5
        (person,) = invite(study, 1)
        assert client.get(f"/a/{person.token}").status_code == 200
    with TestClient(application(site_of(study, "http://127.0.0.1", KEY), HOSTS), base_url="http://127.0.0.1") as client:
        wrong = [client.post("/owner/enter", data={"password": f"p{n}"}).status_code for n in range(22)]
        assert wrong == [403] * 20 + [429] * 2
        assert client.post("/owner/enter", data={"password": KEY}).status_code == 429


def test_an_annotator_who_asks_without_end_waits_alone(study: OpenStudy) -> None:
    site = site_of(study, "http://127.0.0.1", KEY)
    one, other = invite(study, 2)
    with TestClient(application(site, HOSTS), base_url="http://127.0.0.1") as client:
        found = [client.get(f"/a/{one.token}") for _ in range(140)]
        assert {page.status_code for page in found[:120]} == {200}
        assert found[-1].status_code == 429
        assert found[-1].headers["retry-after"] == "30"
        assert client.get(f"/a/{other.token}").status_code == 200


def test_a_bucket_fills_again() -> None:
    now = [0.0]
    limit = RateLimit(per_minute=60, burst=2, clock=lambda: now[0])
    assert [limit.allows("a") for _ in range(3)] == [True, True, False]
    assert limit.exhausted("a")
    assert limit.allows("b")
    now[0] = 1.0
    assert [limit.allows("a") for _ in range(2)] == [True, False]


def test_the_owners_pages_are_closed(study: OpenStudy, client: TestClient) -> None:
    home, form = begun(study, client)
    client.post(f"{home}/answer", data=form)
    closed = ["/owner/export/jsonl", "/owner/export/csv"]
    assert [client.get(path).status_code for path in closed] == [404, 404]
    assert client.post("/owner/invite", data={"count": "5"}).status_code == 404
    assert "Sign in" in client.get("/owner").text
    client.cookies.set("hyperfit_owner", "forged.x.y")
    assert "Sign in" in client.get("/owner").text
    client.cookies.clear()
    entered = client.get("/owner/enter", params={"key": KEY})
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/owner"))
    page = client.get("/owner")
    assert "The study so far" in page.text
    assert "<dt>Krippendorff's α</dt><dd>– " in page.text, "nobody has judged the same pair"
    assert client.post("/owner/invite", data={"count": "2"}).status_code == 403, "a form without its token"
    assert client.post("/owner/invite", data={**fields(page.text), "count": "501"}).status_code == 400
    assert client.post("/owner/invite", data={**fields(page.text), "count": "2"}).status_code == 303
    assert page.text.count("<tbody>") == 1
    assert client.get("/owner").text.count("/a/") == 3
    for name, known in FORMATS.items():
        sent = client.get(f"/owner/export/{name}")
        assert sent.text == exported(study, name)
        assert known.file_name in sent.headers["content-disposition"]
    assert client.get("/owner/export/passwd").status_code == 404


def test_exports_hold_the_answers(study: OpenStudy, client: TestClient) -> None:
    home, form = begun(study, client)
    client.post(f"{home}/answer", data={**form, "comment": "=1+1"})
    (told,) = judgements(study)
    (row,) = [json.loads(line) for line in exported(study, "jsonl").splitlines()]
    assert {name: row[name] for name in vars(told)} == vars(told)
    assert row["context_text"].startswith("Context")
    assert {"first_text", "second_text", "run", "shown_at", "answered_at"} <= row.keys()
    heading, line = exported(study, "csv").splitlines()
    assert heading.endswith("revision,question_fluency,comment")
    assert line.endswith("equal,'=1+1")
    records = json.loads(exported(study, "argilla"))
    assert len(records) == 8
    (record,) = [one for one in records if one["suggestions"]]
    assert record["suggestions"]["preference"] == {"value": told.choice, "score": 1.0, "agent": "annotators"}
    tasks = json.loads(exported(study, "label-studio"))
    (task,) = [one for one in tasks if one["annotations"]]
    results = {one["from_name"]: one["value"] for one in task["annotations"][0]["result"]}
    assert results["preference"] == {"choices": [told.choice]}
    assert results["comment"] == {"text": ["=1+1"]}
    assert safe_cell("plain") == "plain"


def test_what_label_studio_imports_has_its_controls_in_the_documented_interface(
    study: OpenStudy, client: TestClient
) -> None:
    home, form = begun(study, client)
    client.post(f"{home}/answer", data={**form, "comment": "so"})
    page = (Path(__file__).parents[3] / "docs" / "preference.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"```xml\n(.*?)```", page, re.DOTALL)
    interface = fromstring(written.replace("coherence", "fluency"))
    controls = {(one.get("name"), one.get("toName"), one.tag.lower()): one for one in interface if one.get("toName")}
    tasks = json.loads(exported(study, "label-studio"))
    shown = {one.get("value", "").removeprefix("$") for one in interface.iter("Text")}
    assert all(shown <= task["data"].keys() for task in tasks)
    results = [one for task in tasks for annotation in task["annotations"] for one in annotation["result"]]
    assert {one["from_name"] for one in results} == {"preference", "fluency", "comment"}
    for one in results:
        control = controls[one["from_name"], one["to_name"], one["type"]]
        allowed = {choice.get("value") for choice in control.iter("Choice")}
        assert set(one["value"].get("choices", ())) <= allowed


def test_a_server_for_others_needs_a_password(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", 2)
    short = tmp_path / "short"
    short.write_text("short\n")
    for place, part in (
        (Place(study=tmp_path / "s", host="0.0.0.0"), "needs a password"),
        (Place(study=tmp_path / "s", password_file=tmp_path / "absent"), "cannot be read"),
        (Place(study=tmp_path / "s", password_file=short), "shorter than 12"),
        (Place(study=tmp_path / "s", url="example.org"), "--url example.org"),
        (Place(study=tmp_path / "s", url="https://example.org/study"), "lie at the root"),
        (Place(study=tmp_path / "s", host="0.0.0.0"), "with --url, such as http"),
        (Place(study=tmp_path / "s", host="::"), "with --url, such as http"),
    ):
        with pytest.raises(UserError, match=part):
            serve_study([run], StudySettings(), place, print)
        assert not (tmp_path / "s").exists()
    good = tmp_path / "good"
    good.write_text("a password of many words\n")
    assert owner_password(Place(study=tmp_path, password_file=good)) == "a password of many words"


def test_names_and_addresses(tmp_path: Path) -> None:
    assert [is_local(host) for host in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "example.org")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert "study.example.org" in (names_of("127.0.0.1", "https://study.example.org/x") or ())
    assert names_of("0.0.0.0", None) is None
    assert [is_any(host) for host in ("0.0.0.0", "::", "127.0.0.1", "example.org")] == [True, True, False, False]
    assert check_url("https://Study.example.org:443/", "--url") == "https://study.example.org", "as browsers spell it"
    assert check_url("http://host:8765", "--url") == "http://host:8765"
    with bound("127.0.0.1", 0) as taken, pytest.raises(UserError, match="cannot be bound"):
        bound("127.0.0.1", taken.getsockname()[1])
