"""The two state machines, and what runs, resumes and draws them. The only room that knows all the others below it."""
