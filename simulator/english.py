"""Just enough English for all skills, without a language library: function words, words but for their endings, loops.

Heuristics: they know common words and endings alone.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from ..core.text import fold, words

_FUNCTION_WORDS = """
    a an the this that these those my our your his her its their i we you he she it they me us him them myself
    ourselves himself herself itself themselves who whom whose which what where when why how and or but nor so yet
    if because although though while until till since unless than as of in on at by for from to into onto over under
    with without about against between through during before after above below near behind beside across along
    around off out up down again opposite inside outside past toward towards upon within per via despite except
    is are was were be been being am do does did done has have had having will would shall should can could may
    might must not no never ever always often sometimes usually just only also too very quite rather really already
    still even almost nearly then there here now soon today tomorrow yesterday tonight lately recently every each
    any some all both either neither none nobody nothing no-one someone somebody something anyone anybody anything
    everyone everybody everything many much more most few less least several enough such other another same own
    once twice ago away back well please however instead perhaps maybe whenever wherever whatever apparently later
    i'm i've i'd i'll we're we've we'd we'll they're they've you're it's he's she's that's there's don't doesn't
    didn't isn't aren't wasn't weren't can't couldn't won't wouldn't shouldn't hasn't haven't hadn't
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words (in lower case) that say nothing about what a sentence is about."""


def stem(word: str) -> str:
    """A word without its most common endings: equal for `coin` and `coins`, `reject` and `rejected`."""
    word = word.removesuffix("'s").removesuffix("’s")
    for suffix in ("ings", "ing", "ies", "ied", "ed", "es", "ly", "s", "y", "e"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content_stems(text: str) -> list[str]:
    """The stems of a text's content words, in order; of all its words where it has no content word."""
    found = words(text)
    return [stem(word) for word in found if word not in FUNCTION_WORDS] or [stem(word) for word in found]


def is_function_word(word: str) -> bool:
    """Whether a word (in lower case) says nothing about what a sentence is about."""
    return word in FUNCTION_WORDS


def fold_all(phrases: Sequence[str]) -> tuple[str, ...]:
    """Each phrase folded, for lists that folded texts are searched for."""
    return tuple(fold(phrase) for phrase in phrases)


def repetition(said: list[str], given: list[str]) -> float:
    """How degenerate a text is, from 0 to 1: its share of word triples (pairs, in a short text) said more than once."""
    size = 3 if len(said) > 6 else 2
    grams = Counter(tuple(said[index : index + size]) for index in range(len(said) - size + 1))
    source = Counter(tuple(given[index : index + size]) for index in range(len(given) - size + 1))
    again = sum(count - 1 for gram, count in grams.items() if count > 1 and count > source[gram])
    immediate = sum(one == two for one, two in pairwise(said))
    natural = sum(one == two for one, two in pairwise(given))
    excess = 3 * again + 2 * max(0, immediate - natural)
    return min(1.0, excess / len(said))
