# The C side of concurrency.py.

cimport cython

cdef class Ticket:
    cdef object _callback
    cdef Ticket _before
    cdef Ticket _after
    cdef bint _queued

cdef class Gate:
    cdef Py_ssize_t _concurrency
    cdef Py_ssize_t _queue
    cdef Ticket _head
    cdef Ticket _tail
    cdef bint _handing
    cdef readonly Py_ssize_t active
    cdef readonly Py_ssize_t waiting
    cdef readonly long long queued
    cdef readonly long long refused
    cdef readonly long long cancelled

    cpdef bint enter(self) except -1
    @cython.locals(ticket=Ticket)
    cpdef Ticket wait(self, object callback)
    cpdef object cancel(self, Ticket ticket)
    cpdef object leave(self)
    @cython.locals(ticket=Ticket)
    cdef object _hand_over(self)
    @cython.locals(before=Ticket, after=Ticket)
    cdef object _unlink(self, Ticket ticket)
