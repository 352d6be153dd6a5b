"""Measuring: win/tie/loss with intervals, what texts look like as a whole, and the report. Knows records, not stores."""
