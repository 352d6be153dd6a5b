"""Teacher, critic, judge and student as agents: their prompts, and their client."""
