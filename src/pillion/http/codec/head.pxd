# The C side of head.py.

cimport cython

from .events cimport Headers

ctypedef const unsigned char* octet_p

cdef dict _known
cdef Py_ssize_t _SHAPE_FIELDS, _SHAPE_BYTES
cdef bytes _token_table
cdef bytes _text_table
cdef bytes _visible_table
cdef dict _methods

cpdef Headers read_fields(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count, list shape=*)

@cython.locals(octets=octet_p, token=octet_p, text=octet_p, count=Py_ssize_t, at=Py_ssize_t, first=Py_ssize_t,
               last=Py_ssize_t, name=bytes, low=bytes, value=bytes, index=dict, usual=octet_p, size=Py_ssize_t, place=Py_ssize_t)
cpdef Headers read_by_byte(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count, list shape=*)

@cython.locals(lines=list, items=list, line=bytes, name=bytes, colon=bytes, value=bytes, low=bytes)
cpdef Headers read_by_line(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

cpdef tuple read_request_line(bytes data, Py_ssize_t start, object limits)

@cython.locals(octets=octet_p, token=octet_p, visible=octet_p, at=Py_ssize_t, first=Py_ssize_t, method=bytes, name=str, target=bytes)
cpdef tuple request_line_by_byte(bytes data, Py_ssize_t start, Py_ssize_t target_bytes)

cdef bint _ends_in_version(octet_p octets, Py_ssize_t at) noexcept

cpdef tuple read_status_line(bytes data, Py_ssize_t start)

@cython.locals(octets=octet_p, text=octet_p, at=Py_ssize_t, first=Py_ssize_t, status=int, minor=int, reason=bytes)
cpdef tuple status_line_by_byte(bytes data, Py_ssize_t start)

@cython.locals(parts=list, method=bytes, target=bytes, version=bytes, name=str, minor=int)
cpdef tuple parse_request_line(bytes line, object limits)
