"""The commands that hand a student on: `openmic model` and `openmic serve`."""
