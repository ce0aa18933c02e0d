# The C side of config.py.

cimport cython

from pillion.http.codec.events cimport Headers
from pillion.http.server.messages cimport Request, Response

cdef bytes _usual_accept

@cython.locals(headers=Headers, accept=bytes, known=bytes, effective=dict)
cpdef object get_value(object context, Request request, tuple values)

cdef bint _asks_no_stream(bytes accept) except -1
