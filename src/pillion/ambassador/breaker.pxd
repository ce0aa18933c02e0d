# The C side of breaker.py.

cimport cython

from .window cimport Window

cdef int _CLOSED, _OPEN, _HALF_OPEN, _NO_TOKEN
cdef double _NEVER, _SOON_S

cdef class Breaker:
    cdef object _permit
    cdef object _changed
    cdef public object freed
    cdef public object owner
    cdef readonly long long opened
    cdef readonly long long held
    cdef int _state
    cdef bint _forced
    cdef long long _generation
    cdef long long _row
    cdef double _until
    cdef double _level_s
    cdef long long _taken
    cdef long long _passed
    cdef Window _window
    cdef double _window_s
    cdef long long _consecutive
    cdef double _ratio
    cdef long long _requests
    cdef double _open_s
    cdef double _open_max_s
    cdef long long _trials

    cpdef bint admits(self, double now) except -1
    cpdef long long begin(self, double now) except? -99
    cpdef object end(self, long long token, bint ok, double now)
    @cython.locals(full=bint)
    cpdef object cancel(self, long long token, double now)
    cpdef double retry_after(self, double now) except? -99
    @cython.locals(window=Window, why=str)
    cdef object _fail(self, double now)
    cdef object _open(self, double now, double level_s, str why)
    cdef object _begin_trials(self, double now)
    cdef object _close(self, str why)
    @cython.locals(old=int)
    cdef object _enter(self, int state, str why, double until)
