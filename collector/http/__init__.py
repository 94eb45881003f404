"""What the collector says over HTTP: figures for Prometheus, and answers to probes.

`vitals.py` knows what stands at each path, whoever serves it; `server.py` serves that alone, within
limits; `places.py` gives each connection its place, `request.py` reads one request and says who may
ask.
"""

from collector.http.server import Server
from collector.http.vitals import Answer, Vitals, VitalSigns

__all__ = ["Answer", "Server", "VitalSigns", "Vitals"]
