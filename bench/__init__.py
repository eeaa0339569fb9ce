"""This project beside its peers, in one table: ``python -m bench``. How to read it: README.md in this folder."""
