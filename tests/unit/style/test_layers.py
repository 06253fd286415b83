# SPDX-License-Identifier: Apache-2.0
"""The house's rules about itself: who may import whom, how large is large.

Everything is read from the code's own syntax; nothing is imported.
"""

import ast
import pathlib

from tests import base

ROOT = pathlib.Path(base.minova.__file__).parent

#: What each room may use of the others at run time. A room may always use
#: itself and the ground floor.
GROUND = {
    'clock',
    'conf',
    'context',
    'emulators',
    'exception',
    'lockfile',
    'loop',
    'machine',
    'programs',
    'states',
    'version',
}
MAY_USE = {
    'api': {
        'db',
        'identity',
        'images',
        'network',
        'notifications',
        'objects',
        'operations',
        'policy',
        'rpc',
        'wishes',
    },
    'allinone': {
        'api',
        'compute',
        'conductor',
        'console',
        'db',
        'http',
        'identity',
        'images',
        'objects',
        'rig',
        'rpc',
        'virt',
    },
    # It compares what the database and the hosts say, and repairs by means of
    # operations; it asks hosts through the contract, never a hypervisor, and
    # no service, so that a simulation or a test may call it.
    'audit': {'db', 'notifications', 'objects', 'operations', 'rpc'},
    'compute': {'flows', 'images', 'objects', 'rpc', 'virt'},
    'conductor': {
        'db',
        'flows',
        'network',
        'notifications',
        'objects',
        'operations',
        'rpc',
    },
    'conf': {'rpc'},
    # The proxy of screens: it asks conductors, and never looks itself.
    'console': {'http', 'rpc'},
    'context': set(),
    'db': {'objects'},
    'flows': {'notifications', 'objects'},
    'http': set(),
    'identity': set(),
    'images': {'identity'},
    'network': {'db'},
    'notifications': {'db', 'objects', 'rpc'},
    'objects': set(),
    'operations': {
        'db',
        'flows',
        'network',
        'notifications',
        'objects',
        'rpc',
    },
    'policy': set(),
    # Hosts for tests and trials: nothing of the product is in it.
    'rig': set(),
    'rpc': {'objects'},
    'service': set(),
    # It is made of everything, and nothing is made of it.
    'simulation': {
        'api',
        'audit',
        'compute',
        'conductor',
        'db',
        'flows',
        'images',
        'network',
        'notifications',
        'objects',
        'operations',
        'rpc',
        'virt',
    },
    'virt': {'objects', 'wishes'},
    # What flavors and images may ask for: facts, for api and drivers.
    'wishes': set(),
}


def package_of(path):
    """Return the room a file is in: its folder, or its own name."""
    relative = path.relative_to(ROOT)
    return relative.parts[0].removesuffix('.py')


def sources():
    """Return every source file of the product."""
    return sorted(
        path for path in ROOT.rglob('*.py') if 'versions' not in path.parts
    )


def imports(tree):
    """Return what is imported at run time, as dotted names with lines."""
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
    """The request's path is the order of the folders; there is no way back."""

    def test_imports(self):
        wrong = []
        for path in sources():
            room = package_of(path)
            if room in ('__init__', 'cmd'):
                continue
            allowed = MAY_USE.get(room, set()) | GROUND | {room}
            for name, line in imports(ast.parse(path.read_text())):
                if not name.startswith('minova.'):
                    continue
                used = name.split('.')[1]
                if used not in allowed:
                    wrong.append(f'{path}:{line} {room} uses {name}')
        self.assertEqual([], wrong)

    def test_every_package_has_a_rule(self):
        rooms = {package_of(path) for path in sources()} - {'__init__', 'cmd'}
        self.assertEqual(set(), rooms - set(MAY_USE) - GROUND)

    def test_base_modules_import_nothing_above(self):
        wrong = []
        for path in sources():
            room = package_of(path)
            if room not in GROUND - {'conf'}:
                continue
            for name, line in imports(ast.parse(path.read_text())):
                ours = name.startswith('minova.')
                if ours and name.split('.')[1] not in GROUND:
                    wrong.append(f'{path}:{line} {name}')
        self.assertEqual([], wrong)


class SizeTest(base.TestCase):
    """Where a file or a function grows too long a room is missing."""

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
    """Time, threads and ids come from one place, states change in one."""

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
    #: The memory bus keeps its queues under locks that no message crosses; a
    #: simulation's tasks are carried by threads.
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
        """No story hands a state to ``change``."""
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
