# raw.py in C. Inline: compiled into whoever cimports it, so there is no module behind it.

from cpython.bytearray cimport PyByteArray_AS_STRING
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy


cdef inline Py_ssize_t put(unsigned char *buffer, Py_ssize_t at, bytes data) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    memcpy(buffer + at, PyBytes_AS_STRING(data), size)
    return at + size


cdef inline Py_ssize_t put_part(unsigned char *buffer, Py_ssize_t at, bytearray data, Py_ssize_t size) noexcept:
    memcpy(buffer + at, PyByteArray_AS_STRING(data), size)
    return at + size


cdef inline Py_ssize_t put_text(unsigned char *buffer, Py_ssize_t at, str text) except -1:
    # Pure ASCII is UTF-8 as it stands in memory, and other text keeps its UTF-8 since its size was asked for.
    cdef Py_ssize_t size = 0
    cdef const char *data = PyUnicode_AsUTF8AndSize(text, &size)
    memcpy(buffer + at, data, size)
    return at + size


cdef inline Py_ssize_t text_size(str text) noexcept:
    cdef Py_ssize_t size = 0
    try:
        PyUnicode_AsUTF8AndSize(text, &size)
    except UnicodeEncodeError:
        return -1
    return size


cdef inline Py_ssize_t put_varint(unsigned char *buffer, Py_ssize_t at, int64_t value) noexcept:
    while value > 127:
        buffer[at] = value & 127 | 128
        value >>= 7
        at += 1
    buffer[at] = <unsigned char> value
    return at + 1


cdef inline Py_ssize_t put_fixed64(unsigned char *buffer, Py_ssize_t at, int64_t value) noexcept:
    # Compilers make one store of it where bytes have this order.
    cdef uint64_t bits = <uint64_t> value
    buffer[at] = bits & 255
    buffer[at + 1] = bits >> 8 & 255
    buffer[at + 2] = bits >> 16 & 255
    buffer[at + 3] = bits >> 24 & 255
    buffer[at + 4] = bits >> 32 & 255
    buffer[at + 5] = bits >> 40 & 255
    buffer[at + 6] = bits >> 48 & 255
    buffer[at + 7] = bits >> 56
    return at + 8


cdef inline Py_ssize_t varint_size(int64_t value) noexcept:
    cdef Py_ssize_t size = 1
    while value > 127:
        value >>= 7
        size += 1
    return size


cdef inline bint is_ascii(bytes data) noexcept:
    cdef const char *text = PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    cdef Py_ssize_t at = 0
    cdef uint64_t high = 0
    cdef uint64_t eight
    while at + 8 <= size:
        memcpy(&eight, text + at, 8)
        high |= eight
        at += 8
    while at < size:
        high |= <unsigned char> text[at]
        at += 1
    return high & <uint64_t> 0x8080808080808080 == 0


cdef inline bint has(bytes data, int byte, Py_ssize_t end) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
    return memchr(PyBytes_AS_STRING(data), byte, size if size < end else end) != NULL


cdef inline bint holds(bytes data, bytes part, Py_ssize_t rarest) noexcept:
    cdef const char *wanted = PyBytes_AS_STRING(part)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(part)
    cdef const char *at = PyBytes_AS_STRING(data) + rarest
    # Behind the last place where the byte may stand with the whole part around it.
    cdef const char *end = at + PyBytes_GET_SIZE(data) - size + 1
    while at < end:
        at = <const char *> memchr(at, wanted[rarest], end - at)
        if at == NULL:
            return False
        if memcmp(at - rarest, wanted, size) == 0:
            return True
        at += 1
    return False


cdef inline bint same(bytes data, Py_ssize_t at, bytes part) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(part)
    if at + size > PyBytes_GET_SIZE(data):
        return False
    return memcmp(PyBytes_AS_STRING(data) + at, PyBytes_AS_STRING(part), size) == 0
