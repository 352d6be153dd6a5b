"""What everything in this room works with: models, store, student, trainer and progress of one run."""
