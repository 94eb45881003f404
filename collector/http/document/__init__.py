"""The OpenAPI document of the station over HTTP.

`openapi.py` puts it together, `shapes.py` describes what a station takes, and `stepped.py` what
stands in a payload for a column whose value takes steps.
"""
