# SPDX-License-Identifier: Apache-2.0
"""The image cache: download, verification, use and expiry."""

import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading

from minova import clock
from minova import exception
from minova.compute import image_cache
from minova.conf import CONF
from minova.images import streams
from tests import base
from tests.unit.images import base as images_base
from tests.unit.virt.rigs import ManualClock

DAY = 86400
DATA = images_base.RAW


def _named_data_file():
    """Return a qcow2 file whose header extension names a data file."""
    name = b'/etc/shadow'
    whole = images_base.qcow2()
    extension = struct.pack('>II', 0x44415441, len(name)) + name.ljust(16)
    return whole[:104] + extension + whole[104:]


class Service:
    """An image service that records its downloads."""

    def __init__(self):
        self.known = {}
        self.data = {}
        self.fetched = []
        self.during = lambda: None

    def add(self, data=DATA, **changes):
        image = images_base.image(
            status='active', **(images_base.sums(data) | changes)
        )
        self.known[image.id] = image
        self.data[image.id] = data
        return image.id

    def show(self, context, image_id):
        if image_id not in self.known:
            raise exception.ImageNotFound(image_id=image_id)
        return self.known[image_id]

    def download(self, context, image_id, path):
        image = self.show(context, image_id)
        self.fetched.append(image_id)
        self.during()
        streams.write_verified(image, [self.data[image_id]], path)


class CacheTestCase(base.TestCase):
    """An image cache of one host or of several."""

    def setUp(self):
        super().setUp()
        self.clock = ManualClock()
        self.addCleanup(clock.install, clock.install(self.clock))
        self.service = Service()
        self.folder = os.path.join(self.directory, 'cache')
        self.cache = self.open()

    def open(self, host='a'):
        """Return the cache of a new process of a host."""
        return image_cache.ImageCache(self.service, self.folder, host)

    def use(self, image_id, cache=None):
        using = (cache or self.cache).use(images_base.OWNER, image_id)
        with using as path, open(path, 'rb') as file:
            return file.read()

    def path(self, image_id):
        return os.path.join(self.folder, image_id)

    def parts(self):
        return [n for n in os.listdir(self.folder) if n.endswith('.part')]

    def age(self, used=(), cache=None):
        return (cache or self.cache).remove_expired(lambda: set(used))


class FetchedTest(CacheTestCase):
    """Downloads and verifications."""

    def test_once(self):
        image = self.service.add()
        for cache in (self.cache, self.cache, self.open(), self.open('b')):
            self.assertEqual(DATA, self.use(image, cache))
        self.assertEqual([image], self.service.fetched)
        self.assertEqual(0o640, os.stat(self.path(image)).st_mode & 0o777)

    def test_once_by_many_threads(self):
        image = self.service.add()
        begun = threading.Event()
        go_on = threading.Event()

        def during():
            begun.set()
            self.assertTrue(go_on.wait(20))

        self.service.during = during
        found = []
        caches = [self.cache] * 4 + [self.open()] * 2
        threads = [
            threading.Thread(
                target=lambda c=cache: found.append(self.use(image, c))
            )
            for cache in caches
        ]
        for thread in threads:
            thread.start()
        self.assertTrue(begun.wait(20))
        self.assertEqual([], found)
        go_on.set()
        for thread in threads:
            thread.join(20)
        self.assertEqual([DATA] * 6, found)
        self.assertEqual([image], self.service.fetched)

    def test_damaged_data_is_fetched_again(self):
        image = self.service.add()
        self.use(image)
        for damage in (b'', DATA[:-1], DATA[:-1] + b'!'):
            with open(self.path(image), 'wb') as file:
                file.write(damage)
            self.assertEqual(DATA, self.use(image))
        # Of the same size and time: seen by the next start.
        state = os.stat(self.path(image))
        with open(self.path(image), 'r+b') as file:
            file.write(b'!')
        times = (state.st_atime_ns, state.st_mtime_ns)
        os.utime(self.path(image), ns=times)
        self.assertEqual(DATA, self.use(image, self.open()))
        self.assertEqual(5, len(self.service.fetched))

    def test_removed_data_is_fetched_again(self):
        image = self.service.add()
        self.use(image)
        os.unlink(self.path(image))
        self.assertEqual(DATA, self.use(image))

    def test_data_without_record_is_fetched_again(self):
        image = self.service.add()
        os.makedirs(self.folder)
        with open(self.path(image), 'wb') as file:
            file.write(DATA)
        self.assertEqual(DATA, self.use(image))
        for damage in (b'{', b'[]', b'{"size": 1}'):
            with open(f'{self.folder}/.checksums/{image}', 'wb') as file:
                file.write(damage)
            self.assertEqual(DATA, self.use(image, self.open()))
        self.assertEqual(4, len(self.service.fetched))

    def test_old_data_stays_while_it_cannot_be_replaced(self):
        image = self.service.add()
        self.use(image)
        with open(self.path(image), 'ab') as file:
            file.write(b'!')
        self.service.known.clear()
        self.assertRaises(exception.ImageNotFound, self.use, image)
        self.assertTrue(os.path.exists(self.path(image)))

    def test_failure_leaves_nothing(self):
        image = self.service.add()
        self.service.data[image] = b'x' * len(DATA)
        error = self.assertRaises(exception.OperationFailed, self.use, image)
        self.assertIn('differs from the recorded one', str(error))
        self.assertEqual([], self.parts())
        self.assertFalse(os.path.exists(self.path(image)))
        self.service.data[image] = DATA
        self.assertEqual(DATA, self.use(image))

    def test_images_that_are_dangerous_as_disks(self):
        for data, disk_format, text in (
            (images_base.qcow2(backing=(104, 9)), 'qcow2', 'backing file'),
            (images_base.qcow2(features=4), 'qcow2', 'external data file'),
            (images_base.qcow2(encryption=1), 'qcow2', 'encrypted'),
            (_named_data_file(), 'qcow2', 'external data file'),
            (b'KDMV' + bytes(1000), 'raw', 'in the format VMDK'),
            (images_base.qcow2(), 'raw', 'in the format qcow2'),
            (DATA, 'qcow2', 'not in the format qcow2'),
        ):
            image = self.service.add(data, disk_format=disk_format)
            error = self.assertRaises(
                exception.OperationFailed, self.use, image
            )
            self.assertIn(text, str(error))
            self.assertIn(image, str(error))
            self.assertFalse(os.path.exists(self.path(image)))
        good = images_base.qcow2()
        image = self.service.add(good, disk_format='qcow2')
        self.assertEqual(good, self.use(image))

    def test_disk_full(self):
        image = self.service.add(size=1 << 62)
        error = self.assertRaises(exception.OperationFailed, self.use, image)
        self.assertIn(f'{1 << 62} bytes', str(error))
        self.assertEqual([], self.service.fetched)

    def test_unknown_files(self):
        for name in ('../a', '.checksums', 'a/b', '', 'a' * 65, 'a\n'):
            self.assertRaises(exception.ImageNotFound, self.use, name)
        self.assertFalse(os.path.exists(self.folder))

    def test_directory_that_cannot_be_written(self):
        with open(self.folder, 'wb'):
            image = self.service.add()
        error = self.assertRaises(exception.OperationFailed, self.use, image)
        self.assertIn(self.folder, str(error))


class AgeingTest(CacheTestCase):
    """The expiry of images."""

    def setUp(self):
        super().setUp()
        self.image = self.service.add()
        self.use(self.image)

    def let_pass(self, seconds):
        self.clock.advance(seconds)

    def gone(self):
        return not os.path.exists(self.path(self.image))

    def end(self, **options):
        """Run the expiry, wait the delay for other hosts, run it again."""
        self.assertEqual([], self.age(**options))
        self.let_pass(2 * CONF.compute.image_cache_manager_interval)
        return self.age(**options)

    def test_unused_image_expires(self):
        self.let_pass(DAY - 60)
        self.assertEqual([], self.age())
        self.let_pass(60)
        self.assertEqual([self.image], self.end())
        left = [
            name
            for _, folders, files in os.walk(self.folder)
            for name in files
        ]
        self.assertEqual([], left)
        self.assertEqual(DATA, self.use(self.image))

    def test_use_resets_the_age(self):
        for _ in range(3):
            self.let_pass(DAY - 60)
            self.assertEqual([], self.age())
            self.use(self.image)
        self.assertEqual([self.image], self.service.fetched)

    def test_never(self):
        CONF.set_override('image_cache_max_age', 0, 'compute')
        self.addCleanup(CONF.clear_override, 'image_cache_max_age', 'compute')
        self.let_pass(1000 * DAY)
        self.assertEqual([], self.end())
        self.assertFalse(self.gone())

    def test_disks_keep_it(self):
        link = os.path.join(self.directory, 'link')
        os.symlink(self.folder, link)
        for used in (self.path(self.image), f'{link}/{self.image}'):
            self.let_pass(2 * DAY)
            self.assertEqual([], self.end(used=[used]))
        elsewhere = os.path.join(self.directory, self.image)
        self.assertEqual([self.image], self.end(used=[elsewhere]))

    def test_disk_created_during_scan(self):
        self.let_pass(2 * DAY)
        answers = [set(), {self.path(self.image)}]
        self.assertEqual([], self.cache.remove_expired(lambda: answers.pop(0)))
        self.assertEqual([], answers)
        self.let_pass(2 * DAY)
        self.assertEqual([], self.end(used=[self.path(self.image)]))

    def test_running_use_keeps_it(self):
        with self.cache.use(images_base.OWNER, self.image):
            self.let_pass(10 * DAY)
            for cache in (self.cache, self.open(), self.open('b')):
                self.assertEqual([], self.end(cache=cache))
            self.assertFalse(self.gone())
        # Its time begins when the work ends.
        self.assertEqual([], self.end())
        self.let_pass(DAY)
        self.assertEqual([self.image], self.end())

    def test_another_host_keeps_it(self):
        other = self.open('b')
        self.use(self.image, other)
        self.let_pass(2 * DAY)
        self.assertEqual([], self.end())
        used = [self.path(self.image)]
        self.assertEqual([], self.end(used=used, cache=other))
        self.assertEqual([], self.end())
        self.assertEqual([self.image], self.end(cache=other))

    def test_disks_that_came_to_another_host(self):
        self.let_pass(2 * DAY)
        self.assertEqual([], self.age())
        # The guests came with their disks; the host never used the image.
        used = [self.path(self.image)]
        self.assertEqual([], self.age(used=used, cache=self.open('b')))
        self.let_pass(10 * DAY)
        self.assertEqual([], self.end())

    def test_data_of_which_nothing_is_known(self):
        with open(self.path('1234'), 'wb') as file:
            file.write(b'from before')
        self.assertEqual([], self.age())
        self.let_pass(DAY - 60)
        self.assertEqual([], self.age())
        self.assertTrue(os.path.exists(self.path('1234')))

    def test_leftovers_of_crashes(self):
        number = clock.uuid4()
        names = [
            f'.{self.image}.{number}.part',
            f'..{self.image}.{number}.part.{number}.part',
            f'.unknown.{number}.part',
        ]
        for name in names:
            with open(self.path(name), 'wb') as file:
                file.write(b'half')
        self.age()
        self.assertEqual([], self.parts())
        self.assertFalse(self.gone())

    def test_download_in_progress_is_kept(self):
        image = self.service.add(b'other' + DATA)
        seen = []

        def during():
            self.open().remove_expired(set)
            seen.append(len(self.parts()))

        number = clock.uuid4()
        part = self.path(f'.{image}.{number}.part')
        with open(part, 'wb') as file:
            file.write(b'half')
        self.service.during = during
        self.use(image)
        self.assertEqual([0], seen)

        def fetching(context, image_id, path):
            with open(path, 'wb') as file:
                file.write(b'half')
            during()
            with open(path, 'wb') as file:
                file.write(DATA)

        self.service.download = fetching
        self.use(self.service.add())
        self.assertEqual([0, 1], seen)

    def test_unknown_usage_removes_nothing(self):
        def cannot():
            raise exception.DiskFailed(instance_id='(any)', reason='away')

        self.let_pass(10 * DAY)
        self.assertRaises(
            exception.DiskFailed, self.cache.remove_expired, cannot
        )
        self.assertFalse(self.gone())

    def test_empty_cache(self):
        empty = image_cache.ImageCache(
            self.service, os.path.join(self.directory, 'none'), 'a'
        )
        self.assertEqual([], empty.remove_expired(set))


#: A process that uses an image, and says so; it fetches slowly.
PROGRAM = textwrap.dedent(
    """
    import sys, time
    from minova.compute.image_cache import ImageCache
    from tests.unit.compute.test_image_cache import Service
    from tests.unit.images import base

    folder, image_id, doing = sys.argv[1:]
    service = Service()
    number = service.add()
    service.known[image_id] = service.known[number]
    service.data[image_id] = service.data[number]

    def during():
        print('fetches', flush=True)
        sys.stdin.readline()

    def slowly(context, image_id, path):
        with open(path, 'wb') as file:
            file.write(b'half')
        Service.download(service, context, image_id, path)

    service.during = during
    service.download = slowly
    with ImageCache(service, folder, 'a').use(base.OWNER, image_id) as path:
        print('uses', flush=True)
        if doing == 'holds':
            sys.stdin.readline()
    """
)


class ProcessesTest(CacheTestCase):
    """Several processes; tests kill some of them."""

    def run_(self, image_id, doing='uses'):
        process = subprocess.Popen(
            [sys.executable, '-c', PROGRAM, self.folder, image_id, doing],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {'PYTHONPATH': os.pathsep.join(sys.path)},
        )
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stdin.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def test_one_process_fetches(self):
        processes = [self.run_('1234') for _ in range(3)]
        waiting = {p.stdout.fileno(): p for p in processes}
        said = []
        # The process that downloads continues; the others only use the image.
        threads = [
            threading.Thread(target=self._follow, args=(process, said))
            for process in waiting.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(
            ['fetches', 'uses', 'uses', 'uses'], sorted(said), said
        )
        with open(self.path('1234'), 'rb') as file:
            self.assertEqual(DATA, file.read())

    def _follow(self, process, said):
        for line in process.stdout:
            said.append(line.strip())
            if line == 'fetches\n':
                process.stdin.write('\n')
                process.stdin.flush()

    def test_crash_while_fetching(self):
        image = self.service.add()
        process = self.run_(image)
        self.assertEqual('fetches\n', process.stdout.readline())
        self.assertEqual(1, len(self.parts()))
        # What a process that lives fetches is not what a crash has left.
        self.age()
        self.assertEqual(1, len(self.parts()))
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual(DATA, self.use(image))
        self.assertEqual([], self.parts())

    def test_crash_while_using(self):
        image = self.service.add()
        self.use(image)
        process = self.run_(image, 'holds')
        self.assertEqual('uses\n', process.stdout.readline())
        self.clock.advance(10 * DAY)
        for _ in range(3):
            self.assertEqual([], self.age())
            self.clock.advance(DAY)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.assertEqual([], self.age())
        self.clock.advance(DAY)
        self.assertEqual([image], self.age())
