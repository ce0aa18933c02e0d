# The C side of requests.py.

cimport cython

from .events cimport Headers, RequestHead
from .framing cimport body_length, check_host, check_target, keep_alive, refuse_repeats
from .head cimport read_fields, read_request_line
from .reader cimport MessageReader

cdef list _shape

cdef class RequestParser(MessageReader):
    cdef bytes _host
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, first=Py_ssize_t, headers=Headers,
                   host=bytes, authority=bytes, upgrade=bytes, expect=bytes, length=cython.longlong, method=str,
                   target=str, minor=int)
    cdef object _read_head(self)
    @cython.locals(line_end=Py_ssize_t)
    cdef object _check_unfinished(self)
