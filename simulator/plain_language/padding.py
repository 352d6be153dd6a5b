"""What bad plain versions are padded with: ways of talking down to readers, and explanations that nobody asked for."""

PATRONISING = (
    "Don't worry, this is very easy to understand:",
    "In words of one syllable:",
    "Let me make this nice and simple for you:",
    "Even a child could follow this:",
    "Now listen carefully, dear reader:",
    "You may find this hard, so go slowly:",
    "Here it is for beginners:",
    "Put on your thinking cap:",
    "Simply put, and it really is not difficult:",
    "Take a deep breath, you can do this:",
)
"""Openings that talk down."""

PATRONISING_CLOSINGS = (
    "See, that was not so hard, was it?",
    "There, even you can manage that.",
    "Well done for reading this far!",
    "Isn't that simple?",
    "Ask a grown-up if you are still lost.",
    "Easy peasy!",
    "You clever thing!",
    "It is not rocket science.",
)
"""Closings that talk down."""

EXPLANATIONS = (
    "What this means in practice is that somebody has thought about the matter and has come to this view.",
    "Rules like this one are made so that everybody knows where they stand and nobody is surprised later.",
    "It may help to read the whole thing twice and to talk it over with a friend or a neighbour.",
    "There is a long history behind all this, and many offices do it in much the same way.",
    "Some readers will find that it has nothing to do with them, while others will find that it does.",
    "The words above say what was said before in other words, which mean the same thing in the end.",
    "If you think about it for a while you will see why it was written down in the first place.",
    "Most people never look at letters like this one, which is a pity, because they are often useful.",
    "As with so many things in life, it is better to know about it early than to hear about it late.",
    "This explanation is here to explain, and we hope that it has made things clearer than they were.",
)
"""Sentences that say nothing of the notice."""
