# The C side of budget.py.

cimport cython

from .window cimport Window

cdef double _SPAN_S

cdef class Budget:
    cdef Window _window
    cdef double _ratio
    cdef double _floor
    cdef readonly long long granted
    cdef readonly long long refused

    cpdef object request(self, double now)
    @cython.locals(window=Window)
    cpdef bint take(self, double now) except -1
