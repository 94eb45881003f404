"""Records over HTTP: an intake of its own around the same append.

`endpoint.py` answers a request, `intake.py` is the loop that stores many by one commit. A request
is a `Submission`; `requests.py` maps those of a commit, `part.py` is one of them among the batches,
`target.py` the station that it is for. `answers.py` knows requests that come again.
"""
