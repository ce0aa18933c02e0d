# The C side of metrics.py.

cimport cython

from .facts cimport Facts

cdef Py_ssize_t _MOST_REASONS
cdef int _NONE, _TCP
cdef Py_ssize_t _BOUNDS
cdef double[15] _bounds_s

@cython.locals(at=Py_ssize_t)
cpdef Py_ssize_t bucket_of(double seconds) except -1

cdef class Series:
    cdef readonly str direction
    cdef readonly str route
    cdef readonly str upstream
    cdef readonly str facts_route
    cdef readonly str facts_upstream
    cdef long long[7] classes
    cdef long long[16] total
    cdef long long[16] first
    cdef readonly double total_s
    cdef readonly double first_s
    cdef readonly long long bytes_in
    cdef readonly long long bytes_out
    cdef readonly long long retries
    cdef readonly dict reasons

cdef class Red:
    cdef dict _series
    cdef Series _last
    cdef public bint changed
    cdef public long long overflow

    @cython.locals(series=Series, status=int, kind=int, total_s=cython.double, first_s=cython.double)
    cpdef object observe(self, Facts facts)
    @cython.locals(one=Series)
    cpdef object report(self)
    @cython.locals(series=Series)
    cdef Series _begin(self, str direction, str route, str upstream)
    cdef object _explain(self, dict reasons, str reason)
