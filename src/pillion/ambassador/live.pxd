# The C side of live.py.

cimport cython

from .budget cimport Budget
from .concurrency cimport Gate
from .endpoint cimport Endpoint
from .endpoints cimport EndpointGroup
from .pool cimport Pool
from .router cimport CompiledRoute

cdef int _LEAST_FAULT

cdef class Times:
    cdef readonly double connect_s
    cdef readonly double try_s
    cdef readonly double idle_s
    cdef readonly double total_s

cdef class LimitState:
    cdef tuple _numbers
    cdef public object bucket
    cdef public object clients

    cpdef double wait_s(self, client, double now) except? -1.0

cdef class Lasting:
    cdef public Budget budget
    cdef public Gate gate
    cdef public EndpointGroup group
    cdef public LimitState limit
    cdef public long long rejected
    cdef public long long requests
    cdef public long long retries
    cdef public Py_ssize_t waiting

cdef class LiveUpstream:
    cdef bytes _service
    cdef public Budget budget
    cdef public object fault
    cdef public object faults
    cdef public Gate gate
    cdef public EndpointGroup group
    cdef public str hash_kind
    cdef public bytes hash_name
    cdef public bytes host
    cdef public Py_ssize_t idle_connections
    cdef public double idle_s
    cdef public bint is_tcp
    cdef public Lasting lasting
    cdef public LimitState limit
    cdef public Py_ssize_t most_connections
    cdef public str name
    cdef public str proxy_protocol
    cdef public Py_ssize_t queue
    cdef public double queue_timeout_s
    cdef public Py_ssize_t requests_each
    cdef public object retry
    cdef public str server_name
    cdef public object settings
    cdef public bint tells_hops
    cdef public Times timeouts
    cdef public object tls
    cdef public str why_empty

    cpdef Pool pool_for(self, Endpoint endpoint)
    cpdef bint is_fault(self, str kind, int status) except -1
    cpdef bytes host_for(self, Endpoint endpoint)

cdef class Followed:
    cdef public object retry
    cdef public Times timeouts
    cdef public LiveUpstream upstream

cdef class LiveRoute:
    cdef public CompiledRoute compiled
    cdef public object fault
    cdef public LimitState limit
    cdef public str name
    cdef public dict to
