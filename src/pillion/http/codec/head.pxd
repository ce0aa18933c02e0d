# The C side of head.py.

cimport cython

from .events cimport Headers, headers_of
from .names cimport Field, field_of

ctypedef const unsigned char* octet_p

cdef dict _fields
cdef unsigned long long _one
cdef int MASKED
cdef Py_ssize_t _SHAPE_FIELDS, _SHAPE_BYTES
cdef bytes _token_table
cdef bytes _text_table
cdef bytes _visible_table
cdef dict _methods

cdef class Shape:
    cdef readonly list names
    cdef readonly list fields

cpdef Headers read_fields(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

@cython.locals(octets=octet_p, token=octet_p, text=octet_p, usual=octet_p, names=list, usuals=list, count=Py_ssize_t, at=Py_ssize_t,
               first=Py_ssize_t, last=Py_ssize_t, size=Py_ssize_t, along=Py_ssize_t, name=bytes, fields=list,
               values=list, field=Field, number=int, seen=cython.ulonglong, twice=cython.ulonglong)
cpdef tuple fields_by_byte(bytes data, Py_ssize_t start, Py_ssize_t max_count, Shape shape)

@cython.locals(lines=list, line=bytes, name=bytes, colon=bytes, value=bytes, fields=list, values=list, field=Field, number=int,
               seen=cython.ulonglong, twice=cython.ulonglong)
cpdef Headers read_by_line(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

cpdef tuple read_request_line(bytes data, Py_ssize_t start, object limits)

@cython.locals(octets=octet_p, token=octet_p, visible=octet_p, at=Py_ssize_t, first=Py_ssize_t, method=bytes, name=str, target=bytes)
cpdef tuple request_line_by_byte(bytes data, Py_ssize_t start, Py_ssize_t target_bytes)

@cython.locals(line=tuple, block=tuple, first=Py_ssize_t, end=Py_ssize_t, octets=octet_p)
cpdef tuple request_head_by_byte(bytes data, Py_ssize_t start, object limits, Shape shape)

@cython.locals(line=tuple, block=tuple, first=Py_ssize_t, end=Py_ssize_t, octets=octet_p)
cpdef tuple answer_head_by_byte(bytes data, Py_ssize_t start, object limits, Shape shape)

cdef bint _ends_in_version(octet_p octets, Py_ssize_t at) noexcept

cpdef tuple read_status_line(bytes data, Py_ssize_t start)

@cython.locals(octets=octet_p, text=octet_p, at=Py_ssize_t, first=Py_ssize_t, status=int, minor=int, reason=bytes)
cpdef tuple status_line_by_byte(bytes data, Py_ssize_t start)

@cython.locals(parts=list, method=bytes, target=bytes, version=bytes, name=str, minor=int)
cpdef tuple parse_request_line(bytes line, object limits)
