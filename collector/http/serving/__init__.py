"""The server of the station over HTTP: who is let in, who may ask, and how much.

`web.py` is its thread and its loop, `door.py` lets clients in, `connections.py` knows the stage of
each and who makes room, `connection.py` is one of them: the only file that knows uvicorn.
`guard.py` asks for the token, `body.py` reads bodies within limits, `counts.py` counts.
"""
