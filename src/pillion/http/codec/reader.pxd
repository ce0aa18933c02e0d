# The C side of reader.py.

cimport cython

from .events cimport Headers
from .head cimport read_fields

cdef int _HEAD, _LENGTH, _CHUNK, _CHUNK_DATA, _CHUNK_END, _TRAILERS, _UNTIL_EOF, _END, _PAUSED, _TUNNEL, _FAILED, _CLOSED

cdef class MessageReader:
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
    cdef Py_ssize_t _target_bytes
    cdef Py_ssize_t _header_bytes
    cdef Py_ssize_t _header_count
    cdef object _error

    cpdef object receive(self, bytes data)
    cpdef Py_ssize_t unread(self) except -1
    cpdef object next_message(self)
    cpdef object next_event(self)
    cdef object _read_head(self)
    cdef bint _complete(self)
    cdef object _begin_tunnel(self)
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
