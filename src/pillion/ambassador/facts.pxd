# The C side of facts.py: fields become struct members, the source stays plain Python.

cdef class Facts:
    cdef public int attempts
    cdef public long long bytes_in
    cdef public long long bytes_out
    cdef public double connect_s
    cdef public str direction
    cdef public str endpoint
    cdef public double first_s
    cdef public str host
    cdef public str listener
    cdef public str method
    cdef public str note
    cdef public str parent_id
    cdef public str path
    cdef public str peer
    cdef public str query
    cdef public str reason
    cdef public str route
    cdef public bint sampled
    cdef public str span_id
    cdef public int status
    cdef public long long time_ns
    cdef public double total_s
    cdef public str trace_id
    cdef public str upstream
    cdef public str version

    cdef object _at_first(self, str direction, str listener)
    cpdef bint failed(self) except -1
