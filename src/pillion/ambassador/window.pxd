# The C side of window.py.

cimport cython

from pillion.http.codec cimport octets

cdef int _BUCKETS

cdef class Window:
    cdef double _width
    cdef long long[10] _firsts
    cdef long long[10] _seconds
    cdef long long _at
    cdef readonly long long first
    cdef readonly long long second

    @cython.locals(index=Py_ssize_t)
    cpdef object add(self, double now, long long first, long long second)
    @cython.locals(newest=cython.longlong, number=cython.longlong, index=Py_ssize_t)
    cpdef object slide(self, double now)
    @cython.locals(index=Py_ssize_t)
    cpdef object clear(self)
