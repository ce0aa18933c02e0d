# The C side of route_match.py.

cimport cython

from pillion.http.codec.events cimport Headers

cdef class PathPattern:
    cdef object _regex
    cdef readonly int kind
    cdef readonly tuple names
    cdef readonly bint open_end
    cdef readonly str segment
    cdef readonly str text

    cpdef dict match(self, str path)
    cpdef bint fits(self, str path) except -1
    cpdef str rest(self, str path)

cdef class Conditions:
    cdef frozenset _methods
    cdef tuple _headers
    cdef tuple _query
    cdef readonly bint trivial

    @cython.locals(name=bytes, wanted=bytes, value=bytes)
    cpdef bint hold(self, str method, Headers headers, str query) except -1
    cdef bint _query_holds(self, str query) except -1

@cython.locals(host=str)
cpdef str host_without_port(str authority)
