"""What does not change, in any S3: MinIO in production, SeaweedFS on a laptop.

minio-py has no public argument for a conditional put; a presigned PUT with `If-None-Match: *`, or with
`If-Match` and an ETag, is public API and both servers honour it (one winner among racing writers; the
others get 412).
"""

from __future__ import annotations

import builtins
import functools
import io
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO, ParamSpec, TypeVar
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from urllib3.exceptions import HTTPError

from fitq.errors import Unavailable
from fitq.store.protocols import ObjectInfo, Tagged

P = ParamSpec("P")
T = TypeVar("T")
_PIECE_BYTES = 1 << 20
_MISSING = ("NoSuchKey", "NoSuchObject", "404")


def translated(call: Callable[P, T]) -> Callable[P, T]:
    """Turn every way the store can be away or refuse us into `Unavailable`."""

    @functools.wraps(call)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return call(*args, **kwargs)
        except S3Error as exc:
            raise Unavailable(
                f"The object store answers {exc.code}: {exc.message}", hint=_hint(exc.code)
            ) from exc
        except (HTTPError, ServerError, InvalidResponseError, OSError) as exc:
            raise Unavailable(f"The object store does not answer: {exc}") from exc

    return wrapped


def _hint(code: str | None) -> str:
    if code in ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
        return "Look at FITQ_S3_ACCESS_KEY and FITQ_S3_SECRET_KEY of this program."
    if code == "NoSuchBucket":
        return "Create the bucket, or let this program's key create it, and check FITQ_BUCKET."
    return Unavailable.hint


class S3Objects:
    """An `ObjectStore`."""

    def __init__(self, url: str, access_key: str, secret_key: str, bucket: str) -> None:
        parts = urlsplit(url)
        self._http = urllib3.PoolManager(
            maxsize=32,
            timeout=urllib3.Timeout(connect=3, read=20),
            # Who may wait, waits around it: store/patience.py.
            retries=urllib3.Retry(total=1, connect=1, read=0, redirect=0, backoff_factor=0.05),
        )
        # Whoever asks how the store is wants to know soon, and again soon.
        impatient = urllib3.PoolManager(timeout=urllib3.Timeout(connect=2, read=2), retries=False)
        self._client, self._pinging = (
            Minio(
                endpoint=parts.netloc,
                access_key=access_key,
                secret_key=secret_key,
                secure=parts.scheme == "https",
                region="us-east-1",
                http_client=http,
            )
            for http in (self._http, impatient)
        )
        self._bucket = bucket

    @translated
    def ping(self, key: str) -> None:
        try:
            answer = self._opened(
                key, self._pinging
            )  # not HEAD of the bucket: that is for who may list all of it
        except S3Error as exc:
            if exc.code != "NoSuchBucket":
                raise
            raise Unavailable(f"Bucket {self._bucket!r} does not exist.", hint=_hint(exc.code)) from exc
        if answer is not None:
            answer.close()
            answer.release_conn()

    @translated
    def ensure_bucket(self) -> None:
        try:
            if not self._client.bucket_exists(bucket_name=self._bucket):
                self._client.make_bucket(bucket_name=self._bucket)
        except S3Error as exc:
            # Denied: whoever gave us a key for some of a bucket has made it.
            if exc.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists", "AccessDenied"):
                raise

    @translated
    def put(self, key: str, data: bytes | BinaryIO, size_bytes: int | None = None) -> None:
        if isinstance(data, bytes):
            size_bytes = len(data)
            data = io.BytesIO(data)
        length = -1 if size_bytes is None else size_bytes
        part = 0 if size_bytes is not None else 16 << 20
        self._client.put_object(
            bucket_name=self._bucket, object_name=key, data=data, length=length, part_size=part
        )

    @translated
    def put_if_absent(self, key: str, data: bytes) -> bool:
        return self._put_if(key, data, {"If-None-Match": "*"})

    @translated
    def put_if_same(self, key: str, data: bytes, tag: str) -> bool:
        return self._put_if(key, data, {"If-Match": tag})

    def _put_if(self, key: str, data: bytes, condition: dict[str, str]) -> bool:
        url = self._client.presigned_put_object(bucket_name=self._bucket, object_name=key)
        for pause_seconds in (0.05, 0.1, 0.2, 0.4, 0.0):
            answer = self._http.request("PUT", url, body=data, headers=condition)
            if answer.status == 200:
                return True
            if answer.status == 412 or (answer.status == 404 and b"NoSuchKey" in answer.data):
                return False
            if answer.status != 409:  # 409: two conditional puts met; S3 asks to try again
                break
            time.sleep(pause_seconds)
        raise Unavailable(f"The object store answers {answer.status} to a conditional put.")

    @translated
    def get(self, key: str) -> bytes | None:
        pieces = self.open(key)
        return None if pieces is None else b"".join(pieces)

    @translated
    def get_tagged(self, key: str) -> Tagged | None:
        answer = self._opened(key)
        return None if answer is None else Tagged(b"".join(_pieces(answer)), answer.headers["etag"])

    @translated
    def open(self, key: str) -> Iterator[bytes] | None:
        answer = self._opened(key)
        return None if answer is None else _pieces(answer)

    def _opened(self, key: str, client: Minio | None = None) -> urllib3.BaseHTTPResponse | None:
        try:
            return (client or self._client).get_object(bucket_name=self._bucket, object_name=key)
        except S3Error as exc:
            if exc.code in _MISSING:
                return None
            raise

    @translated
    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        try:
            answer = self._client.get_object(
                bucket_name=self._bucket, object_name=key, offset=offset, length=length
            )
        except S3Error as exc:
            if exc.code == "InvalidRange":
                return b""
            if exc.code in _MISSING:
                return None
            raise
        return b"".join(_pieces(answer))

    @translated
    def size(self, key: str) -> int | None:
        try:
            return self._client.stat_object(bucket_name=self._bucket, object_name=key).size
        except S3Error as exc:
            if exc.code in _MISSING:
                return None
            raise

    @translated
    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = self._client.list_objects(bucket_name=self._bucket, prefix=prefix, recursive=True)
        return iter([ObjectInfo(o.object_name, o.size or 0) for o in found])

    @translated
    def list_folders(self, prefix: str) -> builtins.list[str]:
        found = self._client.list_objects(bucket_name=self._bucket, prefix=prefix)
        return sorted(o.object_name[len(prefix) :].rstrip("/") for o in found if o.is_dir)

    @translated
    def delete(self, key: str) -> None:
        self._client.remove_object(bucket_name=self._bucket, object_name=key)


def _pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Stream a body; a cut connection is `Unavailable`, never a short body taken for whole."""
    try:
        yield from answer.stream(_PIECE_BYTES)
    except (HTTPError, OSError) as exc:
        raise Unavailable(f"The object store stopped in the middle of an object: {exc}") from exc
    finally:
        answer.close()
        answer.release_conn()
