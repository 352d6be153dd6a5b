"""Arms of an experiment: what judges say of their outputs and what the texts are like, over inputs and seeds."""
