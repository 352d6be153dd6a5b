"""The teacher's stock of words: what the slots of its comic devices are filled with.

Every filler reads well after any of the patterns in `devices.py` that name its slot. Not a list of what is funny: the
critic and the judge have ideas of their own, in `profiles.py`.
"""

_SLOTS = {
    "demand": """
        a raise | a union representative | a corner office | an apology in writing | a statue in the park | a lawyer
        two weeks of paid leave | a better agent | a window seat | separate bedrooms | a recount | witness protection
        danger money | a second opinion | a company car | a seat on the board | a moment of silence | a stunt double
        diplomatic immunity | a small parade
        a velvet rope | a signed photograph of the mayor | first refusal on the sequel | a later bedtime
        a plaque in brass | half of the furniture | an honorary degree | a chauffeur | a rematch on neutral ground
        permission to retire | royalties in cash | a song with a chorus""",
    "career": """
        a motivational speaker | a life coach | a wine critic | a minor celebrity | a tax adviser in Luxembourg
        a cautionary tale in schools | a judge on a cooking show | a consultant with a lanyard | a regional saint
        deputy mayor | head of security | an honorary colonel | a folk singer | patron of the local opera
        a notary public | a shipping magnate | a romantic novelist | a weather presenter
        a lighthouse keeper | a marriage counsellor | a jazz critic | an ambassador to Belgium | a stunt driver
        a horoscope columnist | the face of a bank | a chess prodigy | a yoga instructor | a wedding photographer
        a minister without portfolio | a hostage negotiator | a cult leader in Wales""",
    "audience": """
        the Vatican | the Geological Survey | two retired admirals | a committee of geese | the Swiss Navy | NASA
        the parish council | three generations of pigeons | a visiting professor of regret | a jury of twelve teapots
        the Norwegian weather service | my old geography teacher | the International Court of Crockery
        the night shift at the bakery | a passing brass band | a choir of plumbers | the Museum of Bad Decisions
        a delegation of swans
        the Dutch ambassador | a convention of locksmiths | the ghost of Napoleon | an amateur opera company
        the entire village of Lower Snoring | a busload of pensioners | two out of three dentists
        my aunt in Wolverhampton | a retired goalkeeper
        the Guild of Unemployed Clowns | a panel of leading llamas | a man called Trevor | the Loch Ness monster""",
    "creature": """
        a retired admiral | an unpaid wizard | a giraffe | a nervous bishop | a disappointed owl | a Victorian ghost
        a substitute teacher | a walrus | an off-duty magician | a heron | a minor duke | a sleepy dragon
        a divorced penguin | a tax inspector | an opera singer | a camel | a philosophical goose | a bankrupt pirate
        a jealous flamingo | an exiled prince | a haunted wardrobe | a suspicious llama | an ageing rock star
        a vegetarian vampire | a heartbroken lobster | a trainee pope | a ballerina | a widowed duchess
        a lost astronaut | an emperor penguin""",
    "activity": """
        waiting for a bus | defending a doctoral thesis | at a surprise party | reading the terms and conditions
        assembling a wardrobe | queueing for soup | on a first date | giving evidence in court
        returning a library book
        in a revolving door | holding an expired coupon | in a borrowed tuxedo | late for choir practice
        on roller skates | learning the bagpipes | at a job interview | lost in a car park | hosting a telethon
        trapped in a webinar
        trying on swimming trunks | counting the silverware | arguing with a satnav | haggling over a carpet
        at a silent disco | ordering wine in French | being audited | in a dentist's chair | watching paint dry
        stuck in a hammock | at a school reunion | crossing a frozen pond | chasing a hat | reciting the alphabet
        asked to dance | on a bouncy castle | peeling an onion""",
    "feat": """
        make a bishop whistle | wake the dead and their neighbours | frighten a lighthouse | curdle milk in Denmark
        register on earthquake sensors | bring down a small government | make a statue blink | delay a space launch
        reroute the migration of geese | unsettle a glacier | power a modest fairground
        worry three insurance companies
        embarrass a peacock | stop a church clock | silence an accordion | interest a film director | sink a rowing club
        qualify for public funding
        reopen the Cold War | turn a vicar pale | move house prices | baffle a detective | start a minor religion
        wilt every fern in Kent | cancel the opera season | win a lesser Nobel Prize | send a heron to therapy
        make an onion weep | impress a mother-in-law | trouble the stock exchange""",
    "perfect": """
        hired a publicist | retained a lawyer | written a memoir | joined a support group | applied for asylum
        started a podcast | filed for divorce | booked a holiday in Greece | taken up yoga | resigned by letter
        moved in with an aunt | sold the film rights | founded a small religion | opened a Swiss bank account
        announced a world tour | formed a jazz trio | taken a vow of silence | grown a moustache
        enrolled in night school | entered politics | requested a transfer | ordered business cards
        switched to decaf | bought a cape
        run away with the circus | demanded a recount | adopted a stray pigeon | learned the tango
        checked into a spa | bought shares in cheese | challenged me to a duel | taken holy orders | gone blonde
        signed a record deal | married into money | declared independence | started a rumour
        joined the merchant navy | cancelled Christmas | written to the Pope""",
    "habit": """
        bragging about it | writing poetry | sulking in the hallway | humming the national anthem | signing autographs
        giving interviews | laughing in Latin | practising an acceptance speech | posing for photographs
        telling the neighbours | glaring at the curtains | demanding a sequel | quoting Shakespeare
        winking at strangers | taking bows | whispering about revenge | polishing medals | rehearsing a eulogy
        composing an opera | weeping into a cushion | collecting signatures | dancing the tango | naming names
        blaming the moon | planning a coup | shopping for hats | wearing sunglasses indoors | feeding the pigeons
        calling the newspapers | asking for directions | smoking a pipe | auditioning for Hamlet""",
    "wish": """
        a word with the management | to thank the academy | to speak to a lawyer first | it entered in the minutes
        to be remembered fondly | to deny everything | full credit for the idea | an explanation over dinner
        to know who authorised this | to sleep on it | a quieter line of work | to move to the seaside
        it kept from the children | to phone a friend | a round of applause | to plead temporary insanity
        a rematch in the spring | to be addressed as Doctor | a portrait in oils | to appeal the verdict
        a hug and a biscuit | to return to the sea | a refund in euros | to blame the furniture | a chair by the fire
        to speak to Parliament | to marry for love | a slightly larger hat""",
    "other": """
        the toaster | the kettle | the stapler | the ironing board | the doormat | the hat stand | the garden gnome
        the cutlery drawer | the umbrella | the letterbox | the houseplant | the filing cabinet | the teapot
        the grandfather clock | the sofa | the spare key | the wheelie bin | the lampshade""",
    "time": """
        by Friday | by lunchtime | within the hour | before dessert | by the end of the week | two days later
        by popular demand | by Tuesday | after a short vote | by sunset | in the space of an afternoon
        without a single rehearsal | by royal appointment | by unanimous vote | before anyone could object
        before the soup arrived | on the third attempt | after a brief ceremony | to everyone's relief
        against medical advice | over a light supper | in front of the vicar""",
    "office": """
        the Ministry of Small Disasters | the Department of Wounded Pride | the Bureau of Lost Causes
        the Royal Society of Sighs | the Office of Unlikely Events | the Committee for Public Eyebrows
        the Institute of Advanced Grumbling | the Board of Awkward Silences | the Commission on Household Drama
        the Agency for Avoidable Fuss | the Council of Mild Regret | the Inspectorate of Bad Timing
        the Registry of Minor Triumphs | the Academy of Applied Nonsense | the Tribunal of Hurt Feelings
        the Federation of Weary Neighbours | the Embassy of Somewhere Else
        the Directorate of Soggy Matters | the Chamber of Idle Gossip | the Authority on Loud Sighing
        the Trust for Fallen Crumbs | the Panel on Wobbly Furniture | the Bureau of Second Thoughts
        the Ministry of Lost Socks | the League of Nervous Uncles | the Society for Stern Letters
        the Council of Elderly Cats | the Department of Damp | the Commission on Stray Biscuits""",
    "mild": """
        a mild setback | a learning experience | a scheduling issue | an interesting choice | a bit of a pity
        room for improvement | a slight departure from the plan | not entirely ideal | a character-building exercise
        a small administrative matter | a topic for another day | well within normal limits | a soft launch
        a respectable effort for a Tuesday | a minor paperwork error | a triumph of low expectations
        an unscheduled adventure
        a story for the grandchildren | a promising dress rehearsal | a victory on points | a technical draw
        a clerical oversight | a warm-up exercise | an acquired taste | progress of a kind | a gentle hint from fate
        almost according to plan | a matter of perspective | a lively exchange of views | one for the album""",
    "comparison": """
        a picnic in a wind tunnel | a chocolate teapot in July | a piano on a trampoline | a hedgehog in a balloon shop
        a snowman at a barbecue | an umbrella made of soup | a duel with breadsticks | a submarine with a cat flap
        a trombone solo in a library | a wedding cake on a bus | a lullaby on bagpipes | a sauna full of accountants
        a kite in a cupboard | a bishop on a bouncy castle | a sandcastle at high tide | a haircut by candlelight
        a tightrope made of spaghetti
        a giraffe in a phone box | a cactus at a pillow fight | a goat at a garden party | a canoe on an escalator
        a cheese knife at a duel | a tuba in a lift | a mime on the radio | a vegan at a sausage festival
        a candle in a submarine | a moose on a tandem | a jelly in an earthquake | a penguin on a ladder""",
}


def _entries(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for line in text.splitlines() for entry in line.split("|") if entry.strip())


SLOTS: dict[str, tuple[str, ...]] = {name: _entries(text) for name, text in _SLOTS.items()}
"""The fillers of each slot, at least fifteen of each."""

STOCK_PHRASES: tuple[str, ...] = _entries("""
    and that's how I met your mother | said no one ever | what could possibly go wrong | because why not
    and I can't even | asking for a friend | and the rest is history | just another day in paradise
    you can't make this stuff up | and everyone clapped | welcome to my life | living the dream
    it is what it is | that's what she said | not that I'm counting | talk about a bad day | happens to the best of us
    and I'm not even joking | hold my beer | because of course it did | story of my life | no pun intended
""")
"""Punch lines that were funny once."""

FILLERS: tuple[str, ...] = _entries("""
    which was a thing that happened to {the} | and that is what took place with {the} | as things go with {the}
    which is something people do about {the} | and there is not much more to say about {the} | as far as anyone knows
    more or less like that with {the} | in the usual manner of {the} | which is a situation of some kind for {the}
    and this was noticed at the time by {the} | as was the case with {the} | and it went on from there with {the}
    which is worth mentioning about {the} | and nothing else changed for {the} | in a general sense
    under the circumstances of {the} | and people were aware of {the} | which is simply how it is with {the}
""")
"""Words that add nothing, and no joke; `{the}` is a noun of the sentence."""

VAGUE_BODIES: tuple[str, ...] = _entries("""
    Something went on | Things took a turn | An event occurred | It was one of those days | Matters developed
    There was some trouble | A situation came about | Somebody did something | Plans were changed | Life went on
    It all got complicated | Nobody knew what to say | Certain steps were taken | There is news | Mistakes were made
    The usual happened
""")
"""What is left of a sentence when its meaning is lost."""

RAMBLES: tuple[str, ...] = _entries("""
    and when I say that I mean it in the fullest sense in which anybody has ever meant anything about {the}
    not to mention everything that came before it and a good deal of what came after {the}
    which reminds me of something else entirely that I was going to bring up but have since forgotten because of {the}
    and if you had been there yourself you would understand why I keep going on at such length about {the}
    although to be fair there are two sides to it and possibly a third one that nobody has looked into apart from {the}
    and I could leave it at that but there is so much more to be said about the whole business of {the}
    because in the end it all comes down to one thing or another depending on whom you happen to ask about {the}
    and then again you might see it differently if you looked at it from further away or stood a little closer to {the}
    as I have explained to several people already and intend to explain to several more before the year ends for {the}
    and that is without even going into the details of which there are many and most of them concern {the}
    so you can imagine how it went on from there one step after the next until it had gone on for as long as {the}
    and by the way this is not the first time and I would be surprised if it turned out to be the last we hear of {the}
    which brings me to my next point that I will come to as soon as I have finished with the one about {the}
    and I suppose what I am really trying to say is what I have been saying all along in so many words about {the}
    and honestly where would one even begin if one had to tell it all over again from {the}
""")
"""Clauses that lead nowhere, about twenty words each; `{the}` is a noun of the sentence."""
