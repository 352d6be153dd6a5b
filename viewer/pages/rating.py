"""Blind rating: two texts side by side, and which one is better. Nothing on the page tells whose they are."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final
from unicodedata import normalize
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import Field

from ...core.errors import ConfigError, StoreError
from ...core.records import RatedPairs
from ...store import Run
from ...store.ratings import (
    CHOICES,
    Choice,
    Given,
    blind_pair,
    pairs_to_rate,
    rating,
    ratings_of,
    verdict_to_rate,
    versions_to_rate,
)
from ..form import SentForm
from ..site import AtSite, Site

LONGEST = 60
"""Characters of a rater's name."""
LONGEST_REMARK = 500
"""Characters of what a rater remarks on a pair."""
NUMBER = 100
"""Pairs to rate where the address does not say how many."""
MOST = 1000
PATIENCE_S = 30.0
"""How long a rater waits for pairs to be drawn from a large run."""
LONGEST_THOUGHT_S: Final = 24 * 3600.0

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Session:
    """Who rates what. Those who rate the same get the same pairs in the same order."""

    rater: str
    what: RatedPairs
    versions: tuple[int, ...]
    """Only outputs of these adapters; of all where there are none."""
    number: int

    def address(self, run: Run, pair: str | None = None) -> str:
        """Where the next pair is, or a pair that was rated."""
        query = [("rater", self.rater), ("what", self.what), ("number", str(self.number))]
        query += [("versions", str(version)) for version in self.versions]
        return f"/runs/{run.id}/rate?{urlencode(query + ([('pair', pair)] if pair else []))}"

    def pairs(self, site: Site, run: Run) -> list[str]:
        """The pairs, by their verdicts.

        Raises:
            StoreError: Drawing them takes longer than a page may.
        """

        def draw() -> list[str]:
            versions = self.versions or None
            return pairs_to_rate(site.store, run, self.what, versions=versions, number=self.number)

        # A run that is over may still be evaluated.
        key = ("to rate", run.id, self.what, self.versions, self.number)
        drawn: list[str] | None = site.slow.get(key, draw, final=False, patience_s=PATIENCE_S)
        if drawn is None:
            raise StoreError("the pairs are still being drawn: load the page again in a moment")
        return drawn


def _session(
    rater: str = "",
    what: RatedPairs = "test",
    versions: Annotated[list[Annotated[int, Field(ge=0, le=999_999_999)]] | None, Query()] = None,
    number: Annotated[int, Query(ge=1, le=MOST)] = NUMBER,
) -> Session:
    name = " ".join(normalize("NFC", rater).split())
    if len(name) > LONGEST:
        raise ConfigError(f"A rater's name has at most {LONGEST} characters.")
    return Session(name, what, tuple(sorted(set(versions or []))), number)


AskedSession = Annotated[Session, Depends(_session)]


@router.get("/runs/{run}/rate")
def rate(request: Request, site: AtSite, run: str, session: AskedSession, pair: str | None = None) -> Response:
    """The next pair that the rater has not rated; `pair`, one that they have, to rate it anew."""
    found = site.run(run)
    if not session.rater:
        return site.page(
            request, "rate.html", run=found, versions=versions_to_rate(site.store, found), session=session, most=MOST
        )
    pairs = session.pairs(site, found)
    given = ratings_of(site.store, found, session.rater)
    again = given.get(pair or "")
    shown = pair if again else next((one for one in pairs if one not in given), None)
    before = _before(pairs, given, pair if again else None)
    return site.page(
        request,
        "rating.html",
        run=found,
        session=session,
        here=session.address(found),
        undo=session.address(found, before) if before else None,
        pair=blind_pair(site.store, verdict_to_rate(site.store, found, shown), session.rater) if shown else None,
        again=again,
        done=sum(one in given for one in pairs),
        number=len(pairs),
        now=time.time(),
        longest_remark=LONGEST_REMARK,
    )


@router.post("/runs/{run}/rate")
def rated(site: AtSite, run: str, session: AskedSession, form: SentForm) -> Response:
    """Keep a rating and go on to the next pair. What was sent already, from here or another tab, is left as it is."""
    found = site.run(run)
    if not session.rater:
        raise ConfigError("Say who rates: a name is missing.")
    choice = _choice(form.get("choice", ""))
    verdict = verdict_to_rate(site.store, found, form.get("pair", ""))
    writer = site.writer()
    given = ratings_of(writer, found, session.rater).get(verdict.id)
    corrects, remark = form.get("again") or None, " ".join(form.get("remark", "").split())
    if len(remark) > LONGEST_REMARK:
        raise ConfigError(f"A remark has at most {LONGEST_REMARK} characters.")
    if corrects is None:
        new = given is None
    else:
        new = given is not None and given.annotation_id == corrects and (given.choice, given.remark) != (choice, remark)
    if new:
        writer.add_new(
            rating(verdict, session.rater, choice, seconds=_seconds(form), corrects=corrects, remark=remark or None)
        )
    return RedirectResponse(session.address(found), 303)


def _choice(sent: str) -> Choice:
    for choice in CHOICES:
        if choice == sent:
            return choice
    raise ConfigError(f"A choice is one of {', '.join(CHOICES)}, and not {sent!r}.")


def _before(pairs: list[str], given: Mapping[str, Given], current: str | None) -> str | None:
    """The pair that was rated last; from one that is rated anew, the one that was rated before it."""
    those = set(pairs)
    rated_ones = [one for one in given if one in those]
    if current in rated_ones:
        rated_ones = rated_ones[: rated_ones.index(current)]
    return rated_ones[-1] if rated_ones else None


def _seconds(form: Mapping[str, str]) -> float | None:
    """How long the rater thought: since the page was made, as it says itself."""
    try:
        seconds = time.time() - float(form.get("shown", ""))
    except ValueError:
        return None
    return round(seconds, 1) if 0 <= seconds < LONGEST_THOUGHT_S else None
