# SPDX-License-Identifier: Apache-2.0
"""Files as blocks: what they are known by, and what is written of them."""

import hashlib
import os

import hypothesis
from hypothesis import strategies

from minova.virt.transfer import blocks
from tests import base

BLOCK, CELL = blocks.BLOCK_SIZE, blocks.CELL_SIZE


class BlocksTest(base.TestCase):
    """Blocks and cells."""

    def file(self, *pieces, size=0):
        path = os.path.join(self.directory, 'file')
        with open(path, 'wb') as file:
            for place, content in pieces:
                file.seek(place)
                file.write(content)
            file.truncate(max(size, file.tell()))
        opened = open(path, 'r+b')  # noqa: SIM115  closed by the cleanup
        self.addCleanup(opened.close)
        return opened.fileno()

    def test_digests_are_those_of_the_content(self):
        size = 4 * BLOCK + 5
        file = self.file((BLOCK + 7, b'x'), (4 * BLOCK, b'last'), size=size)
        with open(os.path.join(self.directory, 'file'), 'rb') as whole:
            wanted = [
                hashlib.sha256(whole.read(BLOCK)).hexdigest() for _ in range(5)
            ]
        self.assertEqual(wanted, blocks.digests(file, size, 0, 64))
        self.assertEqual(wanted[1:3], blocks.digests(file, size, 1, 2))
        self.assertEqual([], blocks.digests(file, size, 5, 2))

    def test_a_hole_is_as_good_as_zeros(self):
        size = 3 * BLOCK
        hole = blocks.digests(self.file(size=size), size, 0, 3)
        zeros = blocks.digests(self.file((0, bytes(size))), size, 0, 3)
        self.assertEqual(hole, zeros)

    def test_a_large_hole_is_not_read(self):
        size = 1 << 40
        file = self.file((size - 1, b'x'), size=size)
        read = []
        self.patch(
            blocks, 'read_block', lambda *args: read.append(args) or b''
        )
        blocks.digests(file, size, 0, 1000)
        blocks.digests(file, size, blocks.count_blocks(size) - 3, 3)
        self.assertEqual(
            [blocks.count_blocks(size) - 1], [args[2] for args in read]
        )

    def test_a_file_that_became_shorter_has_zeros(self):
        file = self.file((0, b'abc'))
        self.assertEqual(b'abc\0\0', blocks.read_block(file, 5, 0))

    def test_equal_blocks_are_not_written(self):
        size = BLOCK
        file = self.file((0, b'a' * 10), size=size)
        block = bytearray(blocks.read_block(file, size, 0))
        block[3 * CELL + 1] = 7
        written = []
        real = os.pwrite

        def pwrite(number, cell, at):
            written.append(at)
            return real(number, cell, at)

        self.patch(os, 'pwrite', pwrite)
        blocks.write_block(file, 0, bytes(block))
        self.assertEqual([3 * CELL], written)
        self.assertEqual(bytes(block), blocks.read_block(file, size, 0))

    def test_zeros_overwrite(self):
        file = self.file((0, b'a' * BLOCK))
        blocks.write_block(file, 0, bytes(BLOCK))
        self.assertEqual(bytes(BLOCK), blocks.read_block(file, BLOCK, 0))

    @hypothesis.settings(max_examples=60)
    @hypothesis.given(
        strategies.integers(1, 3 * CELL + 9),
        strategies.lists(strategies.integers(0, 3 * CELL + 8), max_size=4),
    )
    def test_a_packed_block_is_the_same(self, size, places):
        block = bytearray(size)
        for place in places:
            block[place % size] = 1
        cells, body = blocks.pack(bytes(block))
        self.assertEqual(bytes(block), blocks.unpack(cells, body, size))
        self.assertLessEqual(len(body), len(places) * CELL)

    def test_invalid_block(self):
        for cells, body in ((1, b''), (0, b'x'), (2, b'x' * (CELL + 1))):
            self.assertRaises(ValueError, blocks.unpack, cells, body, 2 * CELL)
