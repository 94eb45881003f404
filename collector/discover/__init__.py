"""From what a broker delivers to stations and tables for review: guesses, each with its evidence.

`heard.py` keeps what came, within limits; `forms.py` says what a payload is by its structure;
`grouping.py` makes filters of topics; `tree.py`, `scalars.py`, `layout.py` and `drafts.py` make
columns of values; `writing.py` and what it uses make files; `proof.py` maps what was heard by
what was written, and what does not fit is weakened. Nothing here connects to anything.
"""
