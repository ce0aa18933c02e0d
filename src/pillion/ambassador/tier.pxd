# The C side of tier.py.

cimport cython

from .balance cimport Ring, Shares, Turns, ramp
from .breaker cimport Breaker
from .endpoint cimport Endpoint

cdef int _OUT, _READY, _TRYING, _PARKED, _ASKABLE, _LEAST, _TURNS, _RANDOM, _HASH, _DRAWS, _WAKES
cdef double _NEVER

cdef class Tier:
    cdef object _random
    cdef int _mode
    cdef double _slow_start_s
    cdef list _members
    cdef list _ready
    cdef list _trying
    cdef list _due
    cdef double _due_s
    cdef bint _even
    cdef Shares _shares
    cdef list _weighted
    cdef Turns _turns
    cdef Ring _ring
    cdef double _warm_s
    cdef public Py_ssize_t half_open

    @cython.locals(endpoint=Endpoint)
    cpdef list empty(self)
    @cython.locals(endpoint=Endpoint, breaker=Breaker)
    cpdef object fill(self, list members, list taken, str balance, double slow_start_s, Shares shares, Ring ring, double now)
    cpdef object warm(self, Endpoint endpoint)
    @cython.locals(breaker=Breaker, place=int)
    cpdef object settle(self, Endpoint endpoint)
    @cython.locals(endpoint=Endpoint)
    cpdef Endpoint pick(self, double now, object hash_key, list tried)
    @cython.locals(ready=list, count=Py_ssize_t, index=Py_ssize_t, other=Py_ssize_t, first=Endpoint,
                   second=Endpoint, trial=Endpoint)
    cdef Endpoint _pick(self, double now, object hash_key, list tried)
    cdef object _look_at(self, Endpoint endpoint, double due_s)
    @cython.locals(due=list, due_s=cython.double, endpoint=Endpoint)
    cdef object _wake(self, double now)
    @cython.locals(trying=list, index=Py_ssize_t, endpoint=Endpoint)
    cdef Endpoint _trial(self, list tried, double now)
    @cython.locals(held=list, last=Endpoint, old=int)
    cdef object _move(self, Endpoint endpoint, int place)
    @cython.locals(first=Endpoint, second=Endpoint)
    cdef Endpoint _choose(self, list tried, double now)
    @cython.locals(ready=list, count=Py_ssize_t, start=Py_ssize_t, step=Py_ssize_t, endpoint=Endpoint,
                   warming=bint, part=cython.double)
    cdef Endpoint _draw(self, Endpoint other, list tried, double now)
    @cython.locals(endpoint=Endpoint, slow_start_s=cython.double)
    cdef Endpoint _next(self, list tried, double now)
    @cython.locals(ring=Ring, owner=Endpoint)
    cdef Endpoint _hashed(self, object key, list tried, double now)
