# The C side of wall.py.

cimport cython

cdef double _BASE_S
cdef long long _SECOND_NS
cdef tuple THOUSANDS

cdef class WallClock:
    cdef object _wall_ns
    cdef object _monotonic_ns
    cdef long long _base_ns
    cdef double _read_s
    cdef long long _second
    cdef str _text

    @cython.locals(since_s=cython.double, now_ns=cython.longlong)
    cpdef long long at(self, double moment_s) except? -1

    @cython.locals(second=cython.longlong, micros=cython.longlong)
    cpdef str text(self, long long time_ns)
