from openmic.agents.simulated.prompts import read_prompt


def test_tags_are_read_from_all_user_messages_and_the_last_one_counts():
    prompt = read_prompt(["<sentence>old</sentence> exactly 7", "<sentence>new</sentence>\n<draft>mine</draft>"])
    assert (prompt.sentence, prompt.draft, prompt.kind) == ("new", "mine", "critique")
    assert prompt.count == 1  # the number is taken from the last message alone


def test_contents_are_unescaped_once():
    prompt = read_prompt(["<sentence>a &lt;b&gt; &amp; c &amp;lt;</sentence>"])
    assert prompt.sentence == "a <b> & c &lt;"


def test_comparison_with_heard_endings_and_a_count():
    text = "exactly 3 <sentence>s</sentence><first>f</first><second></second><heard>\na b c\n\n d e f \n</heard>"
    prompt = read_prompt([text])
    assert prompt.kind == "compare"
    assert prompt.second == ""
    assert prompt.heard == ("a b c", "d e f")
    assert prompt.count == 3


def test_without_tags_the_kind_is_open():
    assert read_prompt(["hello"]).kind is None
    assert read_prompt([]).kind is None
    assert read_prompt(["<sentence>s</sentence>"]).kind == "demonstrate"
