# The C side of head.py.

cimport cython

from . cimport octets
from .events cimport Headers, headers_of, headers_within
from .names cimport Field, field_of

ctypedef const unsigned char* octet_p
ctypedef unsigned int* spans_p

cdef dict _fields
cdef unsigned long long _one
cdef int MASKED
cdef Py_ssize_t SPANS, SPANNED_BYTES
cdef Py_ssize_t _SHAPE_FIELDS, _SHAPE_BYTES
cdef bytes _token_table
cdef bytes _text_table
cdef bytes _visible_table, _path_table, _query_table
cdef dict _methods

cdef class Shape:
    cdef readonly list names
    cdef readonly list fields
    cdef readonly str method
    cdef readonly bytes spelled
    cdef readonly bytes target
    cdef readonly bint origin
    cdef readonly int minor
    cdef readonly int status
    cdef readonly bytes reason

@cython.locals(found=Headers)
cpdef Headers read_fields(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

@cython.locals(octs=octet_p, token=octet_p, text=octet_p, names=list, usuals=list, spelled=list, count=Py_ssize_t, known=Py_ssize_t,
               at=Py_ssize_t, end=Py_ssize_t, first=Py_ssize_t, last=Py_ssize_t, size=Py_ssize_t, name=bytes, fields=list, values=list,
               field=Field, number=int, seen=cython.ulonglong, twice=cython.ulonglong, headers=Headers, spans=spans_p)
cpdef Headers fields_by_byte(bytes data, Py_ssize_t start, Py_ssize_t max_count, Shape shape)
cdef list _so_far(Headers headers, Py_ssize_t count)
@cython.locals(fit=Py_ssize_t, name=bytes)
cdef object _keep(Shape shape, list spelled, list fields)

@cython.locals(lines=list, line=bytes, name=bytes, colon=bytes, value=bytes, fields=list, values=list, field=Field, number=int,
               seen=cython.ulonglong, twice=cython.ulonglong)
cpdef Headers read_by_line(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

cpdef tuple read_request_line(bytes data, Py_ssize_t start, object limits)

@cython.locals(octs=octet_p, token=octet_p, visible=octet_p, path=octet_p, query=octet_p, at=Py_ssize_t, first=Py_ssize_t, size=Py_ssize_t,
               spelled=bytes, method=bytes, name=str)
cpdef Py_ssize_t request_line_by_byte(bytes data, Py_ssize_t start, Py_ssize_t target_bytes, Shape shape) except -2

@cython.locals(first=Py_ssize_t)
cpdef Headers request_head_by_byte(bytes data, Py_ssize_t start, Py_ssize_t target_bytes, Py_ssize_t header_bytes, Py_ssize_t header_count,
                                   Shape shape)

@cython.locals(first=Py_ssize_t)
cpdef Headers answer_head_by_byte(bytes data, Py_ssize_t start, Py_ssize_t header_bytes, Py_ssize_t header_count, Shape shape)

@cython.locals(octs=octet_p)
cdef Headers _whole(bytes data, Py_ssize_t first, Py_ssize_t header_bytes, Headers headers)

cdef bint _ends_in_version(octet_p octs, Py_ssize_t at) noexcept

cpdef tuple read_status_line(bytes data, Py_ssize_t start)

@cython.locals(octs=octet_p, text=octet_p, at=Py_ssize_t, first=Py_ssize_t, reason=bytes)
cpdef Py_ssize_t status_line_by_byte(bytes data, Py_ssize_t start, Shape shape) except -2

@cython.locals(parts=list, method=bytes, target=bytes, version=bytes, name=str, minor=int)
cpdef tuple parse_request_line(bytes line, object limits)
