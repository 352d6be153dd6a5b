"""Files and folders of our own: who may read them, and how long they stay."""
