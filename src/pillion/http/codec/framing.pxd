# The C side of framing.py.

cimport cython

from .events cimport Headers

ctypedef const unsigned char* octet_p

cdef int CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING
cdef unsigned long long FRAMING
cdef bytes _path_table, _query_table

cpdef object refuse_repeats(Headers headers)
@cython.locals(octets=octet_p, size=Py_ssize_t, at=Py_ssize_t, digit=int, number=cython.longlong)
cpdef long long content_length(bytes value) except? -99
@cython.locals(length=bytes, coding=bytes)
cpdef long long body_length(Headers headers, int minor, long long absent) except? -99
cpdef long long response_length(int status, str method, Headers headers, int minor, bint allow_close) except? -99
@cython.locals(value=bytes)
cpdef bint keep_alive(Headers headers, int minor) except -1
cpdef object check_host(bytes value)
cpdef bytes check_target(str method, str target, bytes host)
cpdef bint is_origin(bytes raw) except -1

@cython.locals(octets=octet_p, path=octet_p, query=octet_p, at=Py_ssize_t, size=Py_ssize_t)
cpdef bint origin_by_byte(bytes raw) except -1
