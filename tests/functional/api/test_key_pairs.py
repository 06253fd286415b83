# SPDX-License-Identifier: Apache-2.0
"""/os-keypairs, and servers with a key pair."""

import base64

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from minova import clock
from minova.api.resources import key_material
from tests.functional.api import base
from tests.functional.api.base import LATEST

KEY = (
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZgatj1ZD0qlUevOhb/EQhVuXp26TRpBB'
    'dOFRi4eXpv me@home'
)
#: The output of ssh-keygen -l -E md5.
PRINT = '87:ba:1d:db:9b:cb:60:75:48:0d:66:e6:7d:9f:f1:c4'
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIHQMIGDoAMCAQICAQEwBQYDK2VwMBExDzANBgNVBAMMBm1pbm92YTAgFw0wMDAx
MDEwMDAwMDBaGA8yMTAwMDEwMTAwMDAwMFowETEPMA0GA1UEAwwGbWlub3ZhMCow
BQYDK2VwAyEAZmBq2PVkPSqVR686Fv8RCFW5enbpNGkEF04VGLh5em8wBQYDK2Vw
A0EAMtZToOQXopYNjJ4RQrWlxYKdV6fORIIsgG0aMtybdfumlliBLl4xvW7XRMvo
dv3LOJ3gaosXRTFxCZjRh+hqCA==
-----END CERTIFICATE-----
"""
CERTIFICATE_PRINT = (
    'a2:cc:5c:07:fc:20:dc:39:8a:b6:66:46:b7:80:53:41:24:a0:25:46'
)


class KeyPairsTestCase(base.ApiTestCase):
    """An API without hosts."""

    hosts = ()

    def add(self, name='mine', client=None, **values):
        """Request the creation of a key pair."""
        body = {'keypair': {'name': name, 'public_key': KEY} | values}
        return (client or self.user).post('/os-keypairs', body)

    def added(self, *args, **values):
        """Create a key pair; return its view."""
        reply = self.add(*args, **values)
        self.assertIn(reply.status, (200, 201), reply.body)
        return reply.body['keypair']

    def names(self, query='', client=None):
        """Return the names in a list."""
        reply = (client or self.user).get(f'/os-keypairs{query}')
        self.assertEqual(200, reply.status, reply.body)
        return [one['keypair']['name'] for one in reply.body['keypairs']]


class KeyPairsTest(KeyPairsTestCase):
    """Create, show, list and delete."""

    def test_import(self):
        reply = self.add()
        self.assertEqual(200, reply.status)
        brief = {'name': 'mine', 'public_key': KEY, 'fingerprint': PRINT}
        self.assertEqual({'keypair': brief | {'user_id': 'user'}}, reply.body)
        reply = self.user.get('/os-keypairs')
        self.assertEqual({'keypairs': [{'keypair': brief}]}, reply.body)

    def test_show(self):
        self.added()
        reply = self.user.get('/os-keypairs/mine')
        self.assertEqual(200, reply.status)
        shown = reply.body['keypair']
        self.assertRegex(
            shown.pop('created_at'), r'^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{6}$'
        )
        self.assertIsInstance(shown.pop('id'), int)
        self.assertEqual(
            {
                'name': 'mine',
                'public_key': KEY,
                'fingerprint': PRINT,
                'user_id': 'user',
                'updated_at': None,
                'deleted': False,
                'deleted_at': None,
            },
            shown,
        )

    def test_delete(self):
        self.added()
        self.added('other')
        reply = self.user.delete('/os-keypairs/mine')
        self.assertEqual((202, None), (reply.status, reply.body))
        self.assertEqual(['other'], self.names())
        text = 'Keypair mine not found for user user'
        for method in ('GET', 'DELETE'):
            reply = self.user.request(method, '/os-keypairs/mine')
            self.assert_refused(404, text, reply)

    def test_generate(self):
        user = self.user.at_version('2.2')
        reply = user.post('/os-keypairs', {'keypair': {'name': 'new'}})
        self.assertEqual(201, reply.status, reply.body)
        made = reply.body['keypair']
        private = serialization.load_pem_private_key(
            made['private_key'].encode(), password=None
        )
        public = private.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        self.assertTrue(made['public_key'].startswith(public.decode()))
        self.assertTrue(made['private_key'].startswith('-----BEGIN RSA PRIV'))
        shown = user.get('/os-keypairs/new').body['keypair']
        self.assertNotIn('private_key', shown)
        self.assertEqual(made['public_key'], shown['public_key'])
        self.assertEqual(made['fingerprint'], shown['fingerprint'])

    def test_generate_certificate(self):
        # The id of a user may be longer than a common name.
        for user_id, common_name in (('user', 'user'), ('ü' * 255, 'ü' * 32)):
            client = self.admin.at_version('2.10')
            body = {'name': 'new', 'type': 'x509', 'user_id': user_id}
            reply = client.post('/os-keypairs', {'keypair': body})
            self.assertEqual(201, reply.status, reply.body)
            made = reply.body['keypair']
            self.assertEqual('x509', made['type'])
            private, certificate, others = pkcs12.load_key_and_certificates(
                base64.b64decode(made['private_key']), b''
            )
            self.assertEqual([], others)
            self.assertEqual(
                x509.load_pem_x509_certificate(made['public_key'].encode()),
                certificate,
            )
            self.assertEqual(private.public_key(), certificate.public_key())
            self.assertEqual(
                certificate.fingerprint(hashes.SHA1()).hex(':'),
                made['fingerprint'],
            )
            (name,) = certificate.subject
            self.assertEqual(common_name, name.value)
            extensions = certificate.extensions
            (usage,) = extensions.get_extension_for_class(
                x509.ExtendedKeyUsage
            ).value
            self.assertEqual(ExtendedKeyUsageOID.CLIENT_AUTH, usage)
            (principal,) = extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
            self.assertEqual(
                '1.3.6.1.4.1.311.20.2.3', principal.type_id.dotted_string
            )
            self.assertTrue(
                principal.value.endswith(f'{user_id}@localhost'.encode())
            )
            certificate.verify_directly_issued_by(certificate)
            self.assertLess(certificate.not_valid_before_utc, clock.now())
            years = certificate.not_valid_after_utc - clock.now()
            self.assertGreater(years.days, 3600)
            shown = client.get(f'/os-keypairs/new?user_id={user_id}')
            self.assertNotIn('private_key', shown.body['keypair'])

    def test_types_from_2_2_on(self):
        self.assert_refused(
            400, "no field 'type'", self.add(client=self.user, type='ssh')
        )
        user = self.user.at_version('2.2')
        reply = self.add(client=user)
        self.assertEqual(201, reply.status)
        self.assertEqual('ssh', reply.body['keypair']['type'])
        made = self.added(
            'c', client=user, type='x509', public_key=CERTIFICATE
        )
        self.assertEqual('x509', made['type'])
        self.assertEqual(CERTIFICATE_PRINT, made['fingerprint'])
        found = user.get('/os-keypairs').body['keypairs']
        kinds = [one['keypair']['type'] for one in found]
        self.assertEqual(['x509', 'ssh'], kinds)
        shown = user.get('/os-keypairs/c').body['keypair']
        self.assertEqual('x509', shown['type'])
        self.assertNotIn(
            'type', self.user.get('/os-keypairs/c').body['keypair']
        )
        reply = user.delete('/os-keypairs/c')
        self.assertEqual((204, None), (reply.status, reply.body))

    def test_pages_from_2_35_on(self):
        for name in ('c', 'a', 'd', 'b', 'e'):
            self.added(name)
        self.added('z', client=self.other)
        self.assertEqual(list('abcde'), self.names())
        # Before 2.75 unknown parameters are ignored.
        self.assertEqual(list('abcde'), self.names('?limit=2&marker=c'))
        user = self.user.at_version('2.35')
        self.assertEqual(list('abcde'), self.names(client=user))
        reply = user.get('/os-keypairs?limit=2&marker=b')
        found = [one['keypair']['name'] for one in reply.body['keypairs']]
        self.assertEqual(['c', 'd'], found)
        (link,) = reply.body['keypairs_links']
        self.assertEqual('next', link['rel'])
        _, _, path = link['href'].partition('/v2.1')
        self.assertEqual(['e'], self.names(path[len('/os-keypairs') :], user))
        last = user.get(path).body
        self.assertNotIn('keypairs_links', last)
        self.config('api', max_limit=3)
        self.assertEqual(list('abc'), self.names(client=user))
        self.assertEqual(list('abcde'), self.names())
        for marker in ('x', 'z'):
            reply = user.get(f'/os-keypairs?marker={marker}')
            self.assert_refused(400, f'marker [{marker}] not found', reply)

    def test_unknown_parameters(self):
        for path in ('/os-keypairs', '/os-keypairs/x'):
            reply = self.user.at_version('2.74').get(f'{path}?x=1')
            self.assertNotEqual(400, reply.status)
            reply = self.user.at_version('2.75').get(f'{path}?x=1')
            self.assert_refused(400, "no parameter 'x'", reply)


class OwnersTest(KeyPairsTestCase):
    """The owners of key pairs."""

    def test_each_user_has_their_own(self):
        self.added()
        self.assertEqual([], self.names(client=self.other))
        self.assertEqual(404, self.other.get('/os-keypairs/mine').status)
        self.assertEqual(404, self.other.delete('/os-keypairs/mine').status)
        self.added(client=self.other)
        self.assertEqual(['mine'], self.names())

    def test_admin_selects_user_since_2_10(self):
        admin = self.admin.at_version('2.10')
        made = self.added(client=admin, user_id='user')
        self.assertEqual('user', made['user_id'])
        self.assertEqual(['mine'], self.names())
        self.assertEqual([], self.names(client=admin))
        self.assertEqual(['mine'], self.names('?user_id=user', admin))
        path = '/os-keypairs/mine?user_id=user'
        self.assertEqual(200, admin.get(path).status)
        self.assertEqual(404, admin.get('/os-keypairs/mine').status)
        self.assertEqual(204, admin.delete(path).status)
        self.assertEqual([], self.names())

    def test_no_user_id_before_2_10(self):
        self.added()
        admin = self.admin.at_version('2.9')
        self.assertEqual([], self.names('?user_id=user', admin))
        reply = self.add('x', admin, user_id='user')
        self.assert_refused(400, "no field 'user_id'", reply)

    def test_other_users_are_forbidden(self):
        self.added()
        other = self.other.at_version('2.10')
        for reply in (
            self.add('x', other, user_id='user'),
            other.get('/os-keypairs?user_id=user'),
            other.get('/os-keypairs/mine?user_id=user'),
            other.delete('/os-keypairs/mine?user_id=user'),
        ):
            self.assert_refused(403, 'os_compute_api:os-keypairs:', reply)
            self.assertIn('the owning user', reply.message)
        self.assertEqual(['mine'], self.names())
        self.added('y', other, user_id='other')


class RefusedTest(KeyPairsTestCase):
    """Malformed keys."""

    def test_names(self):
        for name in ('', 'a' * 256, 'a/b', ' a', 'a ', 'a@b', 'a.b', 'ä', 7):
            reply = self.add(name)
            self.assert_refused(400, 'keypair.name: must be 1 to 255', reply)
        for name in ('a b', '_-', 'a' * 255):
            self.added(name)
            path = f'/os-keypairs/{name.replace(" ", "%20")}'
            self.assertEqual(200, self.user.get(path).status)

    def test_keys(self):
        kind, text, _ = KEY.split()
        for key in (
            'x',
            text,
            f'{kind} AAAA',
            f'{kind} ***',
            f'ssh-rsa {text}',
            f'{kind} {text[:20]}',
            f'{KEY}\n{KEY}',
            f'command="x" {KEY}',
            f'{kind} AAAAC3NzaC1lZDI1NTE5',
            f'{kind} {text[:-4]}',
            f'{kind} {text}AAAA',
        ):
            reply = self.add(public_key=key)
            self.assert_refused(400, 'keypair.public_key: ', reply)
        self.assertEqual([], self.names())
        made = self.added(public_key=f'{KEY}\n')
        self.assertEqual(PRINT, made['fingerprint'])
        self.assertEqual(f'{KEY}\n', made['public_key'])
        self.added('plain', public_key=f'{kind} {text}')

    def test_certificates(self):
        user = self.user.at_version('2.2')
        reply = self.add(client=user, type='x509')
        self.assert_refused(400, 'must be an X.509 certificate', reply)
        reply = self.add(client=user, type='pgp')
        self.assert_refused(400, 'must be one of ssh, x509', reply)

    def test_twice(self):
        self.added()
        reply = self.add()
        self.assert_refused(409, "Key pair 'mine' already exists.", reply)

    def test_too_many(self):
        self.config('quota', key_pairs=2)
        self.added('a')
        self.added('b')
        text = 'Quota exceeded, too many key pairs. A user may have 2.'
        self.assert_refused(403, text, self.add('c'))
        self.added('c', client=self.other)
        self.user.delete('/os-keypairs/a')
        self.added('c')
        self.config('quota', key_pairs=-1)
        self.added('d')
        self.config('quota', key_pairs=0)
        self.assert_refused(403, 'may have 0', self.add('e'))

    def test_refused_request_generates_nothing(self):
        """A key takes a second: users above their quota must not cause it."""
        self.config('quota', key_pairs=1)
        self.added('a')
        self.patch(key_material, 'generate', lambda *_: self.fail('generated'))
        for name, status in (('a', 409), ('b', 403)):
            for kind in ('ssh', 'x509'):
                body = {'keypair': {'name': name, 'type': kind}}
                reply = self.user.at_version('2.91').post('/os-keypairs', body)
                self.assertEqual(status, reply.status, reply.body)


class ServersTest(KeyPairsTestCase):
    """Servers get the public key."""

    def setUp(self):
        super().setUp()
        self.make_flavor()

    def test_key_is_copied(self):
        self.added()
        uuid = self.boot(key_name='mine', wait=False)
        self.user.delete('/os-keypairs/mine')
        self.assertEqual('mine', self.show(uuid)['key_name'])
        row = self.cloud.instance(uuid)
        self.assertEqual(('mine', KEY), (row.key_name, row.key_data))
        (found,) = self.ids(self.admin, '?all_tenants=1&key_name=mine')
        self.assertEqual(uuid, found)

    def test_several_servers(self):
        self.added()
        self.boot(key_name='mine', wait=False, max_count=2)
        for uuid in self.ids(self.user):
            self.assertEqual(KEY, self.cloud.instance(uuid).key_data)

    def test_no_such_key(self):
        self.added(client=self.other)
        reply = self.user.at_version(LATEST).post(
            '/servers',
            {'server': self.server(key_name='mine', networks='none')},
        )
        text = "Invalid key_name provided. User user has no key pair 'mine'"
        self.assert_refused(400, text, reply)
        self.assertEqual([], self.ids(self.user))
