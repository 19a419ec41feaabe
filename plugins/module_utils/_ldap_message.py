# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of LDAP that a login takes: RFC 4511, encoded as its section 5.1 says. Bytes in, values out.

Nothing that a server sends is taken for anything but what that RFC allows: no length of more than four bytes, none that is open, no
message of more than :data:`LONGEST` bytes.
"""

from __future__ import annotations

from typing import NamedTuple

# Bytes of an answer to a login, at most; it has a few sentences.
LONGEST = 1 << 16
SUCCESS = 0
# Results of a server that may say something else in a moment.
PASSING = (3, 51, 52)
# Those that are said at a login (RFC 4511, appendix A), in words.
_WORDS = {
    1: "operations error",
    2: "protocol error",
    3: "time limit exceeded",
    7: "authentication method not supported",
    8: "stronger authentication required",
    10: "referral",
    13: "confidentiality required",
    32: "no such object",
    34: "invalid DN syntax",
    48: "inappropriate authentication",
    49: "invalid credentials",
    50: "insufficient access rights",
    51: "busy",
    52: "unavailable",
    53: "unwilling to perform",
    80: "other",
}
# Tags: those of all of ASN.1, and those of LDAP's operations.
_INTEGER, _OCTETS, _ENUMERATED, _SEQUENCE = 0x02, 0x04, 0x0A, 0x30
_BIND_REQUEST, BIND_RESPONSE, _UNBIND_REQUEST, _EXTENDED_REQUEST, EXTENDED_RESPONSE = 0x60, 0x61, 0x42, 0x77, 0x78
# The password of a simple bind, and the name of an extended operation.
_CONTEXT_0 = 0x80
_START_TLS = b"1.3.6.1.4.1.1466.20037"
_VERSION = 3


class LdapError(Exception):
    """It is no answer of LDAP to what was asked."""


class Result(NamedTuple):
    """How a server answers.

    :ivar code: its result code; :data:`SUCCESS` when it lets in.
    :ivar text: its diagnostic message, which may be empty.
    """

    code: int
    text: str

    @property
    def words(self):
        """The result, with the message of the server where it has one."""
        name = _WORDS.get(self.code, "refused")
        result = "{0} (result {1})".format(name, self.code)
        # Some servers only say the same again.
        return result if self.text.lower() in ("", name) else "{0}: {1}".format(result, self.text)


# Requests


def bind_request(number, name, password):
    """A login with a name and a password: a simple bind, section 4.2."""
    # What is no Unicode is none that a server could have.
    said = [text.encode("utf-8", "replace") for text in (name, password)]
    inside = _element(_INTEGER, _number(_VERSION)) + _element(_OCTETS, said[0]) + _element(_CONTEXT_0, said[1])
    return _message(number, _BIND_REQUEST, inside)


def start_tls_request(number):
    """A request to go on with TLS: section 4.14.1."""
    return _message(number, _EXTENDED_REQUEST, _element(_CONTEXT_0, _START_TLS))


def unbind_request(number):
    """A farewell, which has no answer: section 4.3."""
    return _message(number, _UNBIND_REQUEST, b"")


def _message(number, operation, content):
    return _element(_SEQUENCE, _element(_INTEGER, _number(number)) + _element(operation, content))


def _element(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def _number(value):
    return value.to_bytes(value.bit_length() // 8 + 1, "big")


# Answers


def lacks(data):
    """How many bytes the message lacks that these are the beginning of, as far as they tell; 0 for a whole one.

    :raises LdapError: when none of LDAP begins like that.
    """
    if data and data[0] != _SEQUENCE:
        raise LdapError("what it answers is not LDAP")
    begin, length = _header(data, 0)
    if length is not None and length > LONGEST:
        raise LdapError("its answer has {0} bytes, which is too long".format(length))
    return begin + (length or 0) - len(data)


def result(data, number, operation):
    """The result in an answer.

    :param data: a whole message.
    :param number: of the request.
    :param operation: what it has to be, :data:`BIND_RESPONSE` or :data:`EXTENDED_RESPONSE`.
    :raises LdapError: when it is anything else.
    """
    outer = _elements(data)
    if len(outer) != 1 or outer[0][0] != _SEQUENCE:
        raise LdapError("what it answers is not LDAP")
    fields = _elements(outer[0][1])
    found, (kind, inside) = _integer(fields, 0, _INTEGER), _field(fields, 1)
    if kind not in (BIND_RESPONSE, EXTENDED_RESPONSE):
        raise LdapError("its answer is of another kind")
    parts = _elements(inside)
    code, (tag, said) = _integer(parts, 0, _ENUMERATED), _field(parts, 2)
    if tag != _OCTETS or _field(parts, 1)[0] != _OCTETS:
        raise LdapError("its answer is not complete")
    # Some servers write strings as C has them.
    answer = Result(code, said.decode("utf-8", "replace").rstrip("\0"))
    if (found, kind) == (0, EXTENDED_RESPONSE):
        # Section 4.4.1: of no request.
        raise LdapError("it ends the connection: {0}".format(answer.words))
    if (found, kind) != (number, operation):
        raise LdapError("its answer is that to another request")
    return answer


def _header(data, place):
    """Where the content of an element begins, and its length, which is None where that is not there yet.

    :raises LdapError: for a length that LDAP does not have.
    """
    if len(data) < place + 2:
        return place + 2, None
    length, begin = data[place + 1], place + 2
    if length < 0x80:
        return begin, length
    size = length & 0x7F
    if not 1 <= size <= 4:
        raise LdapError("a length in its answer is none that LDAP has")
    if len(data) < begin + size:
        return begin + size, None
    return begin + size, int.from_bytes(data[begin : begin + size], "big")


def _elements(data):
    """The elements that stand one behind the other: tags and contents."""
    found, place = [], 0
    while place < len(data):
        begin, length = _header(data, place)
        if length is None or begin + length > len(data):
            raise LdapError("its answer ends early")
        found.append((data[place], data[begin : begin + length]))
        place = begin + length
    return found


def _field(fields, index):
    if index >= len(fields):
        raise LdapError("its answer is not complete")
    return fields[index]


def _integer(fields, index, kind):
    tag, content = _field(fields, index)
    if tag != kind or not 1 <= len(content) <= 4:
        raise LdapError("its answer has something else where a number should be")
    return int.from_bytes(content, "big", signed=True)
