# The C side of events.py: fields become struct members, the source stays plain Python.

cimport cython

from .names cimport Field, field_of

cdef class Headers:
    cdef dict _index
    cdef readonly list fields
    cdef readonly list values
    cdef readonly unsigned long long seen
    cdef readonly unsigned long long twice
    @cython.locals(fields=list, field=Field, at=Py_ssize_t)
    cpdef bytes known(self, int number)
    @cython.locals(index=dict)
    cpdef bytes get(self, bytes name)
    @cython.locals(fields=list, values=list, field=Field, at=Py_ssize_t, name=bytes, value=bytes, before=bytes, index=dict)
    cdef dict _make_index(self)
    cpdef list get_all(self, bytes name)

@cython.locals(headers=Headers)
cpdef Headers headers_of(list fields, list values, unsigned long long seen, unsigned long long twice)

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

cdef class ResponseHead:
    cdef readonly int status
    cdef readonly bytes reason
    cdef readonly int minor
    cdef readonly Headers headers
    cdef readonly long long length
    cdef readonly bint keep_alive
    cdef readonly bint informational
    cdef readonly bint tunnel

cdef class End:
    cdef readonly Headers trailers

cdef class Signal:
    cdef readonly str name
