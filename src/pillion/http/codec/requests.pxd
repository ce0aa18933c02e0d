# The C side of requests.py.

cimport cython

from .events cimport Headers, RequestHead, request_head
from .framing cimport body_length, check_host, check_target, keep_alive, refuse_repeats
from .head cimport Shape, read_fields, read_request_line, request_head_by_byte
from .reader cimport MessageReader

cdef Shape _shape
cdef int EXPECT, HOST, UPGRADE

cdef class RequestParser(MessageReader):
    cdef bytes _host
    @cython.locals(found=Headers, origin=bint, end=Py_ssize_t, first=Py_ssize_t, headers=Headers,
                   host=bytes, authority=bytes, upgrade=bytes, expect=bytes, length=cython.longlong, method=str,
                   target=str, minor=int)
    cdef object _read_head(self)
    @cython.locals(line_end=Py_ssize_t)
    cdef object _check_unfinished(self)
