"""How models speak around what they were asked for, in several languages, and texts that only begin like it."""

import time
from pathlib import Path

import pytest

from openmic.agents.tasks.phrases import closes, is_preamble, refuses, unannounced

HERE = Path(__file__).parent
REFUSALS = (HERE / "refusals.txt").read_text(encoding="utf-8")
OUTPUTS = (HERE / "no_refusals.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", REFUSALS.strip().splitlines())
def test_a_text_that_declines_is_known(text: str) -> None:
    assert refuses(text)
    assert refuses(f"\n**{text}**")


@pytest.mark.parametrize("text", OUTPUTS.strip().splitlines())
def test_an_output_that_begins_like_a_refusal_is_none(text: str) -> None:
    assert not refuses(text)
    assert not is_preamble(text, alone=False)
    assert not closes(text)
    assert unannounced(text) == text


ANNOUNCED = """
Here are three funny retellings of the sentence.
Sure, here are three retellings!
Sure, here's a funny one!
Here you go!
Of course! Here it is.
I've retold the sentence in three funny ways.
Absolutely! Let's make that funny.
Okay, so the user wants a funny sentence.
Let me think about this.
Gerne! Hier sind drei Vorschläge.
当然可以！以下是三种幽默的改写方式。
好的，没问题！
はい、もちろんです！
かしこまりました。以下の3つをご提案します。
Bien sûr ! Voici trois versions amusantes.
¡Claro! Aquí tienes tres versiones divertidas.
네, 알겠습니다.
ได้เลยครับ!
Chắc chắn rồi!
"""


@pytest.mark.parametrize("text", ANNOUNCED.strip().splitlines())
def test_a_line_that_announces_others_is_no_output(text: str) -> None:
    assert is_preamble(text, alone=False)


LABELS = """
Funny retelling:|Humorous version:|A funny version:|Retold:|Answer:|Plain version:|In plain words:
改写：|改写后的句子：|搞笑版：|好的，这是改写后的句子：
面白いバージョン：|물론이죠! 다음은 재미있는 버전입니다:|Lustige Version:
Versión divertida:|Вот смешная версия:|Here's a funny retelling of the sentence.|Here you go!
"""


@pytest.mark.parametrize("label", [label for line in LABELS.strip().splitlines() for label in line.split("|")])
def test_what_announces_an_output_on_its_line_is_left_out(label: str) -> None:
    assert unannounced(f"{label} My toast filed for divorce.") == "My toast filed for divorce."


@pytest.mark.parametrize(
    "text",
    [
        "Here is the list of papers to bring.",
        "Here are the rules. Keep them.",
        "Notice: the pool is closed.",
        "Let me think about cake, said my hips.",
        "Hier ist der Bus weg.",
        "Natürlich! Der Bus ist weg.",
        "Espero que mi tostada me perdone.",
        "Ich hoffe, das Brot verzeiht mir.",
        "希望公交车等我。",
    ],
)
def test_an_output_that_begins_like_a_remark_stays(text: str) -> None:
    assert unannounced(text) == text
    assert not is_preamble(text, alone=False)
    assert not closes(text)


@pytest.mark.parametrize("unit", [" ", "- ", "\n", "sorry ", "I can't ", "*", "here is "])
def test_however_long_a_text_is_it_takes_no_time(unit: str) -> None:
    began = time.monotonic()
    text = unit * (20_000 // len(unit))
    refuses(text)
    closes(text)
    assert time.monotonic() - began < 1
