"""The notebook, run in a kernel as Colab and Jupyter run it, with fewer and shorter texts."""

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "hyperfit.ipynb"
SMALL = {
    'DATA = "builtin:fiction"\n': 'DATA = "builtin:fiction"\nfrom dataclasses import replace\n',
    'run = hyperfit.train(recipe, "runs/notebook", resume=True)': (
        "few = {'samples': 4, 'length': 32, 'epochs': 2, 'greedy_every': 1, 'probe_texts': 2}\n"
        "recipe = replace(recipe, validation_samples=2, **few)\n"
        'run = hyperfit.train(recipe, "runs/notebook", resume=True)'
    ),
    "most_contexts=36": "most_contexts=3",
    "new_tokens=60": "new_tokens=6",
}
"""What is written → what is run."""


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells), "it is kept without what it prints"
    written = "".join(cell.source for cell in notebook.cells)
    assert all(text in written for text in SMALL)
    for cell in notebook.cells:
        for text, small in SMALL.items():
            cell.source = cell.source.replace(text, small)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()) if output.get("text")
    )
    for part in (
        "base/greedy",
        "hyperfitted/greedy",
        "human",
        "type-token ratio 0.",
        "0.75 The ferry was late again, and",
    ):
        assert part in printed
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))
    assert (tmp_path / "runs" / "notebook" / "report.html").is_file()
