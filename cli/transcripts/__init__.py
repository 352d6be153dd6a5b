"""`openmic transcripts`: what was said, by whom, what came of it, and taking it elsewhere."""
