# The C side of head.py.

cimport cython

from .events cimport Headers

ctypedef const unsigned char* octet_p

cdef dict _known
cdef bytes _token_table
cdef bytes _text_table

cpdef Headers read_fields(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

@cython.locals(octets=octet_p, token=octet_p, text=octet_p, count=Py_ssize_t, at=Py_ssize_t, first=Py_ssize_t,
               last=Py_ssize_t, name=bytes, low=bytes, value=bytes, index=dict)
cpdef Headers read_by_byte(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

@cython.locals(lines=list, items=list, line=bytes, name=bytes, colon=bytes, value=bytes, low=bytes)
cpdef Headers read_by_line(bytes data, Py_ssize_t start, Py_ssize_t end, Py_ssize_t max_count)

@cython.locals(parts=list, method=bytes, target=bytes, version=bytes, name=str, minor=int)
cpdef tuple parse_request_line(bytes line, object limits)
