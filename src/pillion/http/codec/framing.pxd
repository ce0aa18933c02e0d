# The C side of framing.py.

from .events cimport Headers

cpdef object refuse_repeats(Headers headers)
cpdef long long content_length(bytes value) except? -99
cpdef long long body_length(Headers headers, int minor, long long absent) except? -99
cpdef bint keep_alive(Headers headers, int minor) except -1
cpdef object check_host(bytes value)
cpdef bytes check_target(str method, str target, bytes host)
