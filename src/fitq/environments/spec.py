"""What an environment is to hold, in the one form that is hashed and built."""

from __future__ import annotations

import hashlib

import msgspec
from packaging.specifiers import SpecifierSet

from fitq.records import Record

#: Raised when the same spec should no longer give the same hash.
_FORMAT = 1


class EnvironmentSpec(Record, frozen=True, kw_only=True):
    """Packages and the Python for them, as asked for."""

    requirements: list[str] = msgspec.field(
        default_factory=list
    )  #: PEP 508, canonical names, in order, none twice
    python: str = ""  #: PEP 440 specifier, `==3.6.2.*` or `>=3.9`; empty: any
    strict: bool = False  #: no substitution of the Python that was asked for
    exclude_newer: str = ""  #: only packages published before this date or time
    notes: list[str] = msgspec.field(default_factory=list)  #: what was replaced or left out, a sentence each

    def allows(self, release: str) -> bool:
        """Whether a Python, such as `3.6.15`, is one that it asks for."""
        return SpecifierSet(self.python).contains(release)

    def hash_for(self, python: str, platform: str) -> str:
        """The environment's name: 64 hex digits.

        Args:
            python: implementation and minor version, `cpython-3.6`: patch releases run the same wheels.
            platform: `linux-x86_64`.
        """
        known = [_FORMAT, self.requirements, self.exclude_newer, python, platform]
        return hashlib.sha256(msgspec.json.encode(known)).hexdigest()
