"""Draw the pictures of the documentation anew, from pages that lie in the repository.

    python docs/pictures/draw.py

report.webp and play.webp are of the run on 200 passages of the README, judge.webp is of a preference study: what they
show is not in the repository, so they are saved by hand.
"""

from io import BytesIO
from pathlib import Path
from shutil import which

from PIL import Image
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STUDIES, MECHANISM = ROOT / "docs/results/smollm2/studies.html", ROOT / "examples/mechanism/smollm2.html"
PICTURES = {
    "curves": (STUDIES, "#curves .panels", 0),
    "temperature": (MECHANISM, "#temperature .panels", 0),
    "ranks": (MECHANISM, "#ranks .panels", 0),
    "geometry": (MECHANISM, "#geometry .panels", 1),
    "intervention": (MECHANISM, "#intervention .panels", 0),
}
"""Name → page, what is shown of it, and which of several."""


def main() -> None:
    """Draw all of them."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=which("chromium"), args=["--no-sandbox", "--disable-gpu", "--disable-sync"]
        )
        page = browser.new_page(viewport={"width": 1100, "height": 900}, device_scale_factor=1)
        for name, (file, what, place) in PICTURES.items():
            page.goto(file.as_uri())
            page.add_style_tag(content="details { display: none }")
            drawn = Image.open(BytesIO(page.locator(what).nth(place).screenshot()))
            drawn.convert("RGB").save(HERE / f"{name}.webp", quality=60)
        browser.close()


if __name__ == "__main__":
    main()
