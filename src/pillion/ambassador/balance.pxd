# The C side of balance.py.

cimport cython

from .endpoint cimport Endpoint

cdef long long _CYCLE, _GOLDEN, _PHASES, _RING, _NUMBER
cdef double _LEAST_RAMP
cdef int _POINTS, _PROBES, _WALK, _MOST_RING_WEIGHT, _NUMBER_BITS, _TOP, _HEAP_BITS, _HEAP_SHIFT, _POINTS_IN_A_ROW
cdef unsigned long long _MIX_A, _MIX_B, _STEP, _WORD

@cython.locals(age_s=cython.double)
cpdef double ramp(double now, double born_s, double slow_start_s) except? -99

cdef unsigned long long _mix(unsigned long long word) except? 99

cdef class Shares:
    cdef Py_ssize_t _count
    cdef list _keep
    cdef list _other

    @cython.locals(scaled=cython.double, keep=cython.double, index=Py_ssize_t)
    cpdef Py_ssize_t draw(self, double random) except? -99

cdef class Turns:
    cdef list _heap
    cdef long long _now
    cdef long long _start

    @cython.locals(stride=cython.longlong, phase=cython.longlong)
    cpdef object add(self, Endpoint endpoint)
    @cython.locals(heap=list, endpoint=Endpoint, stride=cython.longlong, part=cython.double)
    cpdef Endpoint next(self, int place, double now, double slow_start_s)
    cpdef object clear(self)

cdef class Ring:
    cdef list _endpoints
    cdef readonly list points
    cdef readonly list signature

    @cython.locals(points=list, count=Py_ssize_t, index=Py_ssize_t, at=cython.longlong, point=cython.longlong,
                   best=cython.longlong, distance=cython.longlong, nearest=cython.longlong,
                   word=cython.ulonglong, step=cython.ulonglong)
    cpdef Endpoint owner(self, object key)
    @cython.locals(points=list, count=Py_ssize_t, index=Py_ssize_t, at=cython.longlong, point=cython.longlong,
                   distance=cython.longlong, nearest=cython.longlong, word=cython.ulonglong,
                   step=cython.ulonglong, best=Endpoint, endpoint=Endpoint)
    cpdef Endpoint owner_in(self, object key, long long places, list tried, double now)
