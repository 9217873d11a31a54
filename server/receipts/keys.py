"""What receipts are signed with: a key made of the server's secret, or an Ed25519 key of the operator's.

The first is checked by whoever has the secret, the second by anybody who has the public key.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HMAC, ED25519 = "HMAC-SHA256", "Ed25519"


class KeyFileError(Exception):
    """A key cannot be used. The message is one sentence with the remedy."""


class Checker(Protocol):
    """Checks signatures.

    Attributes:
        algorithm: of the signatures.
        key: names the key without giving it away.
    """

    @property
    def algorithm(self) -> str:
        """Name the algorithm."""
        ...

    @property
    def key(self) -> str:
        """Name the key."""
        ...

    def agrees(self, message: bytes, signature: str) -> bool:
        """Whether `signature`, in hexadecimal, is this key's under `message`."""
        ...


class Signer(Checker, Protocol):
    """Makes signatures, the same one for the same message."""

    def sign(self, message: bytes) -> str:
        """Return the signature under `message`, in hexadecimal."""
        ...


class HmacKey:
    """A key made of the server's secret."""

    algorithm = HMAC

    def __init__(self, secret: str) -> None:
        """Derive it."""
        self._key = hashlib.sha256(b"creche receipts\0" + secret.encode()).digest()
        self.key = hashlib.sha256(b"creche receipts key\0" + self._key).hexdigest()[:16]

    def sign(self, message: bytes) -> str:
        """Return the code of `message`."""
        return hmac.digest(self._key, message, "sha256").hex()

    def agrees(self, message: bytes, signature: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.sign(message).encode(), signature.encode())


class PublicKey:
    """The public half of an Ed25519 key."""

    algorithm = ED25519

    def __init__(self, public: Ed25519PublicKey) -> None:
        """Name it by its digest."""
        self._public = public
        self.key = hashlib.sha256(public.public_bytes_raw()).hexdigest()[:16]

    def agrees(self, message: bytes, signature: str) -> bool:
        """Ask the library."""
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  # an optional extra

        try:
            self._public.verify(bytes.fromhex(signature), message)
        except (InvalidSignature, ValueError):
            return False
        return True


class PrivateKey(PublicKey):
    """An Ed25519 key of the operator's."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            KeyFileError: there is none, it is another kind, or the library is missing.
        """
        private = _read(path, "private")
        super().__init__(private.public_key())
        self._sign = private.sign

    def sign(self, message: bytes) -> str:
        """Return the signature, which Ed25519 makes without chance."""
        signature: bytes = self._sign(message)
        return signature.hex()


def public_key(path: Path) -> PublicKey:
    """Read a public key.

    Raises:
        KeyFileError: as for a private one.
    """
    return PublicKey(_read(path, "public"))


def signer(secret: str, key_file: str | None) -> Signer:
    """Return what a server signs with.

    Raises:
        KeyFileError: the key file cannot be used.
    """
    return HmacKey(secret) if key_file is None else PrivateKey(Path(key_file))


def _read(path: Path, half: str) -> Any:
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415  # an optional extra
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        msg = "Ed25519 keys need the library cryptography: pip install 'creche[receipts]'"
        raise KeyFileError(msg) from error
    try:
        data = path.read_bytes()
        if half == "private":
            key: object = serialization.load_pem_private_key(data, password=None)
            kind: type = ed25519.Ed25519PrivateKey
        else:
            key, kind = serialization.load_pem_public_key(data), ed25519.Ed25519PublicKey
    except OSError as error:
        msg = f"the key file {path} cannot be read: {error.strerror}"
        raise KeyFileError(msg) from error
    except (ValueError, TypeError) as error:
        msg = f"the key file {path} holds no {half} key in PEM without a password"
        raise KeyFileError(msg) from error
    if not isinstance(key, kind):
        msg = f"the key in {path} is no Ed25519 key: make one with `openssl genpkey -algorithm ed25519`"
        raise KeyFileError(msg)
    return key
