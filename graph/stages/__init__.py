"""The campaign's steps, one file each. Each finds in the store what is done already, and does the rest."""
