"""HTTP/1.1: one strict codec without I/O, a server, two clients.

Nothing is imported here on purpose: the command line needs `http.blocking` without paying for
asyncio, and the shipper needs the client without the server.
"""
