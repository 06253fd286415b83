# SPDX-License-Identifier: Apache-2.0
"""Rules of the code: which package may import which, and size limits.

The tests parse the sources; they import no module of the product.
"""

import ast
import pathlib

from tests import base

ROOT = pathlib.Path(base.minova.__file__).parent

#: Modules that every package may use.
BASE_MODULES = {
    'atomic_files',
    'cancellation',
    'clock',
    'conf',
    'context',
    'cpu_set',
    'exception',
    'json_bodies',
    'lockfile',
    'log_format',
    'loops',
    'machine_id',
    'migration_states',
    'periodic',
    'power_reconciliation',
    'private_files',
    'states',
    'subprocesses',
    'version',
}
#: What else each package may use at run time, beside itself: packages, or
#: single modules of one.
MAY_USE = {
    'api': {
        'db',
        'engine',
        'extra_specs',
        'flows.interfaces',
        'identity',
        'images',
        'network',
        'notifications',
        'numa',
        'objects',
        'policy',
        'quotas',
        'rpc',
        'serving.http_admission',
    },
    'allinone': {
        'api',
        'compute',
        'conductor',
        'console',
        'db',
        'identity',
        'images',
        'network',
        'objects',
        'rig',
        'rpc',
        'serving',
        'virt',
    },
    # It compares what the database and the hosts report and repairs by means
    # of operations; it reaches hosts through the contract, never a hypervisor
    # or a service, so that a simulation or a test can call it.
    'audit': {
        'db',
        'engine',
        'images',
        'notifications',
        'numa',
        'objects',
        'rpc',
    },
    'compute': {
        'flows',
        'images',
        'numa',
        'objects',
        'rpc',
        'serving',
        'virt',
    },
    'conductor': {
        'db',
        'engine',
        'extra_specs',
        'flows',
        'network',
        'notifications',
        'numa',
        'objects',
        'rpc',
    },
    'conf': {'rpc'},
    # The console proxy asks conductors; it never reads the database.
    'console': {'rpc', 'serving'},
    'context': set(),
    'db': {'objects'},
    'engine': {
        'db',
        'flows',
        'network',
        'notifications',
        'numa',
        'objects',
        'rpc',
    },
    # What flavors and images may require of a guest: data, for api, conductor
    # and virt.
    'extra_specs': set(),
    'flows': {'notifications', 'objects', 'rpc'},
    'identity': set(),
    'images': {'identity'},
    'network': {'db', 'identity', 'quotas'},
    'notifications': {'db', 'objects', 'rpc'},
    # NUMA cells of hosts, and the placement of guests in them.
    'numa': {'extra_specs'},
    'objects': set(),
    'policy': set(),
    'quotas': {'db', 'objects'},
    # Hosts for tests and trials; the product only says which QEMU is usable.
    'rig': {'virt.qemu_version'},
    'rpc': {'objects'},
    'sd_notify': {'watchdog'},
    'service': {'sd_notify', 'watchdog'},
    'serving': set(),
    # The simulation may use every package; no package uses the simulation.
    'simulation': {
        'api',
        'audit',
        'compute',
        'conductor',
        'db',
        'engine',
        'flows',
        'images',
        'network',
        'notifications',
        'objects',
        'rpc',
        'virt',
    },
    'virt': {
        'extra_specs',
        'images.qcow2',
        'numa',
        'objects',
        'serving.acceptor',
        'serving.certificate',
    },
    'watchdog': set(),
}
#: The same between the modules and packages inside a package.
MAY_USE_WITHIN = {
    'db': {
        'connections': {'types'},
        'migrate': {'connections'},
        'migrations': {'tables', 'types'},
        'queries': {'connections', 'tables', 'types'},
        'schema': {'connections'},
        'tables': {'types'},
        'types': set(),
    },
}


def package_of(path):
    """Return the package of a file: its top folder, or its own name."""
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix('.py')


def sources():
    """Return every source file of the product."""
    return sorted(
        path for path in ROOT.rglob('*.py') if 'versions' not in path.parts
    )


def imports(tree):
    """Give the imports at run time: a dotted name and its line each."""
    typing_only = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and 'TYPE_CHECKING' in ast.dump(node.test):
            typing_only.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield f'{node.module}.{name.name}', node.lineno


class LayersTest(base.TestCase):
    """Imports follow the path of a request and never point back."""

    def test_imports(self):
        wrong = []
        for path in sources():
            package = package_of(path)
            if package in ('__init__', 'cmd'):
                continue
            allowed = MAY_USE.get(package, set()) | BASE_MODULES | {package}
            for name, line in imports(ast.parse(path.read_text())):
                if not name.startswith('minova.'):
                    continue
                _, used, *rest = name.split('.')
                if not {used, '.'.join((used, *rest[:1]))} & allowed:
                    wrong.append(f'{path}:{line} {package} uses {name}')
        self.assertEqual([], wrong)

    def test_every_package_has_a_rule(self):
        packages = {package_of(path) for path in sources()}
        packages -= {'__init__', 'cmd'}
        self.assertEqual(set(), packages - set(MAY_USE) - BASE_MODULES)

    def test_every_rule_has_a_package(self):
        packages = {package_of(path) for path in sources()}
        self.assertEqual(set(), {*MAY_USE, *BASE_MODULES} - packages)

    def test_imports_within_a_package(self):
        wrong = []
        for package, rules in MAY_USE_WITHIN.items():
            for path in sources():
                parts = path.relative_to(ROOT).with_suffix('').parts
                if parts[0] != package or parts[1] == '__init__':
                    continue
                allowed = rules[parts[1]] | {parts[1]}
                wrong += [
                    f'{path}:{line} uses {name}'
                    for name, line in imports(ast.parse(path.read_text()))
                    if name.startswith(f'minova.{package}.')
                    and name.split('.')[2] not in allowed
                ]
        self.assertEqual([], wrong)

    def test_base_modules_import_nothing_above(self):
        wrong = []
        for path in sources():
            package = package_of(path)
            if package not in BASE_MODULES - {'conf'}:
                continue
            for name, line in imports(ast.parse(path.read_text())):
                ours = name.startswith('minova.')
                if ours and name.split('.')[1] not in BASE_MODULES:
                    wrong.append(f'{path}:{line} {name}')
        self.assertEqual([], wrong)


class SizeTest(base.TestCase):
    """A file, function or interface that is too large must be split."""

    def test_modules(self):
        long = [
            f'{path}: {len(path.read_text().splitlines())}'
            for path in sources()
            if len(path.read_text().splitlines()) > 500
        ]
        self.assertEqual([], long)

    def test_functions(self):
        long = [
            f'{path}:{node.lineno} {node.name}'
            for path in sources()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and node.end_lineno - node.lineno >= 60
        ]
        self.assertEqual([], long)

    def test_interfaces(self):
        wide = [
            f'{path}:{node.lineno} {node.name}'
            for path in sources()
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ClassDef)
            and any('Protocol' in ast.dump(b) for b in node.bases)
            and sum(isinstance(n, ast.FunctionDef) for n in node.body) > 25
            and node.name not in ('Compute',)
        ]
        self.assertEqual([], wide)


class SeamsTest(base.TestCase):
    """Time, threads and ids have one source; states have one writer."""

    FORBIDDEN = {
        ('time', 'sleep'),
        ('time', 'time'),
        ('time', 'monotonic'),
        ('threading', 'Thread'),
        ('threading', 'Event'),
        ('threading', 'Lock'),
        ('uuid', 'uuid4'),
        ('uuid', 'uuid1'),
        ('uuidutils', 'generate_uuid'),
        ('timeutils', 'utcnow'),
        ('datetime', 'now'),
        ('datetime', 'utcnow'),
    }
    #: The in-memory bus guards its queues with locks that it never holds while
    #: it delivers; a simulation runs its tasks on threads.
    EXCEPT = {
        ('rpc/memory.py', 'Lock'),
        ('simulation/scheduler.py', 'Lock'),
        ('simulation/scheduler.py', 'Thread'),
    }

    def test_only_clock_uses_time_threads_and_ids(self):
        wrong = []
        for path in sources():
            if path.name == 'clock.py':
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Attribute):
                    continue
                owner = node.value
                name = getattr(owner, 'id', getattr(owner, 'attr', None))
                known = (str(path.relative_to(ROOT)), node.attr)
                if known in self.EXCEPT:
                    continue
                if (name, node.attr) in self.FORBIDDEN:
                    wrong.append(f'{path}:{node.lineno} {name}.{node.attr}')
        self.assertEqual([], wrong)

    def test_states_are_assigned_in_one_place(self):
        fields = {'vm_state', 'task_state', 'task_id'}
        wrong = []
        for path in sources():
            for node in ast.walk(ast.parse(path.read_text())):
                targets = getattr(node, 'targets', None) or [
                    getattr(node, 'target', None)
                ]
                if not isinstance(node, ast.Assign | ast.AugAssign):
                    continue
                for target in targets:
                    attribute = getattr(target, 'attr', None)
                    owner = getattr(getattr(target, 'value', None), 'id', '')
                    if attribute in fields and owner != 'self':
                        wrong.append(f'{path}:{node.lineno} {attribute}')
        self.assertEqual([], wrong)

    def test_unit_of_work_sets_only_computed_states(self):
        """No flow passes a state to ``change``."""
        fields = {'vm_state', 'task_state', 'task_id', 'generation'}
        wrong = []
        for path in sources():
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                if getattr(node.func, 'attr', None) != 'change':
                    continue
                wrong += [
                    f'{path}:{node.lineno} {keyword.arg}'
                    for keyword in node.keywords
                    if keyword.arg in fields
                ]
        self.assertEqual([], wrong)


class WaitsTest(base.TestCase):
    """A step waits by ``cancellation``, so that a delete can end it."""

    PACKAGES = ('compute', 'flows', 'images', 'virt')
    #: The waits of threads that run no step, with the reason.
    EXCEPT = {
        # The threads of the service, and their end.
        ('compute/conductor_client.py', '_stop_signal.wait'),
        ('compute/power_sync.py', 'clock.sleep'),
        ('compute/service.py', '_registered.wait'),
        ('compute/step_runner.py', '_stopping.wait'),
        ('virt/libvirt/host.py', 'clock.sleep'),
        # The caller of a nested step; the step itself has the signal.
        ('compute/step_runner.py', 'other.wait'),
        # The signal of the step itself.
        ('compute/step_context.py', 'stop_signal.wait'),
        # They do not wait.
        ('compute/image_store.py', 'lockfile.acquire'),
        ('images/embedded.py', 'lockfile.acquire'),
        ('virt/libvirt/connection.py', 'event_loop.acquire'),
        # A host that starts.
        ('virt/libvirt/embedded/store.py', 'clock.sleep'),
        # A thread of a console, which runs no step.
        ('virt/libvirt/qemu/consoles.py', 'sender.join'),
        # An attempt has ended when its result is read, or waits cancellably.
        ('virt/libvirt/connection.py', 'attempt.result'),
        # The hypervisor of tests, whose calls nothing ends.
        ('virt/fake/host.py', 'clock.sleep'),
        ('virt/fake/hypervisor.py', 'thread.join'),
        ('virt/fake/remote.py', 'clock.sleep'),
    }
    #: Methods that wait. ``join`` with arguments is that of texts and paths.
    METHODS = ('sleep', 'wait', 'result', 'join', 'acquire')
    #: Owners whose waits end.
    CANCELLABLE = ('cancellation', 'ctx')

    def waits(self, path):
        """Yield the owner and the method of each wait of a module."""
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            if not isinstance(node.func, ast.Attribute):
                continue
            owner, method = node.func.value, node.func.attr
            name = getattr(owner, 'id', getattr(owner, 'attr', ''))
            if method not in self.METHODS or name in self.CANCELLABLE:
                continue
            if method == 'join' and node.args:
                continue
            yield f'{name}.{method}'

    def test_waits_can_be_cancelled(self):
        found = {
            (str(path.relative_to(ROOT)), wait)
            for path in sources()
            if package_of(path) in self.PACKAGES
            for wait in self.waits(path)
        }
        self.assertEqual(set(), found - self.EXCEPT, 'uncancellable waits')
        self.assertEqual(set(), self.EXCEPT - found, 'exceptions for nothing')
