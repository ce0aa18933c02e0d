# The C side of wall.py.

cimport cython

from pillion.http.codec cimport octets
from pillion.http.codec.block cimport Block

cdef double _BASE_S
cdef long long _SECOND_NS

cdef class WallClock:
    cdef object _wall_ns
    cdef object _monotonic_ns
    cdef long long _base_ns
    cdef double _read_s
    cdef long long _second
    cdef bytes _text

    @cython.locals(since_s=cython.double, now_ns=cython.longlong)
    cpdef long long at(self, double moment_s) except? -1

    @cython.locals(block=Block)
    cpdef str text(self, long long time_ns)

    @cython.locals(second=cython.longlong)
    cpdef object write(self, Block block, long long time_ns)
