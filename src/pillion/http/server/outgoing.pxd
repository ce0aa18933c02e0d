# The C side of outgoing.py.

cimport cython

from pillion.http.codec.encode cimport encode_response_head

from .messages cimport Request, Response

@cython.locals(status=int)
cpdef bytes encode_head(Request request, Response response, long long length, bint keep, bytes date_line)
