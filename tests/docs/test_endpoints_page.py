"""The page on endpoints claims to have seen those servers alone that `make test-servers` runs, at their versions."""

from ..servers.environments import ENVIRONMENTS
from ..servers.probes import PAGE, rows

CLAIM = "seen by running"


def test_what_the_page_has_seen_is_what_the_tests_run() -> None:
    seen = {name: row[CLAIM] for name, row in rows().items() if row[CLAIM] != "no"}
    assert len(seen) == len(ENVIRONMENTS)
    for name, environment in ENVIRONMENTS.items():
        [claim] = [claim for row, claim in seen.items() if row.lower().startswith(name)]
        assert claim.startswith("yes, ")
        assert environment.version.removesuffix(".0.0") in claim


def test_every_endpoint_of_the_one_table_is_in_the_other() -> None:
    needs = PAGE.read_text(encoding="utf-8").partition("| endpoint | `base_url` |")[2].partition("\n#")[0]
    firsts = {
        line.split("|")[1].split(",")[0].split("'")[0].split()[0] for line in needs.splitlines() if line[:2] == "| "
    }
    assert {name.split(",")[0].split("'")[0].split()[0] for name in rows()} == firsts
