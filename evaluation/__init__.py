"""Measuring: win/tie/loss with intervals, and what texts look like as a whole. Knows records, not stores."""
