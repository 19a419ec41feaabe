# Copyright: Contributors to vigil.monitoring
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Known secrets, masked in whatever form a text has them: quoted by a shell, YAML, JSON, Go, SQL or systemd, escaped for a
URL or for HTML, folded over lines, or in Base64, alone or behind a user's name.

A secret that is an everyday word, such as ``grafana``, is masked where it stands as the value of something secret, and
stays readable in paths, names and sentences.
"""

from __future__ import annotations

import base64
import html.entities
import re

MASK = "********"

# Too short to be looked for in a text: masked where the key beside it gives it away.
_SHORT = 4
# No word is longer, and no port or number of an error has more digits.
_LONGEST_WORD, _LONGEST_NUMBER = 15, 5
# Words that services, validators and this collection use themselves. Masked everywhere, they would make every output
# unreadable without keeping anything secret, since they stand there with any other password as well.
EVERYDAY = frozenset(
    """absent access account action active activate actual address admin administrator agent alert alerting alertmanager
    alerts allow allowed already annotations answer answers ansible anonymous another apache api app apply archive args
    argument arguments asked attempt auth authentication authorization automatic away backup bad base basic batch bearer
    because been before begin being between binary blackbox blackbox_exporter block body bool both bridge broken build
    cache cadvisor cancel cannot capability cert certificate certificates change changeme changed channel channels check checked
    checks child choose class clear client close closed cluster code collector collectors command commands common
    condition config configuration configured connect connected connection connections consul container containers
    content contents control controller copy could count cpu create created credential credentials critical current
    daemon dashboard dashboards data database datasource date days debug default defaults define defined delete deleted
    denied deploy deployed deployment description desired detail details dev devel development dial different digest
    directories directory disable disabled discord discovery disk docker does domain done down download dropped duration
    during each editor either email empty enable enabled encoding encrypted end ended engine enough entries entry env
    environment error errors etc evaluation even every everything example exec executable exist existing exists exit exited
    expected expired exporter exporters external fail failed failing failure false fatal features fetch field fields file files
    filesystem find firing first flag flags folder following force forbidden format found from full generation get give
    given global good grafana granted group groups guest handler hash hashed have header headers health healthy hello here
    home host hostname hosts hour html http https icinga identifier image images import index info inhibit initial input
    inputs inside install installed instance instead integer internal interval invalid inventory items jaeger job jobs
    journal json keep key keys kibana killed known kubernetes label labels last latest layer letmein level limit line lines
    link linux list listen listener listening literal load loaded local localhost log logging login logs loki main make
    manager manifest master match matchers matrix maximum means memory message messages meta method metric metrics minimum
    minute missing mode model module monitor monitoring more mount mounts must name named names nagios need needed needs
    network never new newer next nginx nobody node node_exporter nodes none normal not nothing notice notification
    notifications null number object offset older once one online only open operator opsgenie option options oracle order
    other output over owner package packages pager pagerduty panel parameter parameters parse part partial pass password
    passwords path paths payload pending percent permission permissions person pgsql pid plain play please plugin plugins
    podman policy port ports post postgres postgres_exporter postgresql present probe probes process processes prod
    production program project prom prometheus prometheus_exporter promtool proof protocol proven proxy public pull push
    query queue range read reader readable ready reason received receiver receivers record recording recovered refused
    registry release reload reloaded remote remove removed replace report request requests required reset resolve resource
    response rest restart restarted restarts result results retention return right role role_name roles rollback root route
    routes rule rules run running runs runtime samples save says schedule scheme scrape scraped script seconds secret
    secrets section security seen select self send sent sentinel serve served server serves service services session
    setting settings several severity shell should show sign silence silences since size slack slow smtp snapshot socket
    some something source sources space stable staged staging start started starting starts state static status step still
    stop stopped storage store string subject success such sudo summary support switch syntax system systemd table take
    target targets team telegram template templates tempo temporary test testing text than that their them then there these
    they thing this thread time timeout times title token tokens tool topic total trace tracing transport true trusted type
    types unable undefined unexpected unit units unknown unmarshal until update updated upgrade uptime used user username
    users valid value values variable variables vault verified verify version versions view vigil volume wait waiting want
    wanted warn warning warnings watch watchdog webhook webex wechat when where which while whole will window with within
    without word words work works world would write written wrong yaml year zabbix zone zookeeper""".split()
)
_PLAIN = re.compile(r"[a-z]+(?:_[a-z]+)?|[A-Z][a-z]+|[A-Z]+")

# What a run of blanks and line breaks can become. Each alternative takes what no other one can: the match is linear.
_BLANKS = (
    r"(?:[\s+\\]|(?<=\\)(?:[nrt]|u00(?:20|0[aAdD9])|x(?:20|0[aAdD9])|040|01[125])|%(?:25)?(?:20|0[aAdD9])"
    r"|&#(?:32|10|13|9|x20|x[aAdD9]);)+"
)
# YAML goes on in the next line after a backslash.
_BREAK = r"(?:\\\r?\n[ \t]*)?"
# A word's left end is a blank or a sign, or an escape such as \n or %27.
_ESCAPES = r"|(?<=\\u[0-9a-fA-F]{4})|(?<=\\x[0-9a-fA-F]{2})|(?<=%[0-9a-fA-F]{2}))"
_LEFT = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbfav])" + _ESCAPES
_LEFT_OF_DIGIT = r"(?:(?<!\d)" + _ESCAPES
_RIGHT = r"(?![A-Za-z0-9])"
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-")
# The key or the words before a value that say that it is a secret. Without a sign between them, or a quote, it is prose.
_KEY = r"(?i:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|dsn|cookie|authorization|bearer|key)"
_SIGN = r"""\\*["']?(?:\s*[:=]+\s*(?i:(?:basic|bearer|token)\s+)?\\*["'\[(]*|\s+(?:(?:is|was|of)\s+)?\\*["'(]+|\s+(?:is|was)\s+)"""
_BEFORE = r"(?P<head>(?:[\w.-]*" + _KEY + _SIGN + r"|(?<!\S)--?[\w.-]*" + _KEY + r"\s+))"
_AFTER = r"(?![\w])(?![./-]\w)"


def _hex(number, width):
    """The digits of a number in base 16, small or large."""
    digits = "{0:0{1}x}".format(number, width)
    return "".join("[{0}{1}]".format(d, d.upper()) if d.isalpha() else d for d in digits)


def _symbol(character):
    """A pattern for everything that one character other than a letter, a digit or a blank may become."""
    code, encoded = ord(character), character.encode("utf-8", "surrogatepass")
    escapes = ["u" + _hex(code, 4)] if code < 0x10000 else []
    escapes += ["U" + _hex(code, 8), r"u\{" + _hex(code, 1) + r"\}"]
    if code >= 0x10000:
        pair = divmod(code - 0x10000, 0x400)
        escapes.append("u" + _hex(0xD800 + pair[0], 4) + r"\\{1,8}u" + _hex(0xDC00 + pair[1], 4))
    if code < 0x100:
        escapes += ["x" + _hex(code, 2), "{0:03o}".format(code)]
    if code >= 0x80:
        escapes.append(r"\\{1,8}".join("x" + _hex(byte, 2) for byte in encoded))
        escapes.append(r"\\{1,8}".join("{0:03o}".format(byte) for byte in encoded))
    if character in "\a\b\f\v\x1b\0":
        escapes.append("[{0}]".format({"\a": "a", "\b": "b", "\f": "f", "\v": "v", "\x1b": "e", "\0": "0"}[character]))
    named = "apos" if character == "'" else html.entities.codepoint2name.get(code)
    entities = "#0*{0}|#[xX]0*{1}".format(code, _hex(code, 1)) + ("|" + named if named else "")
    found = [
        r"\\{1,8}(?:" + "|".join(escapes) + ")",
        "".join("%(?:25)?" + _hex(byte, 2) for byte in encoded),
        "&(?:amp;)*(?:" + entities + ");",
    ]
    if character == "'":
        # A shell's ways to have one within quotes.
        found = ["'\"'\"'", r"'\\{1,4}''"] + found
    elif character == '"':
        found = ['"\'"\'"'] + found
    if code >= 0x80:
        # Read as another encoding, or replaced where that has no such letter.
        found += [re.escape(encoded.decode("latin-1")), r"[?\ufffd]{1,4}"]
    if character == "\\":
        return "(?:" + r"\\|" + "|".join(found) + ")"
    return "(?:" + "|".join(found) + r"|\\{0,8}" + re.escape(character) + ")"


def _pattern(secret):
    """A pattern for a secret in every form that spares letters and digits."""
    parts = []
    # Only these four are folded and exchanged; another kind of blank, such as U+00A0, is a sign that has its own escapes.
    for found in re.finditer(r"[ \t\r\n]+|[A-Za-z0-9]|([^A-Za-z0-9 \t\r\n])\1*", secret):
        run = found.group()
        if run[0] in " \t\r\n":
            parts.append(_BLANKS)
        elif run[0].isalnum() and run.isascii():
            parts.append(run)
        else:
            # Several services have a sign that means something twice where it means itself.
            most = 16 * len(run) if run[0] == "\\" else 2 * len(run)
            parts.append("{0}{{{1},{2}}}".format(_symbol(run[0]), len(run), most))
    return _BREAK.join(parts)


def _spelt_out(secret):
    """The forms in which every character is a number."""
    encoded = secret.encode("utf-8", "surrogatepass")
    yield encoded.hex()
    yield "".join("%{0:02x}".format(byte) for byte in encoded)
    yield "".join("\\x{0:02x}".format(byte) for byte in encoded)
    yield "".join("&#{0};".format(ord(character)) for character in secret)
    yield "".join("\\u{0:04x}".format(ord(character)) for character in secret)


def _base64_cores(secret):
    """What Base64 of any text that holds the secret has in it, whatever stands before and behind."""
    encoded = secret.encode("utf-8", "surrogatepass")
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + encoded).decode("ascii").rstrip("=")
        # The first characters depend on what stands before, the last one on what follows.
        core = text[(0, 2, 3)[shift] : len(text) - (1 if (shift + len(encoded)) % 3 else 0)]
        if len(core) >= 5:
            # A long one may be broken into lines further on.
            yield core[:40]
            yield core[:40].translate(str.maketrans("+/", "-_"))


def _mask_base64(text, core):
    """Mask every word of Base64 that holds these characters, with the lines in which it goes on."""
    position = text.find(core)
    while position >= 0:
        start, end = position, position + len(core)
        while start and text[start - 1] in _BASE64:
            start -= 1
        end = re.compile(r"[A-Za-z0-9+/_=-]*(?:(?:\\n|\s)\s*[A-Za-z0-9+/_-]{60,}=*)*").match(text, end).end()
        text = text[:start] + MASK + text[end:]
        position = text.find(core, start + len(MASK))
    return text


class Scrubber:
    """Masks secrets.

    :param secrets: strings.
    :param shown: text that is shown in any case, such as paths and names of accounts: a plain word of it is no secret.
    """

    def __init__(self, secrets, shown=""):
        self._secrets, self._cores, self._spelt = [], set(), set()
        self._shown = frozenset(re.findall(r"[A-Za-z0-9]+(?:_[A-Za-z]+)?", shown))
        # The longest first: a secret may be a part of another one.
        for secret in sorted({part for one in secrets for part in _parts(str(one))}, key=lambda s: (-len(s), s)):
            self._add(secret)

    def _add(self, secret):
        self._cores.update(_base64_cores(secret))
        if len(secret) >= _SHORT:
            self._spelt.update(_spelt_out(secret))
        # Patterns are made when a text has the part of a secret that stays the same in all forms: to make one takes time.
        anchor = max(re.findall(r"[A-Za-z0-9]+", secret) or [""], key=len)
        self._secrets.append([anchor, secret, None])

    def _patterns(self, secret):
        pattern = _pattern(secret)
        if self._is_everyday(secret):
            return [
                re.compile(_BEFORE + pattern + _AFTER),
                re.compile(r"(?P<head>://[^/\s:@]*:)" + pattern + "(?=@)"),
            ]
        if secret.isascii() and secret.isalpha():
            pattern = _LEFT + pattern + _RIGHT
        elif secret.isdigit():
            pattern = _LEFT_OF_DIGIT + pattern + r"(?!\d)"
        return [re.compile("(?P<head>)" + pattern)]

    def _is_everyday(self, secret):
        if len(secret) < _SHORT or (secret.isdigit() and len(secret) <= _LONGEST_NUMBER):
            return True
        if not _PLAIN.fullmatch(secret):
            return False
        return secret.lower() in EVERYDAY or (secret in self._shown and len(secret) <= _LONGEST_WORD)

    def text(self, text):
        """A text without the secrets."""
        if not text:
            return text
        for entry in self._secrets:
            anchor, secret, patterns = entry
            if anchor in text:
                patterns = entry[2] = patterns or self._patterns(secret)
                for pattern in patterns:
                    text = pattern.sub(lambda found: found.group("head") + MASK, text)
        for core in self._cores:
            if core in text:
                text = _mask_base64(text, core)
        lower = text.lower()
        for form in sorted(self._spelt, key=len, reverse=True):
            if form in lower:
                text = re.sub("(?i)" + re.escape(form), MASK, text)
                lower = text.lower()
        return text

    def data(self, data):
        """A structure without the secrets in any text of it; the keys of dictionaries too."""
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, bytes):
            return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if isinstance(data, dict):
            return {self.data(key): self.data(value) for key, value in data.items()}
        if isinstance(data, (list, tuple)):
            return [self.data(value) for value in data]
        return data

    def finds(self, text):
        """Whether a text has one of the secrets in it."""
        return self.text(text) != text


def _parts(secret):
    """A secret without the blanks around it, and the lines of one that has several, such as those of a private key."""
    secret = secret.strip()
    if secret and secret != MASK:
        yield secret
        lines = [line.strip() for line in secret.splitlines()]
        if len(lines) > 1:
            yield from (line for line in lines if len(line) >= 8 and not line.startswith("-----"))
