"""The small server for figures and probes: of the standard library, since every gateway has it.

`server.py` serves within limits, `places.py` gives each connection its place, `request.py` reads
one request and says who may ask.
"""
