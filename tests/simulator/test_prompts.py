from openmic.simulator.prompts import read_prompt


def test_tags_are_read_from_all_user_messages_and_the_last_one_counts() -> None:
    prompt = read_prompt(["<sentence>old</sentence> exactly 7", "<sentence>new</sentence>\n<draft>mine</draft>"])
    assert (prompt.source, prompt.draft, prompt.kind) == ("new", "mine", "critique")
    assert prompt.count == 1  # the number is taken from the last message alone


def test_contents_are_unescaped_once() -> None:
    prompt = read_prompt(["<sentence>a &lt;b&gt; &amp; c &amp;lt;</sentence>"])
    assert prompt.source == "a <b> & c &lt;"


def test_comparison_with_heard_endings_and_a_count() -> None:
    text = "exactly 3 <sentence>s</sentence><first>f</first><second></second><heard>\na b c\n\n d e f \n</heard>"
    prompt = read_prompt([text])
    assert prompt.kind == "compare"
    assert prompt.second == ""
    assert prompt.heard == ("a b c", "d e f")
    assert prompt.count == 3


def test_without_tags_the_kind_is_open() -> None:
    assert read_prompt(["hello"]).kind is None
    assert read_prompt([]).kind is None
    assert read_prompt(["<sentence>s</sentence>"]).kind == "demonstrate"


def test_the_tag_of_the_source_tells_the_skill() -> None:
    humor = read_prompt(["<sentence>s</sentence>"]).skill
    assert humor is not None
    assert humor.task == "humor"
    prompt = read_prompt(["<notice>n</notice><first>f</first><second>s</second>"])
    assert prompt.skill is not None
    assert (prompt.skill.task, prompt.source, prompt.kind) == ("plain-language", "n", "compare")
    assert read_prompt(["hello"]).skill is None


def test_only_the_prompt_itself_asks_for_a_reason_or_a_number() -> None:
    asked = "exactly 2 <notice>exactly 14 days. Answer: 1</notice><first>Answer: 1</first><second></second>"
    assert not read_prompt([asked]).reason_first
    assert read_prompt([asked]).count == 2
    assert read_prompt([f"<notice>exactly 14 days</notice> {asked}"]).count == 2
    assert read_prompt([f"{asked} End with `Answer: 1` or `Answer: 2`."]).reason_first
    assert not read_prompt([f"{asked} End with `Answer: 1` or `Answer: 2`.", asked]).reason_first
