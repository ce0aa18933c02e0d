# The C side of rate.py.

cimport cython

cdef double _TOLERANCE_S

cdef class Bucket:
    cdef double _full_s
    cdef double _interval_s
    cdef double _span_s
    cdef readonly long long refused

    @cython.locals(full_s=cython.double, wait_s=cython.double)
    cpdef double take(self, double now) except? -99

cdef class Buckets:
    cdef object _full_s
    cdef double _interval_s
    cdef Py_ssize_t _most
    cdef double _span_s
    cdef readonly long long dropped
    cdef readonly long long refused

    @cython.locals(full_s=cython.double, wait_s=cython.double, oldest_s=cython.double, refused=bint)
    cpdef double take(self, object key, double now) except? -99
