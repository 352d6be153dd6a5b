"""How models speak around what they were asked for: announcing it, closing, declining. In several languages.

What is missing here is caught by its form where it can be, as a line that ends in a colon is.
"""

import re
from functools import cache

PREAMBLE = "preamble"
CLOSING = "closing remark"
TITLE = "title"

_YES = (
    r"(?:sure(?:\s+thing)?|certainly|of\s+course|absolutely|okay|ok|alright|all\s+right|great|got\s+it|no\s+problem"
    r"|gladly|with\s+pleasure|happy\s+to\s+help|i(?:'|’)?d\s+be\s+happy\s+to(?:\s+help)?)"
)
_KINDS = (
    r"(?:way|retelling|version|variant|rewrite|rewriting|rewording|sentence|option|example|joke|take|attempt"
    r"|answer|text"
    r"|idea|translation|suggestion|line|notice|response|result|list|alternative|possibility|paraphrase)(?:s|ies)?"
)
_HERE = (
    rf"here(?:'|’)?s?(?:\s+(?:is|are|you\s+go|goes))?(?:\s+[^\s:.!?]+){{0,8}}?\s+{_KINDS}\b[^:.!?\n]{{0,80}}"
    rf"|(?:(?:the\s+)?following|below\s+(?:is|are))(?:\s+[^\s:.!?]+){{0,6}}?\s+{_KINDS}\b[^:.!?\n]{{0,60}}"
)
_OURS = (
    r"(?:(?:retelling|version|variant|variation|rewrite|rewriting|rewording|paraphrase)s?"
    rf"|(?:funny|humorous|plain|simple|comic|witty|different)\s+(?:{_KINDS}|ones?)|(?:two|three|four|five"
    rf"|\d+)(?=\W*\Z))"
)
"""What no output calls itself: these are announced also where the announcement ends in a full stop."""
_SAYS_HERE = (
    rf"here(?:'|’)?s?(?:\s+(?:is|are))?(?:\s+[^\s:.!?]+){{0,8}}?\s+{_OURS}\b[^:.!?\n]{{0,60}}"
    r"|here\s+(?:you\s+(?:go|are)|it\s+is|they\s+are|we\s+go|goes)"
    r"|i(?:(?:'|’)ve|\s+have)?\s+(?:retold|rewritten|rewrote|rephrased|reworded|simplified)\s+(?:the|your|this)\s+"
    r"(?:sentence|text|notice)\b[^:.!?\n]{0,60}|let(?:'|’)s\s+(?:make|do|give|see|try|go)\b[^:.!?\n]{0,40}"
)
_LABELS = (
    r"(?:(?:a|the|my|one|your)\s+)?(?:(?:funny|humorous|comic|witty|plain|simple|simplified|rewritten|revised"
    r"|new|better"
    r"|improved|final|short(?:er)?)\s+){0,2}(?:retelling|version|variant|rewrite|rewriting|rewording|paraphrase"
    r"|output"
    r"|answer|retold|rewritten|simplified|funny|humorous)|in\s+plain\s+(?:words|language|english)"
    r"|改写(?:后)?(?:的)?(?:句子|版本|文本)?|(?:搞笑|幽默|有趣)(?:的)?(?:版本?|句子|改写)"
    r"|(?:面白い)?(?:バージョン|言い換え)"
    r"|(?:lustige|neue|einfache)\s+(?:version|fassung)|version\s+(?:drôle|amusante|simple)"
    r"|versión\s+(?:divertida|simple)"
    r"|versione\s+divertente|versão\s+engraçada|смешная\s+версия"
)
"""What stands before an output on its line, with a colon after it."""
_YES_ELSEWHERE = (
    r"(?:natürlich|klar(?:\s+doch)?|gerne?|bien\s+sûr|claro(?:\s+que\s+sí)?|por\s+supuesto|certo|当然(?:可以)?|好的"
    r"|もちろん(?:です)?|承知(?:しました|いたしました)?|没问题|沒問題|可以|明白了|收到|かしこまりました"
    r"|了解(?:です|しました)"
    r"|はい|물론(?:입니다|이죠)?|네|알겠습니다|แน่นอน(?:ครับ|ค่ะ)?|ได้เลย(?:ครับ|ค่ะ)?|بالتأكيد|بالطبع|конечно|хорошо"
    r"|tabii(?:\s+ki)?|elbette|chắc\s+chắn\s+rồi|tentu(?:\s+saja)?|oczywiście|natuurlijk|d(?:'|’)accord|vale"
    r"|perfett?o"
    r"|ज़रूर|बिल्कुल)"
)
_OURS_ELSEWHERE = (
    r"(?:vorschl[aä]g\w*|version\w*|variante?n?|fassung\w*|möglichkeit\w*|proposition\w*|versiones|versioni|versões"
    r"|opciones|proposte|верси\w*|вариант\w*|版本|方式|改写|说法|说法|バージョン|案|提案|버전)"
)
_HERE_ELSEWHERE = (
    r"(?:(?:hier\s+(?:ist|sind)|voici|ecco|aquí\s+(?:está|están|tienes?|van?)|aqui\s+estão?|вот)\b|以下|这里是"
    r"|这是|こちら|다음은"
    r"|إليك)[^:\n]{0,80}"
)
_PAUSE = r"[\s,.!，。、-]*"
_AFTER = r"(?:(?:\*\*|__)(?=\s))?\s*"
"""The end of an emphasis that the announcement stands in; one that opens behind it is the output's."""
_ANNOUNCES = re.compile(
    rf"\W*(?:{_YES}[\s,.!-]*)?(?:{_HERE})\W*?:{_AFTER}"
    rf"|\W*(?:(?:the\s+)?rewritten\s+(?:text|sentence|notice)|{_LABELS})\s*:{_AFTER}"
    rf"|\W*(?:{_YES}[\s,.!-]*)?(?:{_SAYS_HERE})[.!]{_AFTER}(?=\S)"
    # "Klara sagte: …" and "Klar ist nur eins: …" begin an output: an assent stands alone, or before what is to come.
    rf"|\W*(?:{_YES_ELSEWHERE}{_PAUSE})?{_HERE_ELSEWHERE}:\s*|\W*{_YES_ELSEWHERE}\b{_PAUSE}:\s*",
    re.IGNORECASE,
)
_ASSENTS = re.compile(rf"\W*(?:(?:{_YES}|{_YES_ELSEWHERE})(?:\W+|\Z))+", re.IGNORECASE)
_SAID = re.compile(
    rf"\W*(?:(?:{_YES}|{_YES_ELSEWHERE}){_PAUSE})*(?:{_SAYS_HERE}|{_HERE_ELSEWHERE.replace('{0,80}', '{0,30}')}"
    rf"{_OURS_ELSEWHERE}[^:\n]{{0,30}})[\s.!。！*_]*|\W*let me (?:think|see)(?: about (?:this|it|that))?[.…!]*"
    r"|(?:\W*(?:okay|ok|alright|hmm+|so)\b)*\W*the (?:user|prompt) (?:wants?|asks?|is asking|gave|provided|has)\b.*",
    re.IGNORECASE | re.DOTALL,
)
"""A line that announces, or thinks aloud, before other lines."""
_CLOSES = re.compile(
    r"\W*(?:let me know\b|(?:i )?hope (?:this|these|that|you|it) (?:helps?|works?|brings?|makes?|gives?|enjoy|like)"
    r"|feel free to\b|enjoy\W*\Z|would you like (?:me|more|another|some)|do you want (?:me|more|another)|want me to\b"
    r"|is there anything\b|shall i\b|i can (?:also )?(?:make|write|give|adjust)\b|if you(?:'|’)?d like\b"
    r"|lass(?:en sie)? mich wissen|sag(?:en sie)? mir bescheid|n(?:'|’)hésitez pas|dis-moi|avísame"
    r"|希望这|如果您?(?:需要|想)|いかがでしょうか|希望(?:你|您)(?:喜欢|满意)|希望对(?:你|您)|気に入っていただ"
    r"|お役に立て"
    r"|도움이 되(?:었|길|면|셨)|ich hoffe,? (?:das|es|die) (?:hilft|gefällt|passt)|j(?:'|’)espère que (?:cela"
    r"|ça|ces|cette) "
    r"|espero que (?:te|os|les|esto|sirva) |spero che (?:ti|vi|questo) |надеюсь,? (?:это |вам |тебе )?(?:помо|понрав)"
    r"|\(?(?:explanation|why (?:it|this) works?|word count|exaggeration|wordplay|pun)\s*:)",
    re.IGNORECASE,
)
_MAY_CLOSE = re.compile(
    r"\W*(?:if you\b|which (?:one|of these)|(?:please )?note\b|(?:each|all|both) (?:of|version|retelling|one|option)"
    r"|these\b|i(?:'|’)?(?:ve| have)\b|why (?:it|this|these) work|explanation\b|the (?:above|humou?r|joke)s?\b)",
    re.IGNORECASE,
)
_CANNOT = (
    r"(?:can(?:no|'|’)t|can ?not|am (?:not able to|unable to|not comfortable)|won(?:'|’)t(?: be able to)?"
    r"|will not be able to)"
)
_THIS = r"(?:this|that|these|those|it|your (?:request|question|prompt)|such|any|requests?|such (?:content|requests?))\b"
_ASKED = (
    rf"(?:help (?:you |out )?with (?:{_THIS}|the request)|assist(?: (?:you|with))?\b|comply|fulfil"
    rf"|satisfy (?:your|this|that)|do (?:this|that|so)\b"
    rf"|(?:provide|write|create|generate|produce|retell|rewrite) (?:{_THIS}|a (?:joke|funny|humorous|response)"
    rf"|an? answer|jokes?|humou?r"
    r"|(?:the|content|assistance|information)\b)|make (?:a )?(?:jokes?|fun|light) (?:of|about|on)|make jokes?\b"
    r"|joke about"
    rf"|(?:answer|engage|continue|judge|compare|choose|process|complete|respond)(?: with| to"
    rf"| between)? (?:{_THIS}|the (?:request|two)))"
)
_AM = r"i(?:'|’| a)?m"
_REFUSES = re.compile(
    r"\W*(?:"
    rf"(?:(?:{_AM} )?(?:(?:very|really|so|truly) )?sorry|(?:my )?apologies|i apologi[sz]e|unfortunately|no"
    rf"|{_AM} afraid"
    r"|(?:while )?i (?:understand|appreciate)\b[^.!?\n]{0,80}|thank(?:s| you) for\b[^.!?\n]{0,60})?"
    r"[\s,.;:!-]*(?:but\s+)?(?:unfortunately,?\s+|regrettably,?\s+)?(?:that\s+)?"
    rf"(?:i\s+{_CANNOT}|{_AM} (?:unable|not able|not comfortable|not going) (?:to )?)\s*(?:help(?: you)?\W*\Z"
    rf"|{_ASKED})"
    rf"|(?:{_AM} |we(?:'|’| a)?re )?(?:very |really |so |truly )?sorry[\s,.;:!-]*(?:but\s+)?"
    rf"(?:unfortunately,?\s+)?(?:(?:i\s+{_CANNOT}|{_AM} (?:unable|not able|not comfortable)(?: to| with)?)\s*"
    rf"(?:help\W*\Z|{_ASKED}|(?:do|make (?:a )?(?:jokes?|fun|light)|write|create|generate|retell|rewrite|joke)\b)"
    r"|as an? (?:ai\b|assistant|(?:large )?language model)|that request|that isn(?:'|’)t (?:something|appropriate)"
    r"|this (?:request|content))"
    rf"|{_AM} sorry\W*\Z|sorry[, ]+no\W*\Z"
    rf"|(?:i apologi[sz]e[\s,]*(?:but\s+)?)?as an? (?:[\w-]+ (?:and [\w-]+ )?){{0,2}}"
    r"(?:ai|artificial intelligence|language model)(?: (?:language )?(?:model|assistant|system))?(?:,|\s+(?:i"
    r"|my|it)\b)"
    rf"|{_AM} (?:just )?an ai(?: (?:language )?(?:model|assistant))?(?:,|\s+(?:and|so|but)\b)"
    rf"|{_AM} (?:going to have to|designed to be helpful)\b|i (?:must|have to) decline(?:\W*\Z| (?:to|this|that"
    rf"|your)\b)"
    r"|i (?:must )?respectfully decline\b|i(?:'|’)d (?:rather|prefer) not (?:to )?(?:help|write|answer|do)"
    r"|i (?:do not|don(?:'|’)t) feel comfortable (?:making|writing|joking|with)|i don(?:'|’)t think it(?:'"
    r"|’)?s appropriate"
    rf"|{_AM} not comfortable (?:making|writing|joking|with)"
    r"|it(?:(?:'|’)s| is| would be) (?:not appropriate|inappropriate) to (?:make (?:jokes|fun|light)|joke)"
    r"|this (?:request|content) (?:may )?(?:violates?|goes against)"
    # in other languages
    r"|(?:es )?tut mir (?:sehr )?leid,? (?:aber )?(?:ich kann (?:(?:dir|ihnen) )?(?:dabei|damit) nicht"
    r"|das kann ich nicht|dabei kann ich|ich kann diese (?:anfrage|bitte))"
    r"|(?:leider|entschuldigung,?)(?: aber)? (?:kann ich (?:dir|ihnen)? ?(?:dabei|damit|diese)|dabei kann ich"
    r"|ich kann (?:das|diese))"
    r"|ich kann (?:dir |ihnen )?(?:dabei|damit|diese (?:anfrage|bitte)) nicht|als ki(?:-?\w+)? kann ich"
    r"|(?:lo (?:siento|lamento)|disculpa),? (?:pero )?no puedo (?:ayudar|responder|cumplir|hacer eso|escribir|crear"
    r"|generar)"
    r"|no puedo (?:ayudarte con (?:eso|esto)|cumplir con est)|como modelo de lenguaje"
    r"|(?:je suis (?:vraiment )?)?désolée?,? (?:mais )?je ne (?:peux|suis) pas (?:en mesure de |capable de )?"
    r"(?:(?:vous |t(?:'|’))?aider\b|répondre|traiter|satisfaire|faire (?:cela|ça)|écrire|créer|générer)"
    r"|(?:malheureusement, )?je ne (?:peux|suis) pas (?:en mesure de )?(?:(?:vous |t(?:'|’))?aider(?:\W*\Z"
    r"| avec (?:cela|ça|cette))"
    r"|(?:répondre à|traiter|satisfaire) cette)|en tant qu(?:'|’)ia\b"
    r"|mi dispiace,? (?:ma )?non posso (?:aiutar|farlo|rispondere|scrivere|creare|generare)"
    r"|(?:purtroppo )?non posso aiutarti(?:\W*\Z| con questo)"
    r"|(?:desculpe|sinto muito|lamento),? (?:mas )?(?:eu )?não posso (?:ajudar|responder|fazer isso"
    r"|escrever|criar|gerar)"
    r"|não posso ajudar(?:\W*\Z| com isso)"
    r"|(?:извините|простите),? (?:но )?я не могу (?:вам |тебе )?(?:это (?:сделать|написать)|помочь|ответить"
    r"|написать|выполнить)"
    r"|(?:к сожалению, )?я не могу (?:помочь|выполнить этот)|вибачте,? (?:але )?я не можу"
    r"|(?:het spijt me|sorry),? maar ik kan (?:(?:daar|hier|u|je|dat) )*(?:niet|geen)"
    r"|(?:przykro mi|przepraszam),? ale nie mogę (?:w tym |ci |panu |pani )?(?:pomóc|odpowiedzieć|tego|napisać|spełnić)"
    r"|üzgünüm,? (?:ancak|ama)"
    r"|omlouvám se, ale|(?:tyvärr|jag är ledsen, men jag)\s+kan(?: jag)? inte hjälpa|(?:beklager"
    r"|undskyld), men jeg kan ikke"
    r"|(?:عذراً|عذرا|آسف|أعتذر)،? (?:لكن )?(?:لا (?:أستطيع|يمكنني)|لن)|متأسفم،? نمی"
    r"|(?:मुझे खेद है|क्षमा करें)[^।]{0,40}नहीं|(?:ขออภัย|ขอโทษ)[^.]{0,20}ไม่สามารถ|(?:xin lỗi"
    r"|rất tiếc),? (?:nhưng )?tôi không thể"
    r"|maaf,? saya tidak (?:bisa|dapat)|λυπάμαι,? αλλά δεν μπορώ|מצטערת?,? (?:אבל )?אני לא יכול"
    r"|(?:(?:很|非常|十分|真的)?(?:抱歉|对不起|對不起|不好意思)|您好"
    r"|你好)?[,，。!]?(?:但是?)?(?:作为[^，,]{0,20}[，,])?"
    r"(?:[这這][个個](?:问题|问题|請求|请求))?我?(?:暂时|还|恐怕)?(?:无法|不能|無法|没办法)"
    r"(?:给到|满足|滿足|协助|協助|提供|回答|帮助?[你您]|帮忙|帮[你您]做|完成(?:[这這该您你])|处理这|创作|生成"
    r"|编写|回应|这样做|做到)"
    r"|(?:很|非常)?(?:抱歉|对不起|對不起)[^。!]{0,8}(?:请求|請求|问题|内容)[^。!]{0,6}(?:无法|無法|不能)"
    r"|作为(?:一[个個])?(?:AI|人工智能)"
    r"|(?:申し訳(?:ありません|ございません|ない)|すみません|ごめんなさい|恐れ入ります|恐縮です)(?:が"
    r"|けど)?[、。]?[^。]{0,30}?"
    r"(?:(?:お手伝い|お応え|お答え|対応|提供|作成|お受け|それは)[^。]{0,15}?(?:できません|いたしかねます"
    r"|できかねます))"
    r"|(?:その|この)(?:リクエスト|ご要望|質問)には?(?:お応え|お答え|対応)[^。]{0,6}できません"
    r"|お手伝い(?:することは?)?できません"
    r"|ai(?:アシスタント|モデル)?として"
    r"|(?:죄송|미안)[^.]{0,20}[.]?[^.]{0,10}(?:도와|도움|요청|답변|처리|그건|그것은|제공)[^.]{0,20}(?:수 없"
    r"|어렵)|(?:그|이) 요청은[^.]{0,20}수 없"
    r")",
    re.IGNORECASE,
)
_BEGINNING = 400
"""Characters of a text by which it is known whether it declines."""


def _as_typed(text: str) -> str:
    """The text with one kind of colon and dash, each as long as what it stands for."""
    return text if text.isascii() else text.translate({0xFF1A: ":", 0x2013: "-", 0x2014: "-", 0xFF01: "!"})


def unannounced(text: str) -> str:
    """The text without what is said before it on the same line: `Sure! Here is a funny version: …`."""
    found = _ANNOUNCES.match(_as_typed(text))
    rest = text[found.end() :] if found else ""
    return rest if re.search(r"\w", rest) else text


def is_preamble(text: str, *, alone: bool = True) -> bool:
    """Whether a text says no more than that something is to come.

    Unless it is `alone`, so does one that announces something in a sentence.
    """
    typed = _as_typed(text)
    announced = _ANNOUNCES.match(typed)
    return (
        typed.rstrip("*_ \n").endswith(":")
        or _ASSENTS.fullmatch(typed) is not None
        or (not alone and _SAID.fullmatch(typed) is not None)
        or (announced is not None and not re.search(r"\w", typed[announced.end() :]))
    )


def closes(text: str, *, surely: bool = True) -> bool:
    """Whether a text is said after what was asked for; unless `surely`, it only may be."""
    text = text.strip()[:_BEGINNING]
    return bool(_CLOSES.match(text) or (not surely and _MAY_CLOSE.match(text)))


def refuses(text: str, patterns: tuple[str, ...] | None = None) -> bool:
    """Whether a text begins as one does that declines to answer: as `patterns` say, by default as models do."""
    beginning = text.strip()[:_BEGINNING]
    if patterns is None:
        return bool(_REFUSES.match(_as_typed(beginning)))
    return any(_compiled(pattern).match(beginning) for pattern in patterns)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)
