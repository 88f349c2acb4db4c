"""How damage is noticed: a record carries the checksum of its values, and the fingerprint of its model."""

import hashlib
import json
from typing import Any

CHECKSUM = "checksum"  # its key in a record


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its checksum as the last value.

    Args:
        record: what JSON can hold.

    Example:
        >>> sealed({"id": "a", "seeds": (0, 1)})
        {'id': 'a', 'seeds': (0, 1), 'checksum': '58ae43be480558db'}
    """
    return record | {CHECKSUM: _checksum(json.loads(json.dumps(record)))}


def whole(record: dict[str, Any]) -> bool:
    """Whether a record's values are as they were written; one from before there were checksums is taken at its word.

    Args:
        record: as read from its file.

    Example:
        >>> whole(sealed({"PxAP": 50.5})), whole(sealed({"PxAP": 50.5}) | {"PxAP": 58.5}), whole({"PxAP": 58.5})
        (True, False, True)
    """
    return CHECKSUM not in record or record[CHECKSUM] == _checksum(record)


def model_fingerprint(content: bytes) -> str:
    """Sixteen hex digits by which a record knows the model that its numbers were made with.

    Args:
        content: of the model's file.

    Example:
        >>> model_fingerprint(b"")
        'e3b0c44298fc1c14'
    """
    return hashlib.sha256(content).hexdigest()[:16]


def _checksum(record: dict[str, Any]) -> str:
    values = {name: value for name, value in record.items() if name != CHECKSUM}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
