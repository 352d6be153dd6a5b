"""Teacher, critic, judge and student as agents: their prompts, their client, and the simulated cast."""
