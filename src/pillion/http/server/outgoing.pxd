# The C side of outgoing.py.

cimport cython

from .messages cimport Request, Response

@cython.locals(status=int)
cpdef bytes encode_head(Request request, Response response, long long length, bint keep, bytes date_line)
