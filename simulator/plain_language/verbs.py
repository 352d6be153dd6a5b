"""Verbs of officialese and their plain equivalents, each in all of its forms.

Regular endings are worked out; the irregular ones of the plain verbs are listed.
"""

import re
from collections.abc import Iterator

VERBS = """
    abrogate = cancel | accede to = agree to | accrue = build up | accumulate = collect | acquire = get
    adjourn = put off | advise = tell | allocate = give | alter = change | amend = change | anticipate = expect
    ascertain = check / find out | assign = pass on | assist = help | attain = reach | authorise = allow
    await = wait for | cater for = look after | cease = stop / end | commence = start / begin | communicate = send
    conclude = end | consent to = agree to | constitute = be | construe = read | convene = hold | deem = treat
    defer = put off | demonstrate = show | diminish = shrink | disburse = pay | discharge = pay off
    disclose = share | discontinue = stop / end | dispense = give | dispose of = get rid of
    disregard = ignore / leave out | elapse = pass | emanate = come | enclose = add | encounter = meet
    endeavour = try | enquire = ask | enumerate = list | envisage = expect | erase = delete | evacuate = leave
    exceed = go over | expedite = speed up | expend = spend | expire = run out / end | facilitate = help / ease
    forfeit = lose | furnish = give | illuminate = light up | impair = weaken | implement = start | incur = run up
    indicate = say | inform = tell | initiate = start / begin | inspect = check | lapse = run out | levy = charge
    locate = find | lodge = hand in / send in | modify = change | necessitate = need | notify = tell | obtain = get
    occasion = cause | originate = start | participate = take part / join in | persist = go on
    pertain to = be about | peruse = read | postpone = put off | preclude = stop | prevail = count | proceed = go on
    procure = get | prohibit = ban | purchase = buy | recommence = start again / begin again
    rectify = put right / fix | regret = be sorry | reimburse = pay back | reiterate = repeat | relinquish = give up
    relocate = move / shift | remit = pay / send | render = make | require = need | reside = live | resolve = decide
    resubmit = send in again | retain = keep | segregate = separate | specify = name / give | stipulate = say
    submit = send in / send | subsist = last | surrender = hand in / give up | suspend = stop / hold back
    sustain = suffer | terminate = end / stop | transmit = send | transpire = happen | undergo = go through
    undertake = do | utilise = use | vacate = leave / clear | verify = check | waive = drop | withdraw = pull out
    withhold = keep back
"""
"""Verb = plain verb / another, parted by bars and line breaks; the words after the first of either stay as they are."""

_IRREGULAR = {
    "begin": ("begins", "began", "begun", "beginning"),
    "be": ("is", "was", "been", "being"),
    "build": ("builds", "built", "built", "building"),
    "buy": ("buys", "bought", "bought", "buying"),
    "come": ("comes", "came", "come", "coming"),
    "do": ("does", "did", "done", "doing"),
    "find": ("finds", "found", "found", "finding"),
    "get": ("gets", "got", "got", "getting"),
    "give": ("gives", "gave", "given", "giving"),
    "go": ("goes", "went", "gone", "going"),
    "have": ("has", "had", "had", "having"),
    "hand": ("hands", "handed", "handed", "handing"),
    "hold": ("holds", "held", "held", "holding"),
    "keep": ("keeps", "kept", "kept", "keeping"),
    "leave": ("leaves", "left", "left", "leaving"),
    "light": ("lights", "lit", "lit", "lighting"),
    "lose": ("loses", "lost", "lost", "losing"),
    "make": ("makes", "made", "made", "making"),
    "pay": ("pays", "paid", "paid", "paying"),
    "meet": ("meets", "met", "met", "meeting"),
    "put": ("puts", "put", "put", "putting"),
    "read": ("reads", "read", "read", "reading"),
    "run": ("runs", "ran", "run", "running"),
    "say": ("says", "said", "said", "saying"),
    "send": ("sends", "sent", "sent", "sending"),
    "show": ("shows", "showed", "shown", "showing"),
    "shrink": ("shrinks", "shrank", "shrunk", "shrinking"),
    "speed": ("speeds", "sped", "sped", "speeding"),
    "spend": ("spends", "spent", "spent", "spending"),
    "take": ("takes", "took", "taken", "taking"),
    "tell": ("tells", "told", "told", "telling"),
    "undergo": ("undergoes", "underwent", "undergone", "undergoing"),
    "undertake": ("undertakes", "undertook", "undertaken", "undertaking"),
    "withdraw": ("withdraws", "withdrew", "withdrawn", "withdrawing"),
    "withhold": ("withholds", "withheld", "withheld", "withholding"),
}
_DOUBLED = ("ban", "defer", "drop", "incur", "permit", "regret", "remit", "stop", "submit", "transmit")


def verb_entries() -> Iterator[tuple[str, str]]:
    """Each form of each verb with the same form of its plain equivalents, parted by bars.

    Where a past and a participle are spelt the same, as nearly all verbs of officialese have it, the participle counts:
    officialese is fond of the passive.
    """
    for pair in re.split(r"[|\n]", VERBS.strip()):
        official, _, plain = (side.strip() for side in pair.partition("="))
        forms = zip(*(_forms(verb.strip()) for verb in plain.split("/")), strict=True)
        yield from dict(zip(_forms(official), map(" | ".join, forms), strict=True)).items()


def _forms(phrase: str) -> tuple[str, ...]:
    """Base, third person, past, participle and -ing form of a verb with whatever follows it."""
    verb, _, rest = phrase.partition(" ")
    forms = (verb, *_IRREGULAR[verb]) if verb in _IRREGULAR else (verb, *_regular(verb))
    return tuple(f"{form} {rest}".strip() for form in forms)


def _regular(verb: str) -> tuple[str, str, str, str]:
    third = f"{verb}es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else f"{verb}s"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies", f"{verb[:-1]}ied", f"{verb[:-1]}ied", f"{verb}ing"
    if verb.endswith("e"):
        return third, f"{verb}d", f"{verb}d", f"{verb[:-1]}ing"
    root = verb + verb[-1] if verb in _DOUBLED else verb
    return third, f"{root}ed", f"{root}ed", f"{root}ing"
