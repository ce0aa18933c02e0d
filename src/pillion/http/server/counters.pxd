# The C side of counters.py.

cdef class Counters:
    cdef list _answers
    cdef public long long accept_errors
    cdef public long long accepted
    cdef public long long adopted
    cdef public long long busy
    cdef public long long bytes_in
    cdef public long long bytes_out
    cdef public long long failures
    cdef public long long open
    cdef public long long rejected
    cdef public long long requests
    cdef public long long timeouts
    cdef public long long truncated

    cpdef object answered(self, int status)
