from openmic.simulator.plain_language.facts import facts_of, kept, lost
from openmic.simulator.plain_language.rewriting import rewrite

NOTICE = "In the event that the tenant does not remit $45 by 3 May, the lease shall be terminated within ten days."
PLAIN = "If the tenant does not pay $45 by 3 May, the lease will be ended in 10 days."


def test_figures_negations_and_matters_are_read() -> None:
    facts = facts_of(NOTICE)
    assert dict(facts.figures) == {"45": 1, "3": 1, "10": 1}
    assert facts.negations == 1
    assert any("leas" in matter for matter in facts.matters)


def test_a_plain_version_keeps_everything() -> None:
    found = kept(NOTICE, PLAIN)
    assert (found.figures, found.negations, found.matters) == (1, 1, 1)
    assert kept(NOTICE, NOTICE) == found
    assert lost(NOTICE, PLAIN) == []


def test_what_is_lost_is_told() -> None:
    assert kept(NOTICE, PLAIN.replace("$45", "some money")).figures == 2 / 3
    assert kept(NOTICE, PLAIN.replace("does not", "does")).negations == 0
    assert kept(NOTICE, "If the tenant does not pay $45 by 3 May, goodbye in 10 days.").matters < 0.9
    assert lost(NOTICE, "The tenant must pay by 3 May.") == ["45", "10", "lease", "days"]


def test_you_stands_for_the_reader() -> None:
    assert kept("Applicants must sign.", "You must sign.").matters == 1
    assert kept("Engines must be signed.", "You must sign.").matters < 1


def test_a_copy_keeps_every_no_of_its_source() -> None:
    source = "Tenants who fail to pay are prohibited from using the hall."
    assert kept(source, source).negations == 1
    assert kept(source, "Tenants who do not pay are banned from using the hall.").negations == 1
    assert kept(source, "Tenants who pay may use the hall.").negations == 0


def test_a_no_that_belongs_to_officialese_may_go() -> None:
    assert kept("Come not later than 3 May.", "Come by 3 May.").negations == 1


def test_shipped_notices_keep_their_facts(notices: list[str]) -> None:
    for notice in notices:
        found = kept(notice, rewrite(notice, "k"))
        assert found.figures == 1, notice
        assert found.matters > 0.7, notice
    assert sum(kept(notice, rewrite(notice, "k")).negations == 1 for notice in notices) > 0.97 * len(notices)
