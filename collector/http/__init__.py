"""What the collector says and takes over HTTP.

For every gateway: `vitals.py` knows figures and probes, `plain/` serves them. For one with `http:`:
`site.py` puts the station over HTTP together, `app.py` has its endpoints, `ingest/` takes records,
`page/` shows the line, `document/` describes it all, `serving/` is the server.
"""

from collector.http.plain.server import Server
from collector.http.vitals import Answer, Vitals, VitalSigns

__all__ = ["Answer", "Server", "VitalSigns", "Vitals"]
