"""How models speak around what they were asked for: announcing it, closing, declining. In several languages.

What is missing here is caught by its form where it can be, as a line that ends in a colon is.
"""

import re

PREAMBLE = "preamble"
CLOSING = "closing remark"
TITLE = "title"

_YES = (
    r"(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|alright|all\s+right|great|got\s+it|no\s+problem"
    r"|gladly|with\s+pleasure|happy\s+to\s+help|i(?:'|’)?d\s+be\s+happy\s+to(?:\s+help)?)"
)
_KINDS = (
    r"(?:way|retelling|version|variant|rewrite|rewriting|rewording|sentence|option|example|joke|take|attempt|answer|text"
    r"|idea|translation|suggestion|line|notice|response|result|list|alternative|possibility|paraphrase)(?:s|ies)?"
)
_HERE = (
    rf"here(?:'|’)?s?(?:\s+(?:is|are|you\s+go|goes))?(?:\s+[^\s:.!?]+){{0,8}}?\s+{_KINDS}\b[^:.!?\n]{{0,80}}"
    rf"|(?:(?:the\s+)?following|below\s+(?:is|are))(?:\s+[^\s:.!?]+){{0,6}}?\s+{_KINDS}\b[^:.!?\n]{{0,60}}"
)
_YES_ELSEWHERE = (
    r"(?:natürlich|klar(?:\s+doch)?|gerne?|bien\s+sûr|claro(?:\s+que\s+sí)?|por\s+supuesto|certo|当然(?:可以)?|好的"
    r"|もちろん(?:です)?|承知(?:しました|いたしました)?)"
)
_HERE_ELSEWHERE = (
    r"(?:(?:hier\s+(?:ist|sind)|voici|ecco|aquí\s+(?:está|están|tienes?|van?))\b|以下|这里是|こちら)[^:\n]{0,80}"
)
_PAUSE = r"[\s,.!，。、-]*"
_AFTER = r"(?:(?:\*\*|__)(?=\s))?\s*"
"""The end of an emphasis that the announcement stands in; one that opens behind it is the output's."""
_ANNOUNCES = re.compile(
    rf"\W*(?:{_YES}[\s,.!-]*)?(?:{_HERE})\W*?:{_AFTER}"
    rf"|\W*(?:(?:the\s+)?rewritten(?:\s+(?:text|sentence|notice|version))?|funny\s+version|retelling)\s*:{_AFTER}"
    # "Klara sagte: …" and "Klar ist nur eins: …" begin an output: an assent stands alone, or before what is to come.
    rf"|\W*(?:{_YES_ELSEWHERE}{_PAUSE})?{_HERE_ELSEWHERE}:\s*|\W*{_YES_ELSEWHERE}\b{_PAUSE}:\s*",
    re.IGNORECASE,
)
_ASSENTS = re.compile(rf"\W*(?:{_YES}|{_YES_ELSEWHERE})\W*", re.IGNORECASE)
_CLOSES = re.compile(
    r"\W*(?:let me know\b|(?:i )?hope (?:this|these|that|you|it) (?:helps?|works?|brings?|makes?|gives?|enjoy|like)"
    r"|feel free to\b|enjoy\W*\Z|would you like (?:me|more|another|some)|do you want (?:me|more|another)|want me to\b"
    r"|is there anything\b|shall i\b|i can (?:also )?(?:make|write|give|adjust)\b|if you(?:'|’)?d like\b"
    r"|lass(?:en sie)? mich wissen|sag(?:en sie)? mir bescheid|n(?:'|’)hésitez pas|dis-moi|espero que|avísame"
    r"|希望这|如果您?(?:需要|想)|いかがでしょうか)",
    re.IGNORECASE,
)
_MAY_CLOSE = re.compile(
    r"\W*(?:if you\b|which (?:one|of these)|(?:please )?note\b|(?:each|all|both) (?:of|version|retelling|one|option)"
    r"|these\b|i(?:'|’)?(?:ve| have)\b|why (?:it|this|these) work|explanation\b|the (?:above|humou?r|joke)s?\b)",
    re.IGNORECASE,
)
_CANNOT = r"(?:can(?:no|'|’)t|can ?not|am (?:not able to|unable to|not comfortable)|won(?:'|’)t)"
_REFUSES = re.compile(
    r"\W*(?:"
    r"(?:i(?:'|’| a)?m |my apologies|i apologi[sz]e)?(?:\s*(?:very|really|so|truly) )?(?:sorry)?[\s,.;:!-]*(?:but\s+)?"
    # "I can't" alone begins many a first-person sentence, and "Sorry," many a notice in plain words.
    rf"(?:unfortunately,?\s+)?i\s+{_CANNOT}\s+(?:help (?:you|with)|assist|comply|fulfil|provide|do th|do so|write"
    r"|create|generate|retell|rewrite|make (?:jokes?|fun|light)|(?:answer|engage|continue|produce|judge|compare|choose)"
    r" (?:with )?(?:this|that|these|the|your|between)\b)"
    r"|(?:i(?:'|’| a)?m |we(?:'|’| a)?re )?(?:very |really |so |truly )?sorry[\s,.;:!-]*(?:but\s+)?"
    rf"(?:unfortunately,?\s+)?(?:i\s+{_CANNOT}|i(?:'|’)?m (?:unable|not able|not comfortable)"
    r"|as an? (?:ai\b|assistant|(?:large )?language model)|that request|that isn(?:'|’)t (?:something|appropriate)"
    r"|this (?:request|content))"
    r"|i(?:'|’| a)?m sorry\W*\Z|as an ai\b|as a (?:large )?language model\b|i(?:'|’| a)?m (?:unable|not able) to\b"
    r"|i (?:must|have to) decline\b|i(?:'|’)d (?:rather|prefer) not (?:to )?(?:help|write|answer|do)"
    r"|es tut mir (?:sehr )?leid,? (?:aber )?(?:ich kann|das kann ich|dabei kann ich)"
    r"|ich kann (?:dir|ihnen) (?:dabei|damit) nicht"
    r"|lo siento,? (?:pero )?no puedo|je suis (?:vraiment )?désolée?,? (?:mais )?je ne (?:peux|suis pas)"
    r"|mi dispiace,? (?:ma )?non posso|desculpe,? (?:mas )?(?:eu )?não posso|извините,? (?:но )?я не могу"
    r"|(?:很|非常)?(?:抱歉|对不起)[,，]?我?(?:还)?(?:无法|不能)|申し訳(?:ありません|ございません)が|죄송하지만"
    r")",
    re.IGNORECASE,
)


def _as_typed(text: str) -> str:
    """The text with one kind of colon and dash, each as long as what it stands for."""
    return text.translate({0xFF1A: ":", 0x2013: "-", 0x2014: "-", 0xFF01: "!"})


def unannounced(text: str) -> str:
    """The text without what is said before it on the same line: `Sure! Here is a funny version: …`."""
    found = _ANNOUNCES.match(_as_typed(text))
    rest = text[found.end() :] if found else ""
    return rest if re.search(r"\w", rest) else text


def is_preamble(text: str) -> bool:
    """Whether a text says no more than that something is to come."""
    typed = _as_typed(text)
    announced = _ANNOUNCES.match(typed)
    return (
        typed.rstrip("*_ \n").endswith(":")
        or _ASSENTS.fullmatch(typed) is not None
        or (announced is not None and not re.search(r"\w", typed[announced.end() :]))
    )


def closes(text: str, *, surely: bool = True) -> bool:
    """Whether a text is said after what was asked for; unless `surely`, it only may be."""
    return bool(_CLOSES.match(text) or (not surely and _MAY_CLOSE.match(text)))


def refuses(text: str) -> bool:
    """Whether a text begins as one does that declines to answer."""
    return bool(_REFUSES.match(_as_typed(text)))
