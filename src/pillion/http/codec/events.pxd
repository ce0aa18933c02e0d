# The C side of events.py: fields become struct members, the source stays plain Python.

cimport cython

from .block cimport Block
from .names cimport Field, field_of

ctypedef const unsigned char* octet_p
ctypedef unsigned int* spans_p

cdef bint COMPILED

cdef class Headers:
    cdef bytes _data
    cdef dict _index
    cdef unsigned int[64] _spans
    cdef list _values
    cdef readonly Py_ssize_t end
    cdef readonly list fields
    cdef readonly unsigned long long seen
    cdef readonly unsigned long long twice
    @cython.locals(spans=spans_p, octets=octet_p)
    cpdef bytes value(self, Py_ssize_t at)
    @cython.locals(spans=spans_p, field=Field)
    cpdef object write(self, Block block, Py_ssize_t at)
    @cython.locals(fields=list, field=Field, at=Py_ssize_t)
    cpdef bytes known(self, int number)
    @cython.locals(index=dict)
    cpdef bytes get(self, bytes name)
    @cython.locals(fields=list, field=Field, at=Py_ssize_t, value=bytes, before=bytes, index=dict)
    cdef dict _make_index(self)
    cpdef list get_all(self, bytes name)

@cython.locals(headers=Headers)
cpdef Headers headers_of(list fields, list values, unsigned long long seen, unsigned long long twice)
@cython.locals(headers=Headers)
cpdef Headers headers_within(bytes data)

cdef class RequestHead:
    cdef readonly str method
    cdef readonly str target
    cdef readonly int minor
    cdef readonly Headers headers
    cdef readonly long long length
    cdef readonly bint keep_alive
    cdef readonly bytes authority
    cdef readonly bytes upgrade
    cdef readonly bytes expect

@cython.locals(head=RequestHead)
cpdef RequestHead request_head(str method, str target, int minor, Headers headers, long long length, bint keep_alive,
                              bytes authority, bytes upgrade, bytes expect)

cdef class ResponseHead:
    cdef readonly int status
    cdef readonly bytes reason
    cdef readonly int minor
    cdef readonly Headers headers
    cdef readonly long long length
    cdef readonly bint keep_alive
    cdef readonly bint informational
    cdef readonly bint tunnel

@cython.locals(head=ResponseHead)
cpdef ResponseHead response_head(int status, bytes reason, int minor, Headers headers, long long length, bint keep_alive,
                                bint informational, bint tunnel)

cdef class End:
    cdef readonly Headers trailers

cdef class Signal:
    cdef readonly str name
