# The C side of parser.py.

cimport cython

from .events cimport Headers, RequestHead, ResponseHead
from .framing cimport body_length, check_host, check_target, keep_alive, refuse_repeats
from .head cimport parse_request_line, read_fields

cdef class _Parser:
    cdef object _limits
    cdef bytes _data
    cdef Py_ssize_t _pos
    cdef bytearray _pending
    cdef Py_ssize_t _seen
    cdef int _state
    cdef long long _left
    cdef long long _room
    cdef Py_ssize_t _extension_bytes
    cdef bint _eof
    cdef object _error

    cpdef object receive(self, bytes data)
    cdef object _merge(self)
    cdef object _fail(self, object error)
    cdef Py_ssize_t _section(self, bytes terminator) except -2
    cdef object _begin_body(self, long long length)
    @cython.locals(available=Py_ssize_t, data=bytes)
    cdef object _next_body(self)
    cdef object _starved(self)
    @cython.locals(allowed=Py_ssize_t, end=Py_ssize_t, size=cython.longlong, rest=bytes)
    cdef bint _read_chunk_line(self) except -1
    cdef object _check_chunk_start(self, bytes rest)
    @cython.locals(end=Py_ssize_t, size=Py_ssize_t, trailers=Headers)
    cdef object _read_trailers(self)
    @cython.locals(data=bytes)
    cdef object _read_until_eof(self)
    cdef object _check_first_byte(self)

cdef class RequestParser(_Parser):
    cdef bytes _host
    cpdef object next_event(self)
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, first=Py_ssize_t, headers=Headers,
                   host=bytes, authority=bytes, upgrade=bytes, expect=bytes, length=cython.longlong, method=str,
                   target=str, minor=int)
    cdef object _read_head(self)
    @cython.locals(line_end=Py_ssize_t)
    cdef object _check_unfinished(self)

cdef class ResponseParser(_Parser):
    cdef bint _allow_close
    cdef str _method
    cdef bint _upgrade
    cpdef object next_event(self)
    @cython.locals(start=Py_ssize_t, end=Py_ssize_t, first=Py_ssize_t, headers=Headers, status=int, minor=int)
    cdef object _read_head(self)
