"""Keys: one declaration a key, translated when a screen is made, and working with a Korean input method on.

With 한글 input a terminal sends the letter that stands on the same key of the two-set (두벌식) layout: `ㅜ` for `n`.
Every letter key therefore answers to its Korean letter too. Shift changes seven of those letters only: where the small
letter of another capital is no key, its Korean letter does what the capital does (`reach_capitals`); the few that are
left are in the command palette, by name, and help names them (`out_of_reach`).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from textual.binding import Binding, BindingsMap

from core.i18n import gettext as _

if TYPE_CHECKING:
    from textual.dom import DOMNode
    from textual.screen import Screen

TWO_SET = dict(zip("qwertyuiopasdfghjklzxcvbnm", "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡ", strict=True))
TWO_SET |= {"Q": "ㅃ", "W": "ㅉ", "E": "ㄸ", "R": "ㄲ", "T": "ㅆ", "O": "ㅒ", "P": "ㅖ"}


def key(
    keys: str, action: str, description: str = "", tooltip: str = "", *, show: bool = False, display: str | None = None
) -> Binding:
    """A binding for one or more keys (comma separated), the Korean letters of letter keys included.

    `description` and `tooltip` are English source texts (mark them with `N_`); `show` puts it into the footer.
    The binding's id is its action, so that a keymap of the user's can change it.
    """
    names = [name.strip() for name in keys.split(",")]
    korean = [TWO_SET[name] for name in names if name in TWO_SET]
    return Binding(
        ",".join([*names, *korean]), action, description, show=show, key_display=display, tooltip=tooltip, id=action
    )


def localise(node: DOMNode) -> None:
    """Translate what `node`'s bindings say about themselves into the language in use; help comes last."""
    declared = sorted(
        node._bindings.key_to_bindings.items(), key=lambda item: any(binding.action == "help" for binding in item[1])
    )
    node._bindings = BindingsMap.from_keys(
        {
            name: [
                dataclasses.replace(
                    binding,
                    description=_(binding.description) if binding.description else "",
                    tooltip=_(binding.tooltip) if binding.tooltip else "",
                )
                for binding in bindings
            ]
            for name, bindings in declared
        }
    )


def reach_capitals(node: DOMNode) -> None:
    """Let the Korean letter of a capital that shift does not change do what the capital does on `node`.

    Where the small letter is a key of its own there, the Korean letter is that one's.
    """
    bound = node._bindings.key_to_bindings
    for name in [name for name in bound if _unshifted(name)]:
        letter = TWO_SET[name.lower()]
        if letter not in bound:
            bound[letter] = [dataclasses.replace(binding, key=letter) for binding in bound[name]]


def _unshifted(name: str) -> bool:
    return name.lower() in TWO_SET and name.isupper() and name not in TWO_SET


def out_of_reach(screen: Screen[Any]) -> list[str]:
    """The keys of `screen` that no letter of the Korean layout stands for."""
    active = screen.active_bindings
    found = []
    for binding, _node in own_bindings(screen):
        names = key_names(screen, binding.action)
        there = [active.get(TWO_SET[name.lower()]) for name in names if _unshifted(name)]
        if len(there) == len(names) and not any(one and one.binding.action == binding.action for one in there):
            found += names
    return found


def own_bindings(screen: Screen[Any]) -> list[tuple[Binding, DOMNode]]:
    """What can be done on `screen` now, one binding an action, with the node it belongs to; ours, not Textual's."""
    found: dict[str, tuple[Binding, DOMNode]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        # `key` gives each binding its action as id; the toolkit's own have none.
        if binding.description and binding.id == binding.action and active.enabled:
            found.setdefault(binding.action, (binding, active.node))
    return list(found.values())


def key_names(screen: Screen[Any], action: str) -> list[str]:
    """The keys that do `action` on `screen` as people write them, without the Korean letters of the same keys."""
    names = [
        # A display of two keys stands for a pair in the footer; the other one has a line of its own.
        active.binding.key if " " in (active.binding.key_display or "") else screen.app.get_key_display(active.binding)
        for active in screen.active_bindings.values()
        if active.binding.action == action
    ]
    plain = [name for name in names if name.isascii() or not any(character.isalpha() for character in name)]
    return list(dict.fromkeys(plain))
