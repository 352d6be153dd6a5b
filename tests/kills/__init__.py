"""Killing a campaign's processes at random moments, and holding what is left to what was promised."""
