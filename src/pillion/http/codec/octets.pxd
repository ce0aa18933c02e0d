# The C side of octets.py: these are compiled into whoever takes them.

from libc.string cimport memcmp, memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

cdef extern from "Python.h":
    const unsigned char* PyUnicode_DATA(object text) noexcept
    bint PyUnicode_IS_ASCII(object text) noexcept
    int PyUnicode_KIND(object text) noexcept

cdef inline void copy(unsigned char* to, Py_ssize_t at, const unsigned char* piece, Py_ssize_t size) noexcept:
    memcpy(to + at, piece, size)

cdef inline bint is_ascii(str text) noexcept:
    return PyUnicode_IS_ASCII(text)

cdef inline const unsigned char* of_latin(str text) except NULL:
    if PyUnicode_KIND(text) != 1:
        raise ValueError("cannot write a text with a character above 255 as it is")
    return PyUnicode_DATA(text)

cdef inline bint same(const unsigned char* data, Py_ssize_t at, const unsigned char* piece, Py_ssize_t size) noexcept:
    return memcmp(data + at, piece, size) == 0

# Eight bytes at a time: none below a space, none that is DEL. What stops it is looked at one by one.
cdef inline Py_ssize_t text_end(const unsigned char* data, Py_ssize_t at, Py_ssize_t end) noexcept:
    cdef unsigned long long word, dels
    while at + 8 <= end:
        memcpy(&word, data + at, 8)
        dels = word ^ 0x7F7F7F7F7F7F7F7FULL
        if (((word - 0x2020202020202020ULL) & ~word) | ((dels - 0x0101010101010101ULL) & ~dels)) & 0x8080808080808080ULL:
            break
        at += 8
    return at

cdef inline long long whole(double number) noexcept:
    return <long long>number

cdef inline double now() noexcept:
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return at.tv_sec + at.tv_nsec * 1e-9
