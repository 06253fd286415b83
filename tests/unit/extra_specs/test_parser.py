# SPDX-License-Identifier: Apache-2.0
"""Extra specs and image properties: accepted, rejected or ignored."""

import math

import hypothesis
from hypothesis import strategies

from minova import exception
from minova.extra_specs import parser
from minova.extra_specs import table
from tests import base

quickly = hypothesis.settings(max_examples=200, derandomize=True)
any_text = strategies.text(max_size=30)


def read(specs=None, image=None, vcpus=4, memory_mb=4096):
    return parser.parse(specs or {}, image or {}, vcpus, memory_mb)


class ParserTestCase(base.TestCase):
    """Assertions on the requirements and on the errors."""

    def granted(self, *args, **kwargs):
        found = read(*args, **kwargs)
        self.assertEqual((), found.errors)
        return found.requirements

    def refused(self, word, *args, **kwargs):
        """Check that there is exactly one error, with this text."""
        found = read(*args, **kwargs)
        self.assertEqual(1, len(found.errors), found.errors)
        self.assertIn(word, found.errors[0])
        return found.requirements


class NamesTest(ParserTestCase):
    """Known and unknown names, and other namespaces."""

    def test_no_name_twice(self):
        for rows in (table.EXTRA_SPECS, table.IMAGE_PROPERTIES):
            names = [spec.name for spec in rows]
            self.assertEqual(sorted(set(names)), sorted(names))

    def test_every_row_has_an_effect_or_is_marked(self):
        parts = {'cpu', 'max', 'disk', 'inbound', 'outbound', 'video'}
        fields = set(parser.GuestRequirements.__dataclass_fields__)
        # ``extra_specs.numa`` combines them.
        fields |= {'cpu_policy', 'numa_nodes', 'numa_cpus', 'numa_mem'}
        for spec in (*table.EXTRA_SPECS, *table.IMAGE_PROPERTIES):
            known = spec.field.partition('.')[0] in parts | fields
            self.assertEqual(
                not known, spec.effect.startswith('none'), spec.name
            )

    def test_every_extra_spec_is_in_a_namespace_of_ours(self):
        for spec in table.EXTRA_SPECS:
            self.assertIn(spec.name.partition(':')[0], table.NAMESPACES)

    def test_names_of_others_have_no_effect(self):
        others = {
            'trait:HW_CPU_X86_AVX2': 'required',
            'aggregate_instance_extra_specs:ssd': 'true',
            'resources:VCPU': '2',
            'hw': 'x',
            'hwx:cpu_policy': 'x',
            'acme:anything': '\u4e16',
            ':': '',
        }
        self.assertEqual(self.granted(), self.granted(others))
        self.assertEqual(
            self.granted(), self.granted({}, {'hw_unheard_of': 'x'})
        )

    def test_unknown_names_of_ours(self):
        for name in (
            'hw:numa_cpus.N',
            'hw:',
            'quota:memory_limit',
            'hw_rng:speed',
            'hw_video:ram_min_mb',
            'pci_passthrough:alias',
            'os:secure_boot',
        ):
            self.refused(name, {name: '1'})
        self.refused('hw_rng:allowed', {'hw_rng:speed': '1'})

    def test_impossible_requirements(self):
        self.refused('Use dedicated or shared', {'hw:cpu_policy': 'mixed'})
        self.refused('Use dedicated', {}, {'hw_cpu_policy': 'mixed'})
        self.granted({'hw:cpu_policy': 'shared'})
        self.refused('can stop its host', {'hw:cpu_realtime': 'yes'})
        self.granted({'hw:cpu_realtime': 'no'})
        self.refused('cannot migrate', {'hw:mem_encryption': 'true'})
        self.refused('cannot migrate', {}, {'hw_mem_encryption': 'true'})

    def test_video_memory(self):
        flavor = {'hw_video:ram_max_mb': '16'}
        image = {'hw_video_ram': '16', 'hw_video_model': 'vga'}
        self.assertEqual(16, self.granted(flavor, image).video_ram)
        self.refused('ram_max_mb=0 of the flavor', {}, image)
        self.refused('16 of the', flavor, image | {'hw_video_ram': '17'})
        self.refused('needs hw_video_model', flavor, {'hw_video_ram': '16'})

    def test_names_of_architectures(self):
        for given, name in (
            ('x86_64', 'x86_64'),
            ('AMD64', 'x86_64'),
            ('i386', 'i686'),
            ('arm64', 'aarch64'),
        ):
            made = self.granted({}, {'architecture': given})
            self.assertEqual(name, made.architecture)
        made = self.granted(
            {}, {'architecture': 'x86_64', 'hw_architecture': 'aarch64'}
        )
        self.assertEqual('aarch64', made.architecture)
        self.refused('must be x86_64', {}, {'hw_architecture': 'pdp11'})
        made = self.granted({}, {'img_hv_type': 'KVM', 'vm_mode': 'pv'})
        self.assertEqual(('kvm', 'xen'), (made.hypervisor, made.vm_mode))

    def test_empty_properties_are_none(self):
        empty = dict.fromkeys(
            (spec.name for spec in table.IMAGE_PROPERTIES), ''
        )
        self.assertEqual(self.granted(), self.granted({}, empty))

    def test_all_errors_are_reported(self):
        error = self.assertRaises(
            exception.InvalidInput,
            parser.validate,
            {'hw:cpu_policy': 'x', 'quota:cpu_shares': '0'},
            {'hw_video_model': 'y'},
            1,
            64,
        )
        for name in ('hw:cpu_policy', 'quota:cpu_shares', 'hw_video_model'):
            self.assertIn(name, str(error))
        self.assertEqual(400, error.status)


class ValuesTest(ParserTestCase):
    """The values that an extra spec accepts."""

    def test_numbers(self):
        for text in ('2', '10000', '0100'):
            self.assertEqual(
                int(text), self.granted({'quota:cpu_shares': text}).cpu_shares
            )
        for text in ('1', '10001', '-5', '', ' 2', '2.0', '\u0662', '9' * 99):
            self.refused('2 to 10000', {'quota:cpu_shares': text})
        self.assertEqual(-1, self.granted({'quota:cpu_quota': '-1'}).cpu_quota)
        self.refused('or -1', {'quota:cpu_quota': '-2'})

    def test_flags(self):
        for text, value in (('True', True), ('no', False), ('0', False)):
            self.assertIs(value, self.granted({'hw_rng:allowed': text}).rng)
        self.refused('yes or no', {'hw_rng:allowed': 'perhaps'})

    def test_choices(self):
        made = self.granted({'hw:watchdog_action': 'reset'})
        self.assertEqual('reset', made.watchdog)
        self.refused('pause or none', {'hw:watchdog_action': 'explode'})

    def test_machines(self):
        for text in ('q35', 'pc', 'pc-q35-7.2', 'pc-i440fx-10.0'):
            made = self.granted({}, {'hw_machine_type': text})
            self.assertEqual(text, made.machine)
        for text in ('virt', 'pc-q35-7.2,usb=off', 'q35\n', 'pc-q35-\u0667.2'):
            self.refused('q35, pc', {}, {'hw_machine_type': text})

    def test_image_precedes_flavor(self):
        made = self.granted(
            {'hw:watchdog_action': 'reset', 'hw:boot_menu': 'yes'},
            {'hw_watchdog_action': 'pause', 'hw_boot_menu': 'no'},
        )
        self.assertEqual(('pause', False), (made.watchdog, made.boot_menu))

    def test_any_text_in_any_extra_spec(self):
        names = [spec.name for spec in table.EXTRA_SPECS]
        properties = [spec.name for spec in table.IMAGE_PROPERTIES]

        @quickly
        @hypothesis.given(
            specs=strategies.dictionaries(
                strategies.sampled_from(names) | any_text, any_text
            ),
            image=strategies.dictionaries(
                strategies.sampled_from(properties) | any_text, any_text
            ),
        )
        def readable(specs, image):
            found = read(specs, image)
            self.assertEqual(4, math.prod(found.requirements.topology))

        readable()


class TopologyTest(ParserTestCase):
    """Sockets, cores and threads."""

    def arranged(self, specs, vcpus, image=None):
        made = self.granted(
            {f'hw:cpu_{name}': str(n) for name, n in specs.items()},
            {f'hw_cpu_{name}': str(n) for name, n in (image or {}).items()},
            vcpus,
        )
        return tuple(made.topology)

    def test_arrangements(self):
        for specs, vcpus, wanted in (
            ({}, 4, (4, 1, 1)),
            ({'sockets': 1}, 4, (1, 4, 1)),
            ({'cores': 2}, 4, (2, 2, 1)),
            ({'threads': 2}, 8, (4, 1, 2)),
            ({'sockets': 2, 'threads': 2}, 8, (2, 2, 2)),
            ({'max_sockets': 2}, 8, (2, 4, 1)),
            ({'max_sockets': 2, 'max_cores': 2}, 8, (2, 2, 2)),
            ({'max_sockets': 4}, 7 * 3, (3, 7, 1)),
            ({}, 65535, (65535, 1, 1)),
        ):
            self.assertEqual(wanted, self.arranged(specs, vcpus), specs)

    def test_image_within_the_flavor(self):
        self.assertEqual(
            (2, 2, 1), self.arranged({'sockets': 4}, 4, {'sockets': 2})
        )
        self.assertEqual(
            (1, 4, 1), self.arranged({'max_sockets': 2}, 4, {'max_sockets': 1})
        )
        self.refused(
            'at most 2 sockets',
            {'hw:cpu_max_sockets': '2'},
            {'hw_cpu_sockets': '4'},
        )

    def test_topology_must_multiply(self):
        for specs, vcpus in (
            ({'sockets': '3'}, 4),
            ({'sockets': '2', 'cores': '2', 'threads': '2'}, 4),
            ({'max_sockets': '1', 'max_cores': '1', 'max_threads': '2'}, 4),
            ({'cores': '8'}, 4),
        ):
            given = {f'hw:cpu_{name}': n for name, n in specs.items()}
            made = self.refused('product of', given, vcpus=vcpus)
            self.assertEqual((vcpus, 1, 1), made.topology)


class MemoryTest(ParserTestCase):
    """hw:mem_page_size."""

    def pages(self, flavor, image=None, memory_mb=4096):
        specs = {'hw:mem_page_size': flavor} if flavor else {}
        properties = {'hw_mem_page_size': image} if image else {}
        return self.granted(specs, properties, memory_mb=memory_mb).pages

    def test_sizes(self):
        for text, size in (
            (None, None),
            ('small', None),
            ('4', None),
            ('4KB', None),
            ('any', None),
            ('large', 'large'),
            ('2048', 2048),
            ('2MB', 2048),
            ('1GB', 1048576),
            ('1048576', 1048576),
        ):
            self.assertEqual(size, self.pages(text), text)
        for text in ('3MB', '2mb', '0', 'huge', '2 MB', '-4'):
            self.refused('2MB or 1GB', {'hw:mem_page_size': text})

    def test_of_the_image(self):
        self.assertEqual(2048, self.pages('any', '2MB'))
        self.assertEqual(2048, self.pages('large', '2MB'))
        self.assertEqual('large', self.pages('large', 'any'))
        self.assertIsNone(self.pages('any', 'small'))
        image = {'hw_mem_page_size': '2MB'}
        self.refused('needs a flavor', {}, image)
        self.refused('needs a flavor', {'hw:mem_page_size': 'small'}, image)
        self.refused(
            'contradicts',
            {'hw:mem_page_size': 'large'},
            {'hw_mem_page_size': 'small'},
        )

    def test_memory_must_be_whole_pages(self):
        for size, memory_mb in (('2MB', 4095), ('1GB', 1536)):
            made = self.refused(
                'not a multiple',
                {'hw:mem_page_size': size},
                memory_mb=memory_mb,
            )
            self.assertIsNone(made.pages)


class QuotaTest(ParserTestCase):
    """Limits of disks and interfaces."""

    def test_disks(self):
        made = self.granted(
            {
                'quota:disk_total_bytes_sec': '1000',
                'quota:disk_total_bytes_sec_max': '2000',
                'quota:disk_read_iops_sec': '5',
            }
        )
        self.assertEqual(
            {
                'total_bytes_sec': 1000,
                'total_bytes_sec_max': 2000,
                'read_iops_sec': 5,
            },
            dict(made.disk),
        )

    def test_limits_that_exclude_each_other(self):
        made = self.refused(
            'cannot be combined with',
            {
                'quota:disk_total_iops_sec': '10',
                'quota:disk_write_iops_sec': '10',
            },
        )
        self.assertEqual((), made.disk)

    def test_a_moment_needs_the_long_run(self):
        for specs in (
            {'read_bytes_sec_max': '10'},
            {'read_bytes_sec_max': '10', 'read_bytes_sec': '11'},
        ):
            self.refused(
                'needs quota:disk_read_bytes_sec',
                {f'quota:disk_{name}': n for name, n in specs.items()},
            )

    def test_interfaces(self):
        made = self.granted(
            {
                'quota:vif_inbound_average': '100',
                'quota:vif_inbound_peak': '200',
                'quota:vif_outbound_average': '50',
                'quota:vif_outbound_burst': '70',
            }
        )
        self.assertEqual(parser.Bandwidth(100, 200, None), made.inbound)
        self.assertEqual(parser.Bandwidth(50, None, 70), made.outbound)
        self.refused(
            'needs quota:vif_inbound_average', {'quota:vif_inbound_peak': '2'}
        )

    def test_burst_maximum(self):
        """A burst over 32 bits of bytes is refused by libvirt 11."""
        rate = {'quota:vif_inbound_average': '100'}
        self.granted(rate | {'quota:vif_inbound_burst': '4194303'})
        self.refused(
            '1 to 4194303', rate | {'quota:vif_inbound_burst': '4194304'}
        )

    def test_random_numbers(self):
        self.refused('needs hw_rng:rate_bytes', {'hw_rng:rate_period': '9'})
        made = self.granted({'hw_rng:rate_bytes': '9'})
        self.assertEqual((9, 1000), (made.rng_bytes, made.rng_period))


class KernelTest(ParserTestCase):
    """kernel_id, ramdisk_id, os_command_line."""

    def test_kernel_arguments(self):
        image = {'kernel_id': 'k', 'ramdisk_id': 'r'}
        made = self.granted({}, image)
        self.assertEqual(('k', 'r'), (made.kernel_id, made.ramdisk_id))
        self.assertEqual(
            'root=/dev/vda console=tty0 console=ttyS0',
            made.kernel_command_line,
        )
        made = self.granted({}, image | {'hw_disk_bus': 'scsi'})
        self.assertIn('root=/dev/sda', made.kernel_command_line)
        made = self.granted({}, image | {'os_command_line': 'quiet'})
        self.assertEqual('quiet', made.kernel_command_line)

    def test_without_a_kernel(self):
        self.refused('needs kernel_id', {}, {'ramdisk_id': 'r'})
        made = self.granted({}, {'os_command_line': 'quiet'})
        self.assertIsNone(made.command_line)

    def test_invalid_kernel_ids_and_arguments(self):
        self.refused('id of an image', {}, {'kernel_id': '../../etc/passwd'})
        image = {'kernel_id': 'k', 'os_command_line': 'a\nb'}
        self.refused('one line', {}, image)
        image['os_command_line'] = 'a' * 2001
        self.refused('2000 characters', {}, image)
