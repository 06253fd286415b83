# SPDX-License-Identifier: Apache-2.0
"""Collections and members of the embedded Identity v3, for any type of row.

Policy decides who sees and changes them. A user sees itself, its projects and
the catalog; an administrator sees everything and changes accounts.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
from typing import Any

import falcon

from minova import exception
from minova.identity import embedded
from minova.identity import http_io
from minova.identity import schemas
from minova.identity.http_io import Document


@dataclasses.dataclass(frozen=True)
class ResourceType:
    """A listed type of resource."""

    plural: str
    singular: str
    rows: Callable[[embedded.Identity, str], Iterable[Document]]
    """Return the rows, from the store and the base URL."""

    target: str | None = None
    """The attribute of a policy's target that is the id of a row."""


@dataclasses.dataclass(frozen=True)
class Editor:
    """The changes of a type; each returns the new document."""

    create: Callable[[embedded.Identity, dict[str, Any]], Document]
    update: Callable[[embedded.Identity, str, dict[str, Any]], Document]
    delete: Callable[[embedded.Identity, str], None]


def routes(
    store: embedded.Identity,
    resource_type: ResourceType,
    editor: Editor | None = None,
) -> list[tuple[str, object]]:
    """Return the URI templates and the falcon resources of a type."""
    base = f'/identity/v3/{resource_type.plural}'
    member = f'{base}/{{row_id}}'
    if editor is None:
        return [
            (base, Collection(store, resource_type)),
            (member, Member(store, resource_type)),
        ]
    return [
        (base, EditableCollection(store, resource_type, editor)),
        (member, EditableMember(store, resource_type, editor)),
    ]


class Collection:
    """The collection of a type."""

    def __init__(
        self, store: embedded.Identity, resource_type: ResourceType
    ) -> None:
        self._store = store
        self._resource_type = resource_type

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the rows; a parameter with the name of a field is a filter."""
        resource_type = self._resource_type
        http_io.require(req, f'identity:list_{resource_type.plural}')
        send_list(
            req,
            resp,
            resource_type.plural,
            resource_type.rows(self._store, http_io.get_base_url(req)),
        )


class Member:
    """One row of a type."""

    def __init__(
        self, store: embedded.Identity, resource_type: ResourceType
    ) -> None:
        self._store = store
        self._resource_type = resource_type

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Show the row."""
        resource_type = self._resource_type
        target = {resource_type.target: row_id} if resource_type.target else {}
        # Before the search, so that the status does not tell which ids exist.
        http_io.require(
            req, f'identity:get_{resource_type.singular}', **target
        )
        base_url = http_io.get_base_url(req)
        found = {
            row['id']: row for row in resource_type.rows(self._store, base_url)
        }
        row = found.get(row_id)
        if row is None:
            raise exception.NotFound(
                f'Could not find {resource_type.singular}: {row_id[:64]}.'
            )
        _send_row(req, resp, resource_type, row)


class EditableCollection(Collection):
    """The collection of a type that administrators change."""

    def __init__(
        self,
        store: embedded.Identity,
        resource_type: ResourceType,
        editor: Editor,
    ) -> None:
        super().__init__(store, resource_type)
        self._editor = editor

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a row."""
        resource_type = self._resource_type
        http_io.require(req, f'identity:create_{resource_type.singular}')
        values = schemas.read_new(
            resource_type.singular, http_io.read_json(req)
        )
        resp.status = falcon.HTTP_201
        row = self._editor.create(self._store, values)
        _send_row(req, resp, resource_type, row)


class EditableMember(Member):
    """One row of a type that administrators change."""

    def __init__(
        self,
        store: embedded.Identity,
        resource_type: ResourceType,
        editor: Editor,
    ) -> None:
        super().__init__(store, resource_type)
        self._editor = editor

    def on_patch(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Change the row."""
        resource_type = self._resource_type
        http_io.require(req, f'identity:update_{resource_type.singular}')
        values = schemas.read_changed(
            resource_type.singular, row_id, http_io.read_json(req)
        )
        row = self._editor.update(self._store, row_id, values)
        _send_row(req, resp, resource_type, row)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, row_id: str
    ) -> None:
        """Delete the row."""
        singular = self._resource_type.singular
        http_io.require(req, f'identity:delete_{singular}')
        self._editor.delete(self._store, row_id)
        resp.status = falcon.HTTP_204


def send_list(
    req: falcon.Request,
    resp: falcon.Response,
    plural: str,
    rows: Iterable[Document],
    path: str = '',
) -> None:
    """Reply with the rows that match the query.

    ``path`` is that of the collection if it is not ``plural``.
    """
    found = [row for row in rows if http_io.matches(row, req.params)]
    url = f'{http_io.get_base_url(req)}/identity/v3/{path or plural}'
    for row in found:
        row['links'] = {'self': f'{url}/{row["id"]}'}
    resp.media = {plural: found, 'links': list_links(req)}


def list_links(req: falcon.Request) -> Document:
    """Return the links of a list, which has one page."""
    path = req.relative_uri.removeprefix(req.root_path)
    return {
        'self': http_io.get_base_url(req) + path,
        'previous': None,
        'next': None,
    }


def _send_row(
    req: falcon.Request,
    resp: falcon.Response,
    resource_type: ResourceType,
    row: Document,
) -> None:
    base = f'{http_io.get_base_url(req)}/identity/v3/{resource_type.plural}'
    row['links'] = {'self': f'{base}/{row["id"]}'}
    resp.media = {resource_type.singular: row}
