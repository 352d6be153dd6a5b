from openmic.core.records import Message
from openmic.training.export.agreement import Agreement, greedy

from ..conftest import BuildStudent


def test_tokens_agree_until_they_first_differ() -> None:
    found = Agreement.of([(1, 2, 3), (4, 5), (6,), ()], [(1, 9, 3), (4, 5), (6, 7), ()])
    assert (found.outputs, found.same, found.tokens, found.agreeing) == (4, 2, 6, 4)
    assert str(found) == (
        "4 of 6 greedy tokens agree with the adapter's until they first differ; 2 of 4 outputs are alike"
    )


def test_greedy_tokens_are_the_same_each_time(student: BuildStudent) -> None:
    asked = [(Message(role="user", content=text),) for text in ("", "Soup.", "水壶 🙂 " * 20)]
    one, other = (greedy(student("llama"), asked, max_tokens=5, max_batch=2) for _ in range(2))
    assert one == other
    assert all(len(tokens) <= 5 for tokens in one)
