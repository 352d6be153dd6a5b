"""Web pages over the transcript store: what was said, by whom, and what was learned from it.

Pages are read-only but for what people say about transcripts (annotations). No request leaves the machine.
"""
