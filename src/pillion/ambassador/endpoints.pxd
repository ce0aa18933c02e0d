# The C side of endpoints.py.

cimport cython

from .breaker cimport Breaker
# Not by its name: a cimported one would not be found in this module by those who import it from here.
from pillion.ambassador cimport endpoint as c_endpoint
from .tier cimport Tier

cdef double _ROUNDING, _LONG_AGO, _NEVER
cdef list _NOBODY

cdef class EndpointGroup:
    cdef object _settings
    cdef public str zone
    cdef str _zone
    cdef object _changed
    cdef dict _by_key
    cdef Tier _own
    cdef Tier _away
    cdef Py_ssize_t _ejected
    cdef Py_ssize_t _most
    cdef long long _numbers
    cdef double _now
    cdef tuple _specs
    cdef object _arranged
    cdef readonly tuple endpoints
    cdef readonly bint panic

    @cython.locals(endpoint=c_endpoint.Endpoint, ejected=Py_ssize_t, breaker=Breaker, tier=Tier)
    cpdef object settle(self, double now)
    @cython.locals(endpoint=c_endpoint.Endpoint)
    cpdef c_endpoint.Endpoint pick(self, double now, object hash_key, list tried)
    cpdef double retry_after(self, double now) except? -99
    @cython.locals(endpoint=c_endpoint.Endpoint)
    cpdef c_endpoint.Endpoint find(self, str key)
