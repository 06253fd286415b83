# SPDX-License-Identifier: Apache-2.0
"""Valid values of a schema, hostile ones, and mutations of a document."""

import copy
import json
import re

from minova.api.schemas import types

#: The objects that a field refers to.
_REFERENCES = {
    'imageRef': 'image',
    'rescue_image_ref': 'image',
    'image_id': 'image',
    'flavorRef': 'flavor',
    'key_name': 'keypair',
    'uuid': 'network',
    'net_id': 'network',
    'networkId': 'network',
    'port_id': 'port',
    'port': 'port',
    'tenant': 'project',
    'owner': 'project',
    'project_id': 'project',
    'default_project_id': 'project',
    'user_id': 'user',
    'host': 'host',
    'hypervisor_hostname': 'host',
    'availability_zone': 'zone',
    'snapshot_id': 'image',
    'volume_id': 'server',
}
#: Fields that are needed in fact, and ones that are never supported.
_LIKELY = {
    'imageRef': 0.9,
    'uuid': 0.9,
    'port': 0.02,
    'block_device_mapping': 0.02,
    'personality': 0.02,
    'trusted_image_certificates': 0.02,
}
_FORMATS = {'ipv4': '192.0.2.7', 'ipv6': '2001:db8::7'}
#: One request does not fill the cloud.
_COUNTS = ('min_count', 'max_count')
#: A public key.
KEY = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGVkZWRlZGVkZWRlZGVkZWRlZGVkZWRlZGVk'
    'ZWRlZGVk fuzz'
)
#: Texts that match the patterns of schemas.
_TEXTS = (
    'a',
    '1',
    '0',
    '512',
    'none',
    'auto',
    'password',
    'token',
    'YWJj',
    'hw:cpu_policy',
    'asc',
    'SOFT',
    'HARD',
    'true',
    '/name',
    '/tags/-',
    '2026-01-31T12:00:00Z',
    '192.0.2.7',
    '2001:db8::7',
    '6f70656e-7374-4163-8b00-000000000001',
    KEY,
    '',
)
_INTEGERS = (
    -1,
    0,
    1,
    255,
    65536,
    2**31 - 1,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**40,
)
STRINGS = (
    '',
    ' ',
    '\t',
    '\x00',
    'a\x00b',
    '\r\nSet-Cookie: evil=1',
    'x\n2026-01-01 00:00:00 CRITICAL forged',
    '\x1b[31mred',
    '\x7f\x85\u2028\u2029',
    'a' * 255,
    'a' * 256,
    'é' * 255,
    '𝒳' * 64,
    'a' * 5000,
    '\ud800',
    '\ufeff',
    '\u202egnp.exe',
    'ﷺ' * 60,
    'İıſK',
    '../../../../etc/passwd',
    '..%2f..%2f',
    '/etc/passwd',
    'file:///etc/passwd',
    'http://127.0.0.1:1/',
    "' OR '1'='1",
    "'; DROP TABLE instances; --",
    '" OR ""="',
    '1); ATTACH ":memory:"--',
    '${jndi:ldap://127.0.0.1/a}',
    '{{7*7}}',
    '%s%s%s%n',
    '{0.__class__}',
    '$(id)',
    '`id`',
    '| id',
    '</name><devices/>',
    '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    ']]>',
    '<script>alert(1)</script>',
    '*',
    '%',
    '_',
    '(a+)+$',
    'a*a*a*a*b',
    '[',
    '\\',
    'null',
    'NaN',
    'Infinity',
    '1e400',
    '-0',
    '0x10',
    '٣',
    '1_000',
    '2026-02-30T25:61:61Z',
    '0001-01-01T00:00:00+23:59',
    '9999-12-31T23:59:59-23:59',
    '__proto__',
    'self',
    'constructor',
    'true',
    'latest',
)
_KEYS = (
    '',
    'a' * 300,
    '\x00',
    'a\nb',
    '__class__',
    'id',
    'name',
    'links',
    'owner',
    'é',
    "'",
    'os_glance_x',
    'stores',
)


class Values:
    """Values for one request, from its random numbers."""

    def __init__(self, rng, pick, marker, is_plain=False):
        """Take random numbers, ``pick(kind)`` for an id, and own text."""
        self._rng = rng
        self._is_plain = is_plain
        #: How often a field is there that need not be.
        self._optional = self.one_of((0.0, 0.1, 0.3))
        self._pick = pick
        self._marker = marker

    def one_of(self, options):
        """Return one of a sequence; always one random number."""
        return options[int(self._rng.random() * len(options))]

    def chance(self, probability):
        """Return True with this probability."""
        return self._rng.random() < probability

    def odd(self, probability):
        """Return True with this probability, never in a plain request."""
        return self.chance(probability) and not self._is_plain

    def text(self):
        """Return a name that is the caller's own."""
        return f'{self._marker}{int(self._rng.random() * 9999)}'

    # -- valid ----------------------------------------------------------------

    def valid(self, schema, name='', depth=0):
        """Return a value that a schema allows, as well as it can."""
        if not isinstance(schema, dict):
            return None
        if 'const' in schema:
            return schema['const']
        if 'enum' in schema:
            return self.one_of(list(schema['enum']))
        for word in ('oneOf', 'anyOf', 'allOf'):
            if word in schema and 'type' not in schema:
                return self.valid(self.one_of(schema[word]) or {}, name, depth)
        kind = schema.get('type')
        if isinstance(kind, list):
            kind = 'string' if name in _REFERENCES else self.one_of(kind)
        if kind is None:
            kind = 'object' if 'properties' in schema else 'any'
        return getattr(self, f'_{kind}')(schema, name, depth)

    def _null(self, schema, name, depth):
        return None

    def _boolean(self, schema, name, depth):
        return self.chance(0.5)

    def _any(self, schema, name, depth):
        return self.one_of([None, 'a', 1, True, {}, [], {'a': ['b']}])

    def _integer(self, schema, name, depth):
        low = schema.get('minimum', 0)
        high = schema.get('maximum', types.MAX_INT)
        if name in _COUNTS:
            high = 2
        usual = (low, low + 1, low + int(self._rng.random() * 64), high)
        return min(max(self.one_of(usual), low), high)

    _number = _integer

    def _string(self, schema, name, depth):
        pattern = schema.get('pattern', '')
        if name in _COUNTS:
            return '1'
        if schema.get('format') in _FORMATS:
            return _FORMATS[schema['format']]
        if name == 'user_data':
            return 'YWJj'
        if name in _REFERENCES and self.chance(0.9):
            return self._pick(_REFERENCES[name])
        if 'password' in name.lower() or name in ('secret', 'adminPass'):
            return f'fzsecret{self.text()}'
        texts = [self.text(), *_TEXTS]
        fits = [one for one in texts if re.search(pattern, one)] or texts
        found = fits[0] if self.chance(0.5) else self.one_of(fits)
        maximum = schema.get('maxLength', 255)
        if len(found) < schema.get('minLength', 0):
            found = 'a' * schema['minLength']
        return found[:maximum]

    def _array(self, schema, name, depth):
        count = min(
            schema.get('maxItems', 3),
            max(schema.get('minItems', 0), int(self._rng.random() * 4)),
        )
        found = [
            self.valid(schema.get('items', {}), name, depth + 1)
            for _ in range(count)
        ]
        if schema.get('uniqueItems'):
            found = list({json.dumps(one): one for one in found}.values())
        return found

    def _object(self, schema, name, depth):
        required = schema.get('required', ())
        found = {}
        for field, inner in (schema.get('properties') or {}).items():
            likely = _LIKELY.get(field, self._optional)
            if inner.get('readOnly') and self._is_plain:
                continue
            if field in required or self.chance(likely):
                found[field] = self.valid(inner, field, depth + 1)
        others = list((schema.get('patternProperties') or {}).values())
        if isinstance(more := schema.get('additionalProperties'), dict):
            others.append(more)
        for inner in others:
            for _ in range(int(self._rng.random() * 2)):
                found[self.one_of(['a', 'hw:x', self.text()])] = self.valid(
                    inner, '', depth + 1
                )
        if not found and others and schema.get('minProperties'):
            found['a'] = self.valid(others[0], '', depth + 1)
        if not found and schema.get('minProperties'):
            for field, inner in (schema.get('properties') or {}).items():
                found[field] = self.valid(inner, field, depth + 1)
                break
        return found

    # -- hostile --------------------------------------------------------------

    def hostile(self):
        """Return a value of any type that causes trouble elsewhere."""
        return self.one_of(
            (
                self.one_of(STRINGS),
                self.one_of(STRINGS),
                self.one_of(_INTEGERS),
                self.one_of((1.5, -0.0, 1e308, 1.0)),
                self.one_of((None, True, False, {}, [], [[]], {'a': {}})),
                self.one_of(('a' * 70000, ['a'] * 2000, {'a' * 255: 'b'})),
                {f'k{number}': 'v' for number in range(200)},
            )
        )

    def mutate(self, document):
        """Return a document with one change somewhere."""
        document = copy.deepcopy(document)
        nodes = list(_nodes(document))
        if not nodes:
            return self.hostile()
        holder, key = self.one_of(nodes)
        change = self.one_of(('set', 'set', 'drop', 'add', 'wrap', 'repeat'))
        value = self.hostile()
        name = self.one_of(_KEYS)
        if change == 'set':
            holder[key] = value
        elif change == 'drop':
            del holder[key]
        elif change == 'wrap':
            holder[key] = self.one_of(([holder[key]], {'a': holder[key]}))
        elif isinstance(holder, dict):
            holder[name] = value
        elif change == 'add':
            holder.append(value)
        else:
            holder += [holder[key]] * self.one_of((1, 70, 2000))
        return document

    def spoil(self, text):
        """Return bytes that are no JSON, or strange JSON, from a document."""
        body = text.encode('utf-8', 'surrogatepass')
        half = len(body) // 2
        return self.one_of(
            (
                b'',
                b'{',
                body[:half],
                body + b'}',
                body + b' ' * 1000,
                b'\xef\xbb\xbf' + body,
                body.decode('utf-8', 'replace').encode('utf-16'),
                body[:half] + b'\xff\xfe' + body[half:],
                body[:half] + b'\x00' + body[half:],
                body.replace(b'{', b'{"a": 1, "a": 2, ', 1),
                body[:-1] + b', ' + body[1:],
                b'[' * 20000 + b']' * 20000,
                b'{"a":' * 5000 + b'1' + b'}' * 5000,
                b'[' * 300 + body + b']' * 300,
                body.replace(b'"', b'\\ud800"', 1),
                *(
                    _with_value(body, value)
                    for value in (
                        *(b'NaN', b'-Infinity', b'1e999', b'9' * 5000),
                        *(b'"\\u0000"', b'"\\ud800"'),
                    )
                ),
                b'"' + b'a' * 100000 + b'"',
                b'{"a": "' + b'a' * 130000 + b'"}',
                b'a=b&c=d',
                b'<server/>',
                b'null',
                b'1',
            )
        )


def _with_value(body, value):
    """Return a body with these bytes as its first simple value."""
    return re.sub(rb'": [^,}\]]+', lambda _: b'": ' + value, body, count=1)


def _nodes(document):
    """Yield (holder, key) of all values in a document."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield document, key
            yield from _nodes(value)
    elif isinstance(document, list):
        for index, value in enumerate(document[:50]):
            yield document, index
            yield from _nodes(value)
