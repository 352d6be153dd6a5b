"""Examples become adapters, adapters answer: everything that touches the student's weights."""
