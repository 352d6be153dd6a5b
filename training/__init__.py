"""Transcripts become examples, examples become adapters, adapters answer: everything that touches the student's weights."""
