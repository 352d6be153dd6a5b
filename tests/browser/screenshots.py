"""Pictures of the pages for the README: `python -m tests.browser.screenshots STORE FOLDER [RUN]`.

They show a run, the last one where none is named: a dialogue with a revision, the run itself, and a pair to rate.
Nothing is written into the store.
"""

import sys
from pathlib import Path

from playwright.sync_api import Browser

from openmic.store import Store, Turn, VerdictRow

from . import chromium
from .looking import origin_of, tab, viewing

WINDOW = {"width": 1180, "height": 860}
RATER = "Ann"
UNTOLD = ".bottom { visibility: hidden }"
"""Where the store is on this machine is nobody's business. The pages' own policy would refuse the style."""


def pages_of(store: Store, name: str) -> dict[str, str]:
    """The address of each page, by the name of its picture.

    Raises:
        SystemExit: The run has not what the pictures show.
    """
    run = store.resolve_run(name).id
    revisions = store.select(Turn, run_id=run, kind="revision", limit=1)
    if not revisions or not store.select(VerdictRow, run_id=run, agent="judge", limit=1):
        raise SystemExit(f"the run {run} has no revision or no judged output: `make run` makes one that has both")
    # From the first critique on, with what came of it beneath.
    dialogue = revisions[0].dialogue_id
    critique = store.select(Turn, dialogue_id=dialogue, kind="critique", order_by="seq")[0]
    return {
        "dialogue": f"/dialogues/{dialogue}#turn-{critique.seq + 1}",
        "run": f"/runs/{run}",
        "rating": f"/runs/{run}/rate?rater={RATER}",
    }


def picture(browser: Browser, store: str, folder: Path, run: str = "latest") -> list[Path]:
    """Write the pictures and return where they are."""
    with Store.open_readonly(store) as opened:
        pages = pages_of(opened, run)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    with (
        viewing(store) as address,
        tab(browser, origin_of(address), viewport=WINDOW, color_scheme="light", bypass_csp=True) as found,
    ):
        for name, path in pages.items():
            made.append(folder / f"{name}-light.png")
            # A run's counts take a moment, and fill themselves in.
            found.go(path).wait_for_function("!document.body.innerText.includes('being counted')")
            found.page.screenshot(path=made[-1], animations="disabled", style=UNTOLD)
    return made


if __name__ == "__main__":
    if len(sys.argv) not in {3, 4}:
        raise SystemExit(__doc__)
    with chromium.running() as started:
        for path in picture(started, sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]):
            print(path)  # noqa: T201 - what a command made is said
