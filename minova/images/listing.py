# SPDX-License-Identifier: Apache-2.0
"""The query of an image list: filters, order and pages.

An unknown parameter filters by a free property with this value, as in Glance.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
import operator
import re
from typing import Any
from urllib import parse

from minova import conf
from minova import exception
from minova import images

_Comparison = Callable[[datetime.datetime, datetime.datetime], bool]
_Params = Mapping[str, str | list[str]]
_Test = Callable[[images.Image], bool]

_SORT_KEYS = (
    'name',
    'status',
    'container_format',
    'disk_format',
    'size',
    'id',
    'created_at',
    'updated_at',
    'min_disk',
    'min_ram',
)
#: Filters that also accept ``in:one,two``.
_CHOICES = ('id', 'name', 'status', 'container_format', 'disk_format')
_EXACT = ('visibility', 'owner', 'checksum', 'os_hash_value')
_OPERATORS = {
    'gt': operator.gt,
    'gte': operator.ge,
    'lt': operator.lt,
    'lte': operator.le,
    'eq': operator.eq,
    'neq': operator.ne,
}
#: Parameters that select the page, not the images.
_PAGING = ('limit', 'marker', 'sort', 'sort_key', 'sort_dir')
_IGNORED = ('member_status',)


def select_page(
    found: Sequence[images.Image], params: _Params
) -> tuple[list[images.Image], str | None]:
    """Return the requested page, and the marker of the next one, if any.

    Raises InvalidInput for an invalid parameter or a marker that is not in
    ``found``.
    """
    tests = _make_tests(params)
    limit = _page_size(params)
    order = _sort(found, _parse_sort(params))
    marker = _single_value(params, 'marker')
    if marker is not None:
        places = [image.id for image in order]
        if marker not in places:
            raise exception.InvalidInput(
                reason='there is no image with the id of the marker.'
            )
        order = order[places.index(marker) + 1 :]
    fitting = [image for image in order if all(test(image) for test in tests)]
    shown = fitting[:limit]
    more = len(fitting) > limit > 0
    return shown, shown[-1].id if more else None


def page_path(params: _Params, marker: str | None = None) -> str:
    """Return the path of the page after ``marker`` of the same list."""
    kept = {name: params[name] for name in params if name != 'marker'}
    if marker is not None:
        kept['marker'] = marker
    query = parse.urlencode(kept, doseq=True)
    return f'/v2/images?{query}' if query else '/v2/images'


def _make_tests(params: _Params) -> list[_Test]:
    """Return the predicates of the filters."""
    tests = [_make_test(name, params) for name in params]
    if 'os_hidden' not in params:
        tests.append(lambda image: not image.hidden)
    if 'visibility' not in params:
        # Community images are listed on request only.
        tests.append(lambda image: image.visibility != 'community')
    return [test for test in tests if test is not None]


def _make_test(name: str, params: _Params) -> _Test | None:
    if name in _PAGING or name in _IGNORED:
        return None
    if name == 'tag':
        value = params[name]
        wanted = {value} if isinstance(value, str) else set(value)
        return lambda image: wanted <= set(image.tags)
    text = _single_value(params, name) or ''
    if name in _CHOICES:
        among = _parse_choices(text)
        return lambda image: getattr(image, name) in among
    if name in _EXACT:
        if name == 'visibility' and text == 'all':
            return lambda _image: True
        field = name.removeprefix('os_')
        return lambda image: getattr(image, field) == text
    if name in ('protected', 'os_hidden'):
        field, flag = name.removeprefix('os_'), _parse_flag(name, text)
        return lambda image: getattr(image, field) is flag
    if name in ('size_min', 'size_max'):
        bound = _parse_number(name, text)
        if name == 'size_min':
            return lambda image: (image.size or 0) >= bound
        return lambda image: (image.size or 0) <= bound
    if name in ('min_disk', 'min_ram', 'size'):
        number = _parse_number(name, text)
        return lambda image: getattr(image, name) == number
    if name in ('created_at', 'updated_at'):
        compare, moment = _parse_time(name, text)
        return lambda image: compare(
            getattr(image, name).replace(microsecond=0), moment
        )
    return lambda image: image.properties.get(name) == text


def _single_value(params: _Params, name: str) -> str | None:
    value = params.get(name)
    if isinstance(value, list):
        raise exception.InvalidInput(
            reason=f'{name[:64]} must not be repeated.'
        )
    return value


def _parse_choices(text: str) -> frozenset[str]:
    """Return the values of a filter: one, or a list with quotes."""
    if not text.startswith('in:'):
        return frozenset({text})
    return frozenset(
        quoted or plain
        for quoted, plain in re.findall(r'"([^"]*)"|([^,"]+)', text[3:])
    )


def _parse_flag(name: str, text: str) -> bool:
    try:
        return {'true': True, 'false': False}[text.lower()]
    except KeyError as error:
        raise exception.InvalidInput(
            reason=f'{name} must be true or false.'
        ) from error


def _parse_number(name: str, text: str) -> int:
    if not re.fullmatch('[0-9]{1,18}', text):
        raise exception.InvalidInput(
            reason=f'{name} must be a non-negative integer.'
        )
    return int(text)


def _parse_time(name: str, text: str) -> tuple[_Comparison, datetime.datetime]:
    word, colon, rest = text.partition(':')
    compare = _OPERATORS.get(word)
    if compare is None or not colon:
        compare, rest = operator.eq, text
    try:
        moment = datetime.datetime.fromisoformat(rest)
    except ValueError as error:
        raise exception.InvalidInput(
            reason=(
                f'{name} must be an ISO 8601 time after one of '
                f'{", ".join(_OPERATORS)} and a colon.'
            )
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return compare, moment


def _page_size(params: _Params) -> int:
    largest = int(conf.CONF.api.max_limit)
    text = _single_value(params, 'limit')
    return (
        largest if text is None else min(_parse_number('limit', text), largest)
    )


def _parse_sort(params: _Params) -> list[tuple[str, bool]]:
    """Return the sort keys, the first first, and which are descending."""
    given = _single_value(params, 'sort')
    if given is not None:
        if 'sort_key' in params or 'sort_dir' in params:
            raise exception.InvalidInput(
                reason='sort excludes sort_key and sort_dir.'
            )
        pairs = [
            (key.strip(), (direction or 'desc').strip())
            for key, _, direction in (
                part.partition(':') for part in given.split(',')
            )
        ]
    else:
        keys = _values(params, 'sort_key') or ['created_at']
        directions = _values(params, 'sort_dir') or ['desc']
        if len(directions) == 1:
            directions *= len(keys)
        if len(directions) != len(keys):
            raise exception.InvalidInput(
                reason='sort_dir must be given once, or once a sort_key.'
            )
        pairs = list(zip(keys, directions, strict=True))
    for key, direction in pairs:
        if key not in _SORT_KEYS or direction not in ('asc', 'desc'):
            raise exception.InvalidInput(
                reason=f'images are sorted by {", ".join(_SORT_KEYS)}, asc '
                'or desc.'
            )
    # Pages need a total order, also of equal images.
    return [
        *((key, direction == 'desc') for key, direction in pairs),
        ('id', pairs[-1][1] == 'desc'),
    ]


def _values(params: _Params, name: str) -> list[str]:
    value = params.get(name, [])
    return [value] if isinstance(value, str) else value


def _sort(
    found: Sequence[images.Image], order: list[tuple[str, bool]]
) -> list[images.Image]:
    """Return sorted images; missing values sort first."""
    ordered = list(found)
    for key, down in reversed(order):
        ordered.sort(key=_sort_value(key), reverse=down)
    return ordered


def _sort_value(key: str) -> Callable[[images.Image], tuple[bool, Any]]:
    def value(image: images.Image) -> tuple[bool, Any]:
        found = getattr(image, key)
        return found is not None, found

    return value
