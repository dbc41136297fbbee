"""The prefix cache on disk: found or rebuilt, never wrong."""

import json
import shutil
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forked import FORKS
from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt, round_frozen
from hyperfit.models.structure.layout import blocks_of
from hyperfit.prefix.cache_prefix import cache_prefix
from hyperfit.prefix.disk import store
from hyperfit.prefix.disk.sizes import readable
from hyperfit.recipes.recipe import Recipe
from small_caches import SEQUENCES, cached
from tiny_models import cast, random_ids, tiny_model


def test_the_file_holds_what_reaches_the_first_late_block(tmp_path: Path) -> None:
    cache = cached(tmp_path)
    with torch.no_grad():
        hidden = tiny_model()(input_ids=SEQUENCES, output_hidden_states=True, use_cache=False).hidden_states
    depth = len(blocks_of(tiny_model()))
    rows = cache.rows.find(SEQUENCES)
    assert rows is not None
    torch.testing.assert_close(cache.states.read(rows), hidden[depth - 2])
    assert cache.entry.states.stat().st_size == SEQUENCES.numel() * hidden[0].shape[-1] * 4


def test_a_cache_is_found_again_whatever_happens_above_the_cut(tmp_path: Path) -> None:
    first = cached(tmp_path)
    assert not first.reused
    again = cached(tmp_path, SEQUENCES[torch.tensor([5, 0, 3, 1, 4, 2, 2])])  # another order, one of them twice
    assert again.reused
    assert again.entry.path == first.entry.path
    other = adapt(tiny_model(), Recipe(model="-", data="-", rank=8, late_blocks=2, seed=9)).eval()
    assert cache_prefix(other, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None).reused
    assert len(store.entries(tmp_path)) == 1


OTHERS: dict[str, dict[str, Any]] = {
    "weights": {"seed": 1},
    "depth": {"late_blocks": 3},
    "a setting of the model": {"rms_norm_eps": 1e-3},
    "batch size, and with it rounding": {"batch_size": 3},
    "precision": {"precision": "bf16"},
    "sequences": {"sequences": random_ids(6, 16, seed=3)},
    "length": {"sequences": SEQUENCES[:, :8]},
    "attention": {"attn_implementation": "eager"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_the_states_depend_on_makes_another_cache(what: str, tmp_path: Path) -> None:
    first, second = cached(tmp_path), cached(tmp_path, **OTHERS[what])
    assert not second.reused
    assert second.entry.path != first.entry.path


def test_another_version_of_a_library_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached(tmp_path)
    for package in (torch, __import__("transformers")):
        monkeypatch.setattr(package, "__version__", "0.0.1")
        assert not cached(tmp_path).reused
    assert len(store.entries(tmp_path)) == 3


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def foreign(path: Path) -> None:
    about = json.loads(path.read_text())
    about["key"]["weights"] = "0" * 64
    about["digest"] = store.digest_of({name: value for name, value in about.items() if name != "digest"})
    path.write_text(json.dumps(about))


DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "its checksum does not match": (store.STATES, flip),
    "its size is wrong": (store.STATES, lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "it cannot be read": (store.ABOUT, lambda path: path.write_text("{")),
    "it was made for something else": (store.ABOUT, foreign),
    "cannot be read": (store.ABOUT, lambda path: path.write_text(path.read_text().replace("float32", "float16"))),
}


@pytest.mark.parametrize("fault", DAMAGE)
def test_a_damaged_or_foreign_cache_is_made_anew(fault: str, tmp_path: Path) -> None:
    first = cached(tmp_path)
    good = first.entry.states.read_bytes()
    name, damage = DAMAGE[fault]
    damage(first.entry.path / name)
    said: list[str] = []
    second = cached(tmp_path, said=said)
    assert not second.reused
    assert second.entry.states.read_bytes() == good
    assert any(fault in line and "made anew" in line for line in said)


def test_the_need_is_said_first_and_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    cached(tmp_path / "caches", said=said)
    size = SEQUENCES.numel() * 32 * 4
    assert said[0].startswith(f"prefix cache: needs {readable(size)}")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(size - 1))
    with pytest.raises(
        UserError, match=r"--cache-dir .*the prefix cache needs .*hyperfit cache clear.*--prefix-cache off"
    ):
        cached(tmp_path / "full")
    assert not store.entries(tmp_path / "full")


def test_sizes_for_people() -> None:
    assert readable(2000 * 256 * 4096 * 2) == "4.2 GB"
    assert readable(1_500_000) == "1.5 MB"
    assert readable(12_288) == "12.3 KB"


def test_a_fill_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hyperfit.prefix.plan.Plan.push", fail)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def fill_in_a_process(folder: Path, out: Any) -> None:
    out.put(cached(folder).reused)


def test_processes_that_want_the_same_cache_fill_it_once(tmp_path: Path) -> None:
    out = FORKS.Queue()
    processes = [FORKS.Process(target=fill_in_a_process, args=(tmp_path, out)) for _ in range(2)]
    for process in processes:
        process.start()
    assert sorted(out.get(timeout=120) for _ in processes) == [False, True]
    for process in processes:
        process.join()


def test_what_is_read_is_a_copy(tmp_path: Path) -> None:
    cache = cached(tmp_path)
    before = cache.states.read([1])
    cache.states.read([1]).zero_()
    assert torch.equal(cache.states.read([1]), before)
    assert before.any()


def test_buffers_count_too(tmp_path: Path) -> None:
    """A model cast as a whole has other rotary phases than one of which only the weights were cast."""
    recipe = Recipe(model="-", data="-", method="late-full", late_blocks=2)
    one, two = adapt(tiny_model(), recipe), adapt(cast(tiny_model(), torch.bfloat16), recipe)
    round_frozen(one)
    assert all(map(torch.equal, *([p for p in m.parameters() if not p.requires_grad] for m in (one, two))))
    made = [cache_prefix(m, SEQUENCES, tmp_path, precision="bf16", notify=lambda line: None) for m in (one, two)]
    assert not made[1].reused
    assert made[0].entry.path != made[1].entry.path


def test_states_of_another_type_than_the_weights_are_refused(tmp_path: Path) -> None:
    """Mamba adds its blocks up in fp32, whatever its weights: bf16 would round what the blocks hand on."""
    recipe = Recipe(model="-", data="-", method="late-full", late_blocks=2)
    rounded, whole = (adapt(tiny_model("mamba"), recipe).eval() for _ in range(2))
    with pytest.raises(
        UserError, match="the states between blocks are float32, not bfloat16 as the weights; take --precision fp32"
    ):
        cache_prefix(cast(rounded, torch.bfloat16), SEQUENCES, tmp_path, precision="bf16", notify=lambda line: None)
    assert not store.entries(tmp_path)
    assert not any("forward" in vars(module) for module in rounded.modules())
    assert not cache_prefix(whole, SEQUENCES, tmp_path, notify=lambda line: None).reused


# The command


def test_list_and_clear(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = cached(tmp_path), cached(tmp_path, late_blocks=3)
    (tmp_path / ".0123456789abcdef.part").mkdir()
    (tmp_path / "something else").mkdir()
    (tmp_path / "2026112501020304").mkdir()
    (tmp_path / "2026112501020304" / "thesis.txt").touch()
    main(["cache", "list", "--cache-dir", str(tmp_path)])
    shown = capsys.readouterr().out
    assert one.entry.path.name in shown
    assert "6 × 16 × 32" in shown
    assert "0–3" in shown
    main(["cache", "list", "--cache-dir", str(tmp_path), "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["name"] for row in rows} == {one.entry.path.name, two.entry.path.name}
    assert {row["states"]["bytes"] for row in rows} == {6 * 16 * 32 * 4}
    with pytest.raises(SystemExit) as ended:
        main(["cache", "clear", "nothing", "neither", "--cache-dir", str(tmp_path)])
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "nothing: no prefix cache of that name" in said
    assert "neither: no prefix cache of that name" in said
    main(["cache", "clear", two.entry.path.name, "--cache-dir", str(tmp_path)])
    assert f"removed {two.entry.path.name} (13." in capsys.readouterr().out
    assert [entry.path for entry in store.entries(tmp_path)] == [one.entry.path]
    assert one.states.read([0]).any()
    main(["cache", "clear", "--cache-dir", str(tmp_path)])
    capsys.readouterr()
    assert {path.name for path in tmp_path.iterdir()} == {"something else", "2026112501020304"}
    assert one.states.read([0]).any(), "a run that reads it goes on undisturbed"
    main(["cache", "list", "--cache-dir", str(tmp_path)])
    assert "no prefix caches in" in capsys.readouterr().out
